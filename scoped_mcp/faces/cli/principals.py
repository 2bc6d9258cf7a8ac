"""`principal`: who can act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Count, Cursor, Db, Json, Reason

if TYPE_CHECKING:
    from scoped_mcp.app import Session

app = typer.Typer(help="Add, list, suspend and resume principals.", no_args_is_help=True)
COLUMNS = {
    "id": "id",
    "name": "name",
    "kind": "kind",
    "state": "effective_state",
    "sponsor": "sponsor.name",
    "created": "created_at",
}
Whom = Annotated[
    str, typer.Argument(metavar="NAME|ID", help="Whom: a name or an id.", show_default=False)
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Unique in the organisation.", show_default=False)],
    kind: Annotated[
        str, typer.Option(help="user, agent, service, team, or your own word.")
    ] = "user",
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Create a principal and print its id. It can act once a token was issued for it."""
    made = acting.call(db, "principal.create", {"name": name, "kind": kind})
    if json:
        show.as_json(made)
        return
    show.line(made["id"])
    show.note("next: scoped-mcp token issue --principal NAME")


@app.command("list")
def list_(  # noqa: PLR0913 - every filter of the operation
    name: Annotated[str | None, typer.Option(help="Only the one of this name.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only those of this kind.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only those that are active, suspended or archived.")
    ] = None,
    limit: Count = 100,
    cursor: Cursor = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """List the principals of the organisation, newest first; for instance admins."""
    filters = {"name": name, "kind": kind, "state": state}
    show.page(acting.page(db, "principal.list", filters, limit, cursor), COLUMNS, in_json=json)


@app.command()
def suspend(whom: Whom, reason: Reason = None, db: Db = None, *, json: Json = False) -> None:
    """Suspend a principal: it and its agents can do nothing from the next call on."""
    _move(db, "principal.suspend", whom, {"reason": reason}, in_json=json)


@app.command()
def resume(whom: Whom, db: Db = None, *, json: Json = False) -> None:
    """Let a suspended principal act again: exactly what suspension took comes back."""
    _move(db, "principal.resume", whom, {}, in_json=json)


def _move(
    db: str | None, operation: str, whom: str, arguments: dict[str, Any], *, in_json: bool
) -> None:
    async def work(session: Session) -> dict[str, Any]:
        target = await acting.principal_id(session, whom)
        return await session.call(operation, acting.given({"id": target, **arguments}))

    moved = acting.act(db, work)
    if in_json:
        show.as_json(moved)
    else:
        state = moved.get("effective_state", operation)
        show.note(f"{moved['id']} ({show.plain(moved['name'])}) is {state}")
