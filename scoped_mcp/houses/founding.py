"""A new organisation, and what the operator does with one: with the databases at hand, no token."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scoped_mcp.app import Scoped, place_of
from scoped_mcp.houses.directory import address, settings_of
from scoped_mcp.kernel.clock import SystemEntropy
from scoped_mcp.kernel.errors import ConflictError, InvalidError, ScopedError
from scoped_mcp.kernel.ids import OrganisationId, TenantId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity, registry
from scoped_mcp.storage import revisions
from scoped_mcp.storage.urls import joined, without

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from scoped_mcp.config import Settings
    from scoped_mcp.houses.open import Houses
    from scoped_mcp.kernel.clock import Clock, Entropy

FACE = "cli"
HOME = "home"
"""What commands call the organisation whose directory names the others."""
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
        ConflictError: the name or the issuer leads to an organisation.
        InvalidError: the database is in use, or its URL cannot be kept without a password.
    """
    if name in {HOME, *(one.name for one in await houses.directory.read())}:
        message = f"there is an organisation {quote(name)}"
        raise ConflictError(message, hint="choose another name")
    tenant = TenantId.of((entropy or SystemEntropy()).draw("directory", 10))
    url = address(db) if db is not None else _beside(houses.settings, name, tenant)
    settings = settings_of(tenant, url, houses.settings)
    _require_kept(db, settings)
    token = await Scoped.create(
        settings.db, name=owner, clock=clock, entropy=entropy, settings=settings
    )
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
        ConflictError: it is being moved.
    """
    tenant = await houses.directory.named(name)
    if tenant.state is registry.TenantState.MOVING:
        message = f"{quote(name)} is being moved"
        raise ConflictError(message, hint="finish its move, or `scoped-mcp org resume` it")
    return await _set(houses, tenant, registry.OrganisationState.SUSPENDED)


async def resume(houses: Houses, name: str) -> registry.TenantView:
    """Let an organisation act again; one whose move was given up stays where it was.

    Raises:
        NotFoundError: there is none of this name.
    """
    tenant = await houses.directory.named(name)
    if tenant.state is registry.TenantState.MOVING:
        tenant = await put(houses, tenant, state=registry.TenantState.ACTIVE, target=None)
    return await _set(houses, tenant, registry.OrganisationState.ACTIVE)


async def lead(houses: Houses, name: str, issuer: str | None) -> registry.TenantView:
    """Lead an issuer of external identities to an organisation; without one, none any more.

    Raises:
        NotFoundError: there is none of this name.
        ConflictError: the issuer leads to another one.
    """
    tenant = await houses.directory.named(name)
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
    """A new version of an organisation's place in the directory, as it is from now on."""
    wanted = tenant.but(**changes)
    await houses.home.spine.run_as_house(
        registry.SetTenant(
            id=tenant.id,
            expected_version=tenant.version,
            url=wanted.url,
            state=wanted.state,
            target=wanted.target,
            issuer=wanted.issuer,
        ),
        FACE,
    )
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


async def _set(
    houses: Houses, tenant: registry.Tenant, state: registry.OrganisationState
) -> registry.TenantView:
    async with at(houses, tenant) as scoped:
        _, moved_to = await scoped.spine.database.read(registry.standing)
        if moved_to == tenant.url:
            await scoped.spine.run_as_house(registry.ArriveInDatabase(at=tenant.url), FACE)
        elif moved_to is not None and tenant.state is not registry.TenantState.MOVING:
            await scoped.spine.run_as_house(registry.StayInDatabase(), FACE)
        await scoped.spine.run_as_house(registry.SetStanding(state=state), FACE)
    shown = registry.TenantState(state.value)
    return view(await put(houses, tenant, state=shown) if tenant.state is not shown else tenant)


def _beside(settings: Settings, name: str, tenant: str) -> str:
    """A file beside the home's, of the organisation's name where a file can have it; or a schema.

    Raises:
        InvalidError: no schema can have its name.
    """
    place = place_of(settings.db)
    if place.key_file is None:
        return _schema_beside(place.url, name)
    home = Path(place.url.removeprefix("sqlite:///"))
    stem = name if _FILE.fullmatch(name) else tenant
    return address(str(home.with_name(f"{home.stem}.{stem}{home.suffix}")))


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
