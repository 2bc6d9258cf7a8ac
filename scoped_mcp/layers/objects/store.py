"""Queries of objects. Who sees which is tenancy's to say, through the ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import bindparam, select  # noqa: TID251 - versions are filtered by what a sight shows

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.layers import identity
from scoped_mcp.layers.objects.model import Heading, Object, ObjectState
from scoped_mcp.layers.objects.tables import objects
from scoped_mcp.spine import entity
from scoped_mcp.spine.ports import Sight, ports
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.among import among, keys, one_of
from scoped_mcp.storage.path import entries, version_contents, versions
from scoped_mcp.storage.walls import past_walls, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Executable, Select

    from scoped_mcp.kernel.documents import Place
    from scoped_mcp.spine.tx import ReadTx

entity.bind(Object, objects)


def _version() -> Select[Any]:
    return (
        select(version_contents.c.content)
        .where(version_contents.c.id == bindparam("id"))
        .where(version_contents.c.version == bindparam("version"))
    )


_CONTENT = past_walls(_version())
_SHOWN = versions_of(_version(), objects)
_AS_OF = past_walls(
    select(versions.c.version)
    .join_from(versions, entries, entries.c.id == versions.c.entry)
    .where(versions.c.id == bindparam("id"))
    .where(entries.c.at <= bindparam("at"))
    .order_by(versions.c.version.desc())
    .limit(1)
)
_NAMED = past_walls(
    everything(Object)
    .where(among(objects.c.owner))
    .where(objects.c.name == bindparam("name"))
    .where(objects.c.home.is_not_distinct_from(bindparam("home")))
    .where(objects.c.state == ObjectState.ACTIVE.value)
    .order_by(objects.c.id)
)
_FORK = past_walls(
    everything(Object)
    .where(objects.c.origin == bindparam("origin"))
    .where(objects.c.home == bindparam("home"))
    .where(objects.c.state == ObjectState.ACTIVE.value)
    .order_by(objects.c.id.desc())
    .limit(1)
)
_OFFERED = (
    everything(Object)
    .where(objects.c.transfer_to == bindparam("principal"))
    .where(objects.c.state == ObjectState.ACTIVE.value)
    .order_by(objects.c.id)
    .limit(100)
)


def sights(tx: ReadTx, things: Sequence[Object]) -> Sequence[Sight]:
    """What the caller may do with each, and which of its versions exist for it."""
    return cast("Callable[..., Sequence[Sight]]", ports.sights)(tx, things)


def sight(tx: ReadTx, thing: Object) -> Sight:
    """The same of one."""
    return sights(tx, [thing])[0]


def at_version(tx: ReadTx, thing: Object, version: int) -> Object | None:
    """An object as it was at a version, or None where there is no such version or no content.

    For decisions, and for what a promotion shows to who reviews it: see `shown_at`.
    """
    return _at(tx, thing, version, _CONTENT)


def shown_at(tx: ReadTx, thing: Object, version: int) -> Object | None:
    """The same for views: a version that does not exist for the caller is not there."""
    return _at(tx, thing, version, _SHOWN)


def _at(tx: ReadTx, thing: Object, version: int, query: Executable) -> Object | None:
    if version == thing.version:
        return thing
    row = tx.row(query, {"id": tx.key(thing.id), "version": version})
    if row is None or row.content is None:
        return None
    return cast("Object", entity.open_envelope(Object, row.content))


def place_at(tx: ReadTx, public_id: str, version: int) -> Place:
    """Where the data of an object stands, at a version that has content: bytes, not opened."""
    row = tx.row(_CONTENT, {"id": tx.key(public_id), "version": version})
    return row.content, ("state", "data")


def version_as_of(tx: ReadTx, thing: Object, at: datetime) -> int | None:
    """The version that was current at a time, or None before the first."""
    row = tx.row(_AS_OF, {"id": tx.key(thing.id), "at": stamp(at)})
    return None if row is None else row.version


def named(tx: ReadTx, owner: str, home: str | None, name: str) -> Object | None:
    """The active object of that owner with that name, in that environment or in none.

    What fell to it counts; who inherits may have several of one name, the oldest goes first.
    """
    place, owners = None if home is None else tx.key(home), keys(identity.estate(tx, owner))
    found = tx.entities(Object, _NAMED, {"keys": owners, "home": place, "name": name})
    return found[0] if found else None


def fork_of(tx: ReadTx, origin: str, home: str) -> Object | None:
    """The fork of an object that lives in an environment."""
    found = tx.entities(Object, _FORK, {"origin": tx.key(origin), "home": tx.key(home)})
    return found[0] if found else None


def heading_at(tx: ReadTx, public_id: str, version: int) -> Heading | None:
    """What is said about a version, read without its data: in a tenth of the time.

    For decisions; see `heading_shown`.
    """
    return _heading(tx, public_id, version, _CONTENT)


def heading_shown(tx: ReadTx, public_id: str, version: int) -> Heading | None:
    """The same for views: a version that does not exist for the caller is not there."""
    return _heading(tx, public_id, version, _SHOWN)


def _heading(tx: ReadTx, public_id: str, version: int, query: Executable) -> Heading | None:
    row = tx.row(query, {"id": tx.key(public_id), "version": version})
    if row is None or row.content is None:
        return None
    return Heading.model_validate_json(row.content)


def history(tx: ReadTx, thing: Object, seen: Sight, before: int, limit: int) -> list[Heading]:
    """Versions below `before` that exist for the caller, newest first."""
    shown = [v for v in range(min(before - 1, thing.version), 0, -1) if seen.shows(v)]
    found = (heading_shown(tx, thing.id, v) for v in shown[:limit])
    return [one for one in found if one is not None]


def written(tx: ReadTx, thing: Object) -> Object:
    """The version in which what stands in a version was written.

    The house writes no content: its versions are those in which an heir became the owner.
    """
    while thing.author == tx.house.principal and thing.version > 1:
        before = at_version(tx, thing, thing.version - 1)
        if before is None:
            break
        thing = before
    return thing


def left(tx: ReadTx, limit: int) -> list[Object]:
    """What still stands under ended delegates, oldest first."""
    owners = identity.left_by(tx, objects.c.owner)
    if not owners:
        return []
    query = past_walls(everything(Object).where(one_of(objects.c.owner, owners)))
    return tx.entities(Object, query.order_by(objects.c.id).limit(limit))


def offered(tx: ReadTx, principal: str) -> list[Object]:
    """Objects whose ownership was offered to a principal, and that are not its own by now."""
    found = tx.entities(Object, _OFFERED, {"principal": tx.key(principal)})
    return [one for one in found if identity.heir(tx, one.owner) != principal]
