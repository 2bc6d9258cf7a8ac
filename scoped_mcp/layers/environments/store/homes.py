"""The isolation scopes that are open to the caller: what `inside` says of one, asked of all.

The query is the same for all who stand as deep below their delegators: it is built and compiled
once for each depth, and told who asks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, false, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.layers import identity, tenancy
from scoped_mcp.layers.environments.store import facts
from scoped_mcp.layers.environments.store.seats import mine, sides, works_in
from scoped_mcp.layers.environments.tables import environments
from scoped_mcp.layers.tenancy import FEW
from scoped_mcp.storage.among import among, keys, one_of
from scoped_mcp.storage.path import last_seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scoped_mcp.spine.tx import ReadTx

ALL = 2**31


def homes(tx: ReadTx, most: int = ALL) -> list[int]:
    """Their keys, or some of them where there are more than so many."""

    def find() -> list[int]:
        depth, rooted, values = _chain(tx)
        query = _some(depth, rooted, tx.caller.environment is not None)
        return [row.scope for row in tx.rows(query, {**values, "most": most})]

    return tx.memo(("homes", most), find)


def owned(tx: ReadTx) -> list[int]:
    """Of those that the caller owns: it reads their trail. Who has no credential owns none."""
    depth, rooted, values = _chain(tx)
    if not depth:
        return []
    query = _owned(depth, rooted, tx.caller.environment is not None)
    return [row.scope for row in tx.rows(query, values)]


def insides(tx: ReadTx, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a column holds one of them: few are named, for more the filter asks itself."""
    few = homes(tx, FEW + 1)
    if len(few) <= FEW:
        return one_of(column, few)
    depth, rooted, values = _chain(tx)
    return column.in_(_open(depth, rooted, tx.caller.environment is not None).params(values))


def _chain(tx: ReadTx) -> tuple[int, bool, Mapping[str, Any]]:
    """How many credentials count, whether the last is of nobody's delegate, and what is asked."""
    values: dict[str, Any] = {"now": stamp(tx.now)}
    if tx.caller.environment is not None:
        values["pinned"] = tx.key(tx.caller.environment)
    depth, at, rooted = 0, tx.caller.credential, False
    while at is not None and not rooted:
        link = tx.get_known(identity.Credential, at)
        values[f"mine{depth}"] = keys(mine(tx, link.principal))
        values[f"sides{depth}"] = keys(sides(tx, link.principal))
        rooted = not tx.get_known(identity.Principal, link.principal).delegate
        if not rooted:
            values[f"works{depth}"] = tx.key(works_in(tx, link) or "")
        depth, at = depth + 1, link.parent
    return depth, rooted, values


@cache
def _some(depth: int, rooted: bool, pinned: bool) -> Select[Any]:  # noqa: FBT001 - what a query is known by
    return _open(depth, rooted, pinned).limit(bindparam("most"))


@cache
def _owned(depth: int, rooted: bool, pinned: bool) -> Select[Any]:  # noqa: FBT001 - as above
    return _open(depth, rooted, pinned).where(among(environments.c.owner, "mine0"))


@cache
def _open(depth: int, rooted: bool, pinned: bool) -> Select[Any]:  # noqa: FBT001 - as above
    found = (
        select(environments.c.scope)
        .join_from(environments, last_seen, last_seen.c.id == environments.c.id)
        .where(facts.THERE)
        .where(last_seen.c.until > bindparam("now"))
        .where(_placed(depth, 0, rooted=rooted))
    )
    return found.where(environments.c.id == bindparam("pinned")) if pinned else found


def _placed(depth: int, level: int, *, rooted: bool) -> ColumnElement[bool]:
    """`place` as a filter over environments, from one credential of the chain upwards."""
    if level == depth:
        return false()
    owned = among(environments.c.owner, f"mine{level}")
    own = or_(owned, environments.c.scope.in_(tenancy.seats_inside(f"sides{level}")))
    if rooted and level == depth - 1:
        return own
    works = environments.c.id == bindparam(f"works{level}")
    return or_(owned, and_(or_(own, works), _placed(depth, level + 1, rooted=rooted)))
