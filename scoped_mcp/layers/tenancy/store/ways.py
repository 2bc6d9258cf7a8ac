"""The ways in which objects are seen, said once: for lists, and for the wall in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import ColumnElement, Table, and_, exists, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.layers.objects import ObjectState, objects
from scoped_mcp.layers.tenancy.model import Place
from scoped_mcp.layers.tenancy.tables import projections
from scoped_mcp.storage.among import one_of
from scoped_mcp.storage.walls import told

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW = 20
"""Places asked for one by one: each has an index that begins with its newest."""


class Keys(Protocol):
    """What is known of a caller. Each says in which ways a column may hold one of its keys."""

    def me(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """The caller itself."""
        ...

    def mine(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """The caller, and those whose things have fallen to it."""
        ...

    def reads(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """The scopes whose data it reads."""
        ...

    def owners(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Those of them that own something."""
        ...

    def homes(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """The isolation scopes that are open to it."""
        ...

    def shown(self, query: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a Select of an object
        """Whether an object is among those that a query over projections finds."""
        ...


class Known:
    """Keys as values: where they are few, each has an index that begins with its newest.

    Attributes:
        mine: Itself, and of those whose things have fallen to it the ones under whom any stand.
        owners: Of the scopes that it reads, those that own something: mostly none, and a search for
            what any of them owns looks through everything.
        inside: Ways into the isolation scopes that are open.
    """

    def __init__(
        self,
        me: int,
        mine: Sequence[int],
        reads: Sequence[int],
        owners: Sequence[int],
        inside: Sequence[ColumnElement[bool]],
    ) -> None:
        self._me, self._mine, self._reads = me, mine, reads
        self._owners, self._inside = owners, inside

    def me(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """See `Keys`."""
        return column == self._me

    def mine(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return _each(column, self._mine)

    def reads(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return [one_of(column, self._reads)] if self._reads else []

    def owners(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return _each(column, self._owners)

    def homes(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:  # noqa: ARG002 - the ways inside are about it
        """See `Keys`."""
        return list(self._inside)

    def shown(self, query: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a Select
        """See `Keys`."""
        return objects.c.id.in_(query)


def _each(column: ColumnElement[Any], keys: Sequence[int]) -> list[ColumnElement[bool]]:
    return [one_of(column, keys)] if len(keys) > FEW else [column == one for one in keys]


class Told:
    """Keys as the transaction was told them."""

    def me(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """See `Keys`."""
        return told(column, "me")

    def mine(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return [told(column, "mine")]

    def reads(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return [told(column, "reads")]

    def owners(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return self.reads(column)

    def homes(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """See `Keys`."""
        return [told(column, "homes")]

    def shown(self, query: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a Select
        """See `Keys`: row by row, for a wall asks about few."""
        return exists(query.where(projections.c.object == objects.c.id))


def ways(keys: Keys, versions: Table | None = None) -> list[ColumnElement[bool]]:
    """Each way to see an object: owned, offered, shown or owned where one stands, or inside.

    Args:
        keys: Of the caller.
        versions: Where given, the way to a row of that table: what a sight shows, as a condition.
    """
    one, there = objects.c, objects.c.state == ObjectState.ACTIVE.value
    outside = objects.c.home.is_(None)
    offered: list[ColumnElement[bool]] = []
    shown: list[ColumnElement[bool]] = [projections.c.state == Place.ACTIVE.value]
    if versions is not None:
        offered = [versions.c.version >= one.version]
        since = projections.c.pinned.is_(None) & (versions.c.version >= projections.c.since)
        shown.append(or_(projections.c.pinned == versions.c.version, since))
    found = [and_(each, outside) for each in keys.mine(one.owner)]
    found.append(and_(there, outside, keys.me(one.transfer_to), *offered))
    for each in keys.reads(projections.c.scope):
        query = select(projections.c.object).where(each, *shown)
        query = query if versions is None else query.correlate(objects, versions)
        found.append(and_(there, outside, keys.shown(query)))
    found += [and_(there, outside, each) for each in keys.owners(one.owner)]
    mine = or_(there, *keys.mine(one.owner))
    return [*found, *(and_(each, mine) for each in keys.homes(one.home))]
