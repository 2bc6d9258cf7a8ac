"""`audit`: the trail is read, followed, verified."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoped_mcp.faces.cli import acting, show
from scoped_mcp.faces.cli.options import Count, Cursor, Db, Json, moment
from scoped_mcp.kernel.errors import ScopedError
from scoped_mcp.kernel.ids import AnyId

if TYPE_CHECKING:
    from scoped_mcp.app import Session
    from scoped_mcp.houses import Houses

app = typer.Typer(help="Read and verify the trail.", no_args_is_help=True)
COLUMNS = {
    "at": "at",
    "id": "id",
    "principal": "principal",
    "operation": "operation",
    "outcome": "outcome",
    "code": "code",
    "target": "target",
    "face": "face",
}
LOOK_SECONDS = 1.0
LATEST = 1_000


@app.command()
def log(  # noqa: PLR0913 - every filter of the operation
    about: Annotated[
        str | None, typer.Option(help="Only what touched this: an id, or a principal's name.")
    ] = None,
    principal: Annotated[
        str | None, typer.Option(help="Only what this principal did: a name or an id.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Only what came by this session.")] = None,
    operation: Annotated[
        str | None, typer.Option(help="Only this operation, such as object.create.")
    ] = None,
    outcome: Annotated[str | None, typer.Option(help="Only done, denied or failed.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From this time on (RFC 3339), or how long ago: 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time, or how long ago.")] = None,
    limit: Count = 20,
    cursor: Cursor = None,
    db: Db = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what is new, until interrupted.")
    ] = False,
    json: Json = False,
) -> None:
    """Read the trail, newest first: what you did, your agents did, and what touched yours.

    With --follow oldest first, one JSON object a line with --json. A follow is one entry when it is
    opened and one when it is closed, which says how many entries it showed.
    """
    if follow and (until or cursor):
        message = "--follow goes on from now; leave --until and --cursor out"
        raise typer.BadParameter(message)
    filters: dict[str, Any] = {
        "about": about,
        "session": session,
        "operation": operation,
        "outcome": outcome,
        "since": moment(since).isoformat() if since else None,
        "until": moment(until).isoformat() if until else None,
    }

    async def work(houses: Houses, caller: Session) -> None:
        if principal:
            filters["principal"] = await acting.principal_id(caller, principal)
        if about and not acting.is_id(about, AnyId):
            filters["about"] = await acting.principal_id(caller, about)
        if follow:
            await _follow(houses, caller, filters, limit, in_json=json)
            return
        found = await acting.listed(caller, "audit.list", filters, limit, cursor)
        show.page(found, COLUMNS, in_json=json)

    acting.within(db, work)


async def _follow(
    houses: Houses, caller: Session, filters: dict[str, Any], latest: int, *, in_json: bool
) -> None:
    """Print entries as they come, oldest first, until told to stop; the follow is ended then.

    Where the credential has died, or nobody looked for too long, the house ends it.
    """
    stop = _told_to_stop()
    asked = acting.given({**filters, "latest": min(latest, LATEST)})
    follow = (await caller.call("audit.follow", asked))["id"]
    try:
        await _look(caller, follow, stop, in_json=in_json)
    finally:
        try:
            await caller.call("audit.unfollow", {"follow": follow})
        except ScopedError:
            await houses.sweep(caller)


async def _look(caller: Session, follow: str, stop: asyncio.Event, *, in_json: bool) -> None:
    cursor: str | None = None
    while not stop.is_set():
        found = await caller.call("audit.look", acting.given({"follow": follow, "cursor": cursor}))
        for entry in found["items"]:
            if in_json:
                show.as_json(entry)
            else:
                show.rows(COLUMNS, [entry])
        cursor = found.get("cursor")
        if not found["more"]:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)


def _told_to_stop() -> asyncio.Event:
    """Set by Ctrl-C and by SIGTERM; where a loop takes no signals, they end the program."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(each, stop.set)
    return stop


@app.command()
def verify(
    first: Annotated[
        int | None, typer.Option("--from", min=1, help="From this position on.")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Up to this position.")] = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Recompute the whole chain and every state; name the first bad entry and exit with 1.

    For auditors and owners of the root scope.
    """
    asked = acting.given({"from": first, "to": last})

    async def work(session: Session) -> dict[str, Any]:
        return await show.patiently(session.call("audit.verify", asked), "verifying the trail")

    found = acting.act(db, work)
    if json:
        show.as_json(found)
    if found["ok"]:
        if not json:
            counts = f"{found['entries']} entries and {found['versions']} versions verify"
            show.line(f"{counts}; the head is {found['head']}")
        return
    problem = found["problem"]
    where = f"entry {problem['seq']}" + (f" ({problem['entry']})" if problem.get("entry") else "")
    said = f"{where} is bad ({problem['problem']}): {problem['detail']}"
    if json:
        show.note(said)
    else:
        show.line(said)
    raise typer.Exit(1)
