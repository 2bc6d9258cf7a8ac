"""A new organisation, and what the operator does with one: with the databases at hand, no token."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as quote_url
from urllib.parse import unquote, urlsplit

from scoped_mcp.app import Scoped, place_of
from scoped_mcp.houses.directory import address, settings_of
from scoped_mcp.kernel.clock import SystemEntropy
from scoped_mcp.kernel.errors import ConflictError, InvalidError, ScopedError
from scoped_mcp.kernel.ids import OrganisationId, TenantId
from scoped_mcp.kernel.text import quote, require_name
from scoped_mcp.layers import identity, registry
from scoped_mcp.spine.trace import head_of
from scoped_mcp.storage import copying, revisions
from scoped_mcp.storage.urls import joined, without

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from scoped_mcp.config import Settings
    from scoped_mcp.houses.open import Houses
    from scoped_mcp.kernel.clock import Clock, Entropy

FACE = "cli"
HOME = "home"
"""What commands call the organisation whose directory names the others."""
ISSUER_LENGTH = 1_000
IN_USE = (
    "name another with --db; if it is what a killed `org create` left, which no directory names, "
    "move it away"
)
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Founded:
    """A new organisation, and the token of its first principal: shown this once."""

    tenant: registry.TenantView
    token: str


async def create(  # noqa: PLR0913 - everything from outside is handed in
    houses: Houses,
    name: str,
    *,
    owner: str,
    db: str | None = None,
    issuer: str | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Founded:
    """Found an organisation: its database first, then its place in the directory.

    Raises:
        ConflictError: the name or the issuer leads to an organisation, or the home has moved.
        InvalidError: the database is in use, its URL cannot be kept without a password, or a name
            is none.
    """
    require_name(owner, "its first principal")
    await _require_free(houses, name, issuer)
    tenant = TenantId.of((entropy or SystemEntropy()).draw("directory", 10))
    url = address(db) if db is not None else _beside(houses.settings, name, tenant)
    settings = settings_of(tenant, url, houses.settings)
    _require_kept(db, settings)
    try:
        token = await Scoped.create(
            settings.db, name=owner, clock=clock, entropy=entropy, settings=settings
        )
    except InvalidError as refusal:
        if not place_of(settings.db).bare():
            refusal.hint = IN_USE
        raise
    async with Scoped.open(settings.db, clock=clock, settings=settings) as founded:
        organisation = founded.spine.house.organisation
    added = await houses.home.spine.run_as_house(
        registry.AddTenant(
            id=tenant,
            name=name,
            organisation=OrganisationId(organisation),
            tag=identity.tag_of(organisation),
            url=url,
            issuer=issuer,
        ),
        FACE,
    )
    await houses.directory.read()
    return Founded(added, token)


async def listed(houses: Houses) -> list[dict[str, Any]]:
    """The directory, oldest first: names, ids, where they are; never a password."""
    shown = ("id", "name", "organisation", "state", "url", "target", "issuer")
    found = [
        one.model_dump(mode="json", include=set(shown)) for one in await houses.directory.read()
    ]
    return [{name: one[name] for name in shown if one[name] is not None} for one in found]


async def suspend(houses: Houses, name: str) -> registry.TenantView:
    """Suspend an organisation: in its own database, where the very next call reads it.

    Raises:
        NotFoundError: there is none of this name.
        ConflictError: it is being moved, or the home has moved.
    """
    tenant = await entry(houses, name)
    if tenant.state is registry.TenantState.MOVING:
        message = f"{quote(name)} is being moved"
        raise ConflictError(message, hint="finish its move, or `scoped-mcp org resume` it")
    return await _set(houses, tenant, registry.OrganisationState.SUSPENDED)


async def resume(houses: Houses, name: str) -> registry.TenantView:
    """Let an organisation act again; one whose move was given up stays where it was.

    Raises:
        NotFoundError: there is none of this name.
        ConflictError: the home has moved.
    """
    tenant = await entry(houses, name)
    given_up = tenant.state is registry.TenantState.MOVING
    if given_up:
        tenant = await put(houses, tenant, state=registry.TenantState.ACTIVE, target=None)
    return await _set(houses, tenant, registry.OrganisationState.ACTIVE, stays=given_up)


async def lead(houses: Houses, name: str, issuer: str | None) -> registry.TenantView:
    """Lead an issuer of external identities to an organisation; without one, none any more.

    Raises:
        NotFoundError: there is none of this name.
        ConflictError: the issuer leads to another one, or the home has moved.
        InvalidError: it is none.
    """
    _require_issuer(issuer)
    tenant = await entry(houses, name)
    return view(await put(houses, tenant, issuer=issuer))


async def upgrade(houses: Houses) -> list[dict[str, Any]]:
    """Bring every organisation's database to this code's schema; what became of each.

    Whoever has one open must close it first; one that cannot be moved holds up no other.
    """
    told: list[dict[str, Any]] = []
    for one in await houses.directory.read():
        item: dict[str, Any] = {"name": one.name}
        try:
            place = place_of(settings_of(one.id, one.url, houses.settings).db)
            await asyncio.to_thread(place.upgrade)
            item["current"] = revisions.HEAD
        except ScopedError as error:
            item["error"] = str(error)
        told.append(item)
    return told


async def put(houses: Houses, tenant: registry.Tenant, **changes: object) -> registry.Tenant:
    """A new version of an organisation's place in the directory, as it is from now on.

    Raises:
        ConflictError: somebody else changed it meanwhile, or the issuer leads elsewhere.
    """
    wanted = tenant.but(**changes)
    change = registry.SetTenant(
        id=tenant.id,
        expected_version=tenant.version,
        url=wanted.url,
        state=wanted.state,
        target=wanted.target,
        issuer=wanted.issuer,
    )
    try:
        await houses.home.spine.run_as_house(change, FACE)
    except ConflictError:
        if (await houses.directory.named(tenant.name)).version == tenant.version:
            raise
        message = f"somebody else changed {quote(tenant.name)} meanwhile"
        hint = "look with `scoped-mcp org list`, and call again if it is still to be done"
        raise ConflictError(message, hint=hint, retry=True) from None
    return await houses.directory.named(tenant.name)


@contextlib.asynccontextmanager
async def at(houses: Houses, tenant: registry.Tenant) -> AsyncGenerator[Scoped]:
    """The operator's own way into an organisation's house, with what is wrong in its own words."""
    settings = settings_of(tenant.id, tenant.url, houses.settings)
    async with Scoped.open(settings.db, settings=settings, clock=houses.clock) as scoped:
        if scoped.spine.house.organisation != tenant.organisation:
            message = f"the database of {quote(tenant.name)} is another organisation's"
            raise InvalidError(message, hint="put the right one back")
        yield scoped


def view(tenant: registry.Tenant) -> registry.TenantView:
    """An organisation of the directory, as it is shown to the operator."""
    return registry.TenantView(**tenant.model_dump(include=set(registry.TenantView.model_fields)))


async def entry(houses: Houses, name: str) -> registry.Tenant:
    """An organisation of a directory that is in force.

    Raises:
        NotFoundError: there is none of this name.
        ConflictError: the home has moved, and its directory with it.
    """
    await _require_in_force(houses)
    return await houses.directory.named(name)


async def lives_at(houses: Houses, tenant: registry.Tenant, source: Scoped) -> str | None:
    """Where an organisation went that has left this database, if it has been opened there.

    Then the directory is an older one, of a home that was restored: it says what was once so.

    Raises:
        InvalidError: nobody can say: that database cannot be looked at.
    """
    _, left_for = await source.spine.database.read(registry.standing)
    if left_for is None or left_for == tenant.url:
        return None
    target = settings_of(tenant.id, left_for, houses.settings)
    return left_for if await arrived(target, source, houses.clock) else None


async def arrived(target: Settings, source: Scoped, clock: Clock | None) -> bool:
    """Whether the copy of a closed house was opened: then the house lives there."""
    if place_of(target.db).bare():
        return False
    _, went = await source.spine.database.read(registry.standing)
    async with Scoped.blank(target.db) as copy:
        _, left_for = await copy.read(registry.standing)
        if left_for == went or await copying.vacant(copy):  # or it was opened, and left in its turn
            return False
        ends = await source.spine.database.read(head_of), await copy.read(head_of)
        if ends[1].seq <= ends[0].seq:  # half full: its organisation may not be there yet
            return False
    async with Scoped.open(target.db, settings=target, clock=clock) as there:
        return there.spine.house.organisation == source.spine.house.organisation


async def _set(
    houses: Houses,
    tenant: registry.Tenant,
    state: registry.OrganisationState,
    *,
    stays: bool = False,
) -> registry.TenantView:
    """How an organisation stands, written where it lives.

    INVARIANT: what was left is opened again only where the directory says that it never went, or
    nothing was opened where it went: never are there two.
    """
    async with at(houses, tenant) as scoped:
        try:
            went = await lives_at(houses, tenant, scoped)
        except ScopedError:
            if not stays:
                raise
            went = None  # its move was given up: where it went may be gone for good
        if went is None:
            await _stand(scoped, tenant, state)
    if went is not None:
        return await _set(houses, await put(houses, tenant, url=went), state)
    shown = registry.TenantState(state.value)
    return view(await put(houses, tenant, state=shown) if tenant.state is not shown else tenant)


async def _stand(
    scoped: Scoped, tenant: registry.Tenant, state: registry.OrganisationState
) -> None:
    _, moved_to = await scoped.spine.database.read(registry.standing)
    if moved_to == tenant.url:
        await scoped.spine.run_as_house(registry.ArriveInDatabase(at=tenant.url), FACE)
    elif moved_to is not None:
        await scoped.spine.run_as_house(registry.StayInDatabase(), FACE)
    await scoped.spine.run_as_house(registry.SetStanding(state=state), FACE)


async def _require_in_force(houses: Houses) -> None:
    """Refuse the directory of a home that was left: what it says of the others may be old.

    Raises:
        ConflictError: it was.
    """
    _, left_for = await houses.home.spine.database.read(registry.standing)
    if left_for is not None:
        message = f"the home has left this database for {quote(left_for)}"
        hint = "name that one; if its move did not end: `org move home` again, or `org resume home`"
        raise ConflictError(message, hint=hint)


async def _require_free(houses: Houses, name: str, issuer: str | None) -> None:
    """Refuse what the directory would, before a database is made.

    Raises:
        ConflictError: the name or the issuer leads to an organisation, or the home has moved.
        InvalidError: they are none.
    """
    require_name(name, "the organisation")
    _require_issuer(issuer)
    await _require_in_force(houses)
    known = await houses.directory.read()
    if name in {HOME, *(one.name for one in known)}:
        message = f"there is an organisation {quote(name)}"
        raise ConflictError(message, hint="choose another name")
    for one in known:
        if issuer is not None and one.issuer == issuer:
            message = f"that issuer leads to {quote(one.name)}"
            hint = "take it from there first, with `scoped-mcp org issuer`"
            raise ConflictError(message, hint=hint)


def _require_issuer(issuer: str | None) -> None:
    if issuer is not None and not 0 < len(issuer) <= ISSUER_LENGTH:
        message = f"an issuer has 1 to {ISSUER_LENGTH} characters"
        raise InvalidError(message, hint="it is the `iss` of the tokens that lead there: a URL")


def _beside(settings: Settings, name: str, tenant: str) -> str:
    """A file beside the home's, of the organisation's name where a file can have it; or a schema.

    Raises:
        InvalidError: no schema can have its name.
    """
    place = place_of(settings.db)
    if place.key_file is None:
        return _schema_beside(place.url, name)
    home = Path(unquote(place.url.removeprefix("sqlite:///")))
    stem = name if _FILE.fullmatch(name) else tenant
    return address(quote_url(str(home.with_name(f"{home.stem}.{stem}{home.suffix}"))))


def _schema_beside(home: str, name: str) -> str:
    parts = urlsplit(home)
    if not _SCHEMA.fullmatch(name):
        message = f"no schema of the home's database can be called {quote(name)}"
        raise InvalidError(message, hint="name the organisation's own database with --db")
    rest = without(parts.query, "schema")
    return address(
        joined(parts._replace(query=f"{rest}&schema={name}" if rest else f"schema={name}"))
    )


def _require_kept(db: str | None, settings: Settings) -> None:
    """Refuse a password that no server would find again: the directory does not keep it.

    Raises:
        InvalidError: the URL has one that the home's URL has not.
    """
    if db is not None and registry.has_password(db) and not registry.has_password(settings.db):
        message = "the directory keeps no passwords, and that of this URL is not the home's"
        raise InvalidError(message, hint="put it into the file of PGPASSFILE and leave it out here")
