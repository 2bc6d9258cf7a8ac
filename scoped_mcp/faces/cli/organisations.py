"""`org`: the organisations of one server; with the databases at hand instead of a token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from scoped_mcp import houses as organisations
from scoped_mcp.faces.cli import show
from scoped_mcp.faces.cli.acting import settings
from scoped_mcp.faces.cli.founding import login
from scoped_mcp.faces.cli.options import Db, Json
from scoped_mcp.houses import Houses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
COLUMNS = {
    "name": "name",
    "state": "state",
    "organisation": "organisation",
    "database": "url",
    "moving to": "target",
}
CREATED = """\
created {db}
the line on standard output is the token of {name}'s first principal, {owner}, shown this once; it
works wherever the home database is served, without another setting"""

app = typer.Typer(help="Organisations that one server serves.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Its name.", show_default=False)]
Home = Annotated[
    str | None,
    typer.Option(
        "--home",
        envvar="SCOPED_MCP_DB",
        metavar="URL",
        help="The database whose directory names the organisations. Default: SCOPED_MCP_DB.",
        show_default=False,
    ),
]


@app.command()
def create(  # noqa: PLR0913 - every option of an organisation
    name: Name,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Its database. Default: a file or schema beside the home's."
        ),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="Its first principal; your login name if not given.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="The issuer of external identities that leads to it.")
    ] = None,
    home: Home = None,
    *,
    json: Json = False,
) -> None:
    """Found an organisation with a database of its own; print its first principal's token.

    Servers of the home database serve it from now on; nobody in it sees anything of the others.
    """
    first = owner if owner is not None else login()

    async def work(houses: Houses) -> organisations.Founded:
        return await organisations.create(houses, name, owner=first, db=db, issuer=issuer)

    founded = _with(home, work)
    if json:
        show.as_json({"token": founded.token, "owner": first, **founded.tenant.as_json()})
        return
    show.line(founded.token)
    told = {"db": founded.tenant.url, "name": show.plain(name), "owner": show.plain(first)}
    show.note(CREATED.format(**told))


@app.command("list")
def list_(db: Db = None, *, json: Json = False) -> None:
    """List the organisations beside the home, oldest first."""
    found: dict[str, Any] = {"items": _with(db, organisations.listed)}
    show.page(found, COLUMNS, in_json=json)


@app.command()
def suspend(name: Name, db: Db = None, *, json: Json = False) -> None:
    """Suspend an organisation: the very next call of anybody in it is refused."""
    _tell(_with(db, lambda houses: organisations.suspend(houses, name)), in_json=json)


@app.command()
def resume(name: Name, db: Db = None, *, json: Json = False) -> None:
    """Let an organisation act again; one whose move has not ended stays where it was."""
    if name == organisations.HOME:
        asyncio.run(organisations.resume_home(settings(db)))
        show.as_json({"name": name, "state": "active"}) if json else show.note("home is active")
        return
    _tell(_with(db, lambda houses: organisations.resume(houses, name)), in_json=json)


@app.command()
def issuer(
    name: Name,
    url: Annotated[
        str | None, typer.Argument(metavar="[ISSUER]", help="Without one, none leads to it.")
    ] = None,
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Lead the external identities of an issuer to an organisation instead of to the home."""
    _tell(_with(db, lambda houses: organisations.lead(houses, name, url)), in_json=json)


@app.command()
def move(
    name: Name,
    to: Annotated[str, typer.Option(metavar="URL", help="A database that does not exist yet.")],
    db: Db = None,
    *,
    json: Json = False,
) -> None:
    """Move an organisation to another database, with every version, entry and credential.

    The database that it leaves is closed by a final entry and cannot be used again. A move that
    ended early is made again with the same command, or given up with `org resume`. `home` is the
    organisation of SCOPED_MCP_DB itself, which has to name the new database afterwards.
    """
    read, title = settings(db), f"moving {show.plain(name)}"

    async def work() -> dict[str, Any]:
        if name == organisations.HOME:
            async for _ in organisations.move_home(read, to):
                pass
            return {"name": name, "url": organisations.address(to)}
        async with Houses.open(read) as houses:
            async for _ in organisations.move(houses, name, to):
                pass
            found = await organisations.listed(houses)
        return next(one for one in found if one["name"] == name)

    moved = asyncio.run(show.patiently(work(), title))
    if json:
        show.as_json(moved)
    else:
        show.note(f"{show.plain(name)} is now at {show.plain(moved['url'])}")


@app.command()
def upgrade(db: Db = None, *, json: Json = False) -> None:
    """Bring the databases of all organisations to the newest schema, after `db upgrade`."""
    told = _with(db, organisations.upgrade)
    columns = {"name": "name", "schema": "current", "refused": "error"}
    show.page({"items": told}, columns, in_json=json)
    if any("error" in one for one in told):
        raise typer.Exit(1)


def _with(db: str | None, work: Callable[[Houses], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Houses.open(settings(db)) as houses:
            return await work(houses)

    return asyncio.run(run())


def _tell(tenant: organisations.TenantView, *, in_json: bool) -> None:
    if in_json:
        show.as_json(tenant.as_json())
    else:
        show.note(f"{show.plain(tenant.name)} is {tenant.state} at {show.plain(tenant.url)}")
