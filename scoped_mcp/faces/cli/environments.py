"""`environment`: those that one is in, kept alive or thrown away."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Count, Cursor, Db, Json, Reason, duration

app = typer.Typer(help="List, show, extend and discard environments.", no_args_is_help=True)
COLUMNS = {
    "id": "id",
    "name": "name",
    "state": "state",
    "objects": "objects",
    "access": "access",
    "expires": "expires_at",
}
Which = Annotated[str, typer.Argument(metavar="ID", help="Which environment.", show_default=False)]


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those that are active, suspended, completed, expired or discarded."
        ),
    ] = None,
    limit: Count = 100,
    cursor: Cursor = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """List the environments that you are in, newest first."""
    found = acting.page(db, "environment.list", {"state": state}, limit, cursor)
    show.page(found, COLUMNS, in_json=json)


@app.command("show")
def show_(environment: Which, db: Db = None, *, json: Json = False) -> None:
    """Show an environment: its state, what it is for, its members and imports."""
    found = acting.call(db, "environment.get", {"id": environment})
    if json:
        show.as_json(found)
        return
    show.note(_told(found))
    for label, named in (("for", "purpose"), ("template", "template")):
        if found.get(named):
            show.line(f"{label}: {show.plain(found[named])}")
    members = {"id": "principal", "name": "name", "role": "role"}
    show.page({"items": found.get("members") or []}, members, in_json=False)
    imports: list[dict[str, Any]] = found.get("imports") or []
    for one in imports:
        show.line(f"import: {one['object']}@{one['version']}")


@app.command()
def extend(
    environment: Which,
    ttl: Annotated[
        str | None,
        typer.Option(help="How long it lives unused: 30m, 8h, 2d.", show_default=False),
    ] = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Begin the longest life of an environment of yours anew."""
    seconds = None if ttl is None else int(duration(ttl).total_seconds())
    _done(db, "environment.extend", {"id": environment, "ttl_seconds": seconds}, in_json=json)


@app.command()
def discard(
    environment: Which, reason: Reason = None, db: Db = None, *, json: Json = False
) -> None:
    """Throw an environment of yours away with all that is inside; what was promoted stays."""
    _done(db, "environment.discard", {"id": environment, "reason": reason}, in_json=json)


def _done(db: str | None, operation: str, arguments: dict[str, Any], *, in_json: bool) -> None:
    answered = acting.call(db, operation, arguments)
    if in_json:
        show.as_json(answered)
    else:
        show.note(_told(answered))


def _told(one: dict[str, Any]) -> str:
    until = "" if one["state"] == "discarded" else f", until {one['expires_at']}"
    return f"{one['id']} ({show.plain(one['name'])}) is {one['state']}{until}"
