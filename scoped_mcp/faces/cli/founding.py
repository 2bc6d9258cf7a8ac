"""`init` and `recover`: the two commands that need the database at hand instead of a token."""

from __future__ import annotations

import asyncio
import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from scoped_mcp.app import Scoped, key_path, place_of
from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.houses import HOME, Houses, settings_of

if TYPE_CHECKING:
    from scoped_mcp.config import Settings

NEXT = """\
created {db}
the line on standard output is {name}'s token, shown this once; it holds every toolset. Next:

    export SCOPED_MCP_DB='{db}'
    export SCOPED_MCP_TOKEN=...                                  # that token
    scoped-mcp token issue --principal helper --kind agent --ttl 8h
    scoped-mcp serve --transport http                            # or stdio, for one client

{note}"""
EMBEDDED = """\
what this embedded database does not promise: an agent with a shell of your account can read the
file and its neighbours' tokens. To keep agents out of it, serve as another user or on another host
and give them the HTTP address and a token of their own."""

SERVED = """\
the house's key is {key}; every host that serves this database needs the same one. The URL above
is without its password: add it, or leave it to PGPASSFILE."""

Who = Annotated[str | None, typer.Option("--name", help="Your name; your login name if not given.")]


def init(db: Db = None, name: Who = None, *, json: Json = False) -> None:
    """Create the database and you, its first principal; print your token.

    Refuses a database that is in use. The token is the only line on standard output, so that
    `export SCOPED_MCP_TOKEN=$(scoped-mcp init)` works.
    """
    read = settings(db)
    name = name if name is not None else login()
    token = asyncio.run(Scoped.create(read.db, name=name, settings=read))
    place = place_of(read.db)
    url = place.url
    if json:
        show.as_json({"token": token, "name": name, "db": url})
    else:
        show.line(token)
        note = EMBEDDED if place.key_file else SERVED.format(key=key_path(place, read))
        show.note(NEXT.format(db=url, name=show.plain(name), note=note))


def recover(
    name: Annotated[str, typer.Argument(help="Whose credentials are lost.", show_default=False)],
    org: Annotated[
        str | None, typer.Option(help="In which organisation; the home unless named.")
    ] = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """End every credential of a principal and print a new token (break-glass).

    Needs the database and its key file at hand and the server stopped. It stands in the trail and
    is shown to the principal by its next `whoami`.
    """
    read = settings(db)
    if org not in {None, HOME}:
        read = asyncio.run(_whose(read, org or ""))
    token = asyncio.run(Scoped.recover(read.db, name, settings=read))
    if json:
        show.as_json({"token": token, "name": name})
    else:
        show.line(token)
        show.note(f"every earlier credential of {show.plain(name)} has ended; this token is new")


async def _whose(read: Settings, org: str) -> Settings:
    """The settings under which an organisation's own database is opened."""
    async with Houses.open(read) as houses:
        tenant = await houses.directory.named(org)
        return settings_of(tenant.id, tenant.url, read)


def login() -> str:
    """What the caller's account is called."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return "owner"
