"""`session`: credentials in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Count, Cursor, Db, Json, Reason

if TYPE_CHECKING:
    from scoped_mcp.app import Session

app = typer.Typer(help="List and end sessions.", no_args_is_help=True)
COLUMNS = {
    "id": "id",
    "principal": "principal.name",
    "state": "state",
    "face": "face",
    "client": "client",
    "opened": "opened_at",
    "last used": "last_seen",
}


@app.command("list")
def list_(
    principal: Annotated[
        str | None, typer.Option(help="Only those of this principal: a name or an id.")
    ] = None,
    limit: Count = 100,
    cursor: Cursor = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """List sessions, newest first: your own, your agents', and all for instance admins."""

    async def work(session: Session) -> dict[str, Any]:
        whose = await acting.principal_id(session, principal) if principal else None
        return await acting.listed(session, "session.list", {"principal": whose}, limit, cursor)

    show.page(acting.act(db, work), COLUMNS, in_json=json)


@app.command()
def revoke(
    session: Annotated[
        str, typer.Argument(metavar="ID", help="Which: `session list` shows.", show_default=False)
    ],
    reason: Reason = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """End a session: its credential is revoked, and all that was delegated from it."""
    ended = acting.call(db, "session.revoke", {"id": session, "reason": reason})
    if json:
        show.as_json(ended)
    else:
        show.note(f"{ended['id']} of {show.plain(ended['principal']['name'])} has ended")
