"""`token`: credentials are issued, listed, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Count, Cursor, Db, Json, Reason, duration, words
from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.kernel.text import quote

if TYPE_CHECKING:
    from scoped_mcp.app import Session

app = typer.Typer(help="Issue, list and revoke credentials.", no_args_is_help=True)
COLUMNS = {
    "id": "id",
    "principal": "principal.name",
    "state": "state",
    "expires": "expires_at",
    "toolsets": "toolsets",
    "read-only": "read_only",
    "last used": "last_seen",
}


@app.command()
def issue(  # noqa: PLR0913 - every option of a credential
    principal: Annotated[
        str, typer.Option(help="Whose token: a name or an id.", show_default=False)
    ],
    kind: Annotated[
        str | None,
        typer.Option(help="Create the principal as this kind if it is absent: user, agent, …"),
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it lives: 30m, 8h, 2d.")] = "8h",
    toolsets: Annotated[
        str | None, typer.Option(help="What it may use, such as core,audit; core if not named.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(metavar="ENV", help="Pin it to this environment.")
    ] = None,
    db: Db = None,
    *,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="It reads and does nothing else.")
    ] = False,
    json: Json = False,
) -> None:
    """Issue a token and print it, this once.

    For others only until they first used one; afterwards they issue their own.
    """
    limits = acting.given(
        {
            "ttl_seconds": int(duration(ttl).total_seconds()),
            "toolsets": words(toolsets),
            "environment": environment,
            "read_only": True if read_only else None,
        }
    )

    async def work(session: Session) -> dict[str, Any]:
        whose = await _whose(session, principal, kind)
        return await session.call("token.issue", {**whose, **limits})

    issued = acting.act(db, work)
    if json:
        show.as_json(issued)
        return
    show.line(issued["token"])
    who, until = show.plain(issued["principal"]["name"]), issued["expires_at"]
    held = ", ".join(issued["toolsets"])
    show.note(f"{issued['id']} is {who}'s until {until}, with the toolsets {held}; shown this once")


async def _whose(session: Session, principal: str, kind: str | None) -> dict[str, str]:
    """Whom the token is for: created if absent, but only where a kind was named."""
    if kind is None:
        return {"principal": await acting.principal_id(session, principal)}
    if not acting.is_id(principal):
        return {"name": principal, "kind": kind}
    found = await session.call("principal.get", {"id": principal})
    if found["kind"] != kind:
        message = f"{quote(principal)} exists and is of kind `{found['kind']}`"
        raise ConflictError(message, hint="leave --kind out, or name another principal")
    return {"principal": principal}


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
    """List credentials, newest first: your own, your agents', and all for instance admins."""

    async def work(session: Session) -> dict[str, Any]:
        whose = await acting.principal_id(session, principal) if principal else None
        return await acting.listed(session, "token.list", {"principal": whose}, limit, cursor)

    show.page(acting.act(db, work), COLUMNS, in_json=json)


@app.command()
def revoke(
    token: Annotated[
        str, typer.Argument(metavar="ID", help="Which: `token list` shows.", show_default=False)
    ],
    reason: Reason = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Revoke a credential and all that was delegated from it: the very next call is refused."""
    revoked = acting.call(db, "token.revoke", {"id": token, "reason": reason})
    if json:
        show.as_json(revoked)
    else:
        show.note(f"{revoked['id']} of {show.plain(revoked['principal']['name'])} is revoked")
