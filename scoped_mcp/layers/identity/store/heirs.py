"""What ended delegates leave: whose it is now (ruling 5).

Whose a thing is follows from this alone, whether or not the sweeper has written it down since.
That a delegate has ended is final: it is archived or past its time, or its credentials are dead
and nobody can give it another.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import bindparam, func, select  # noqa: TID251 - rights are read before they are known

from scoped_mcp.kernel.clock import stamp
from scoped_mcp.kernel.ids import PrincipalId
from scoped_mcp.layers.identity.model import Principal, PrincipalState
from scoped_mcp.layers.identity.store.facts import delegates, delegators, ended, sponsors
from scoped_mcp.layers.identity.tables import principals
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage.among import among, keys
from scoped_mcp.storage.path import registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from sqlalchemy import CTE, ColumnElement

    from scoped_mcp.spine.tx import ReadTx

O = TypeVar("O", bound=str)  # noqa: E741 - an owner


_ENDED = (
    select(principals.c.id)
    .where(principals.c.sponsor == bindparam("sponsor"))
    .where(principals.c.delegate == 1)
    .where(
        (principals.c.state == PrincipalState.ARCHIVED.value)
        | (principals.c.expires_at <= bindparam("now"))
        | among(principals.c.id)
    )
    .cte("ended", recursive=True)
)
_FALLEN = select(
    _ENDED.union_all(
        select(principals.c.id)
        .where(principals.c.sponsor == _ENDED.c.id)
        .where(principals.c.delegate == 1)
    ).c.id
)


def heirs_of(tx: ReadTx, principal: str) -> tuple[int, ...]:
    """Keys of the ended delegates whose things have fallen to a principal."""

    def fallen() -> tuple[int, ...]:
        _, over = delegates(tx, principal)
        known = {"keys": keys(tx.known_key(one.id) for one in over)}
        asked = {"sponsor": tx.key(principal), "now": stamp(tx.now)}
        return tuple(row.id for row in tx.rows(_FALLEN, asked | known))

    return tx.memo(("fallen", principal), fallen)


def heir(tx: ReadTx, owner: O) -> O | PrincipalId:
    """Whose that is which stands under an owner: its own, or the nearest live delegator's."""
    return line(tx, owner)[-1]


def line(tx: ReadTx, owner: O) -> tuple[O | PrincipalId, ...]:
    """An owner, the ended delegates above it if it is one, and last the heir; or it alone."""
    if owner == tx.caller.principal or not is_principal(owner):
        return (owner,)  # who calls has not ended, and no scope ends so

    def find() -> tuple[O | PrincipalId, ...]:
        one = tx.get_known(Principal, owner)
        chain = [one, *delegators(one, list(sponsors(tx, one)))]
        over = [n for n, (below, _) in enumerate(pairwise(chain), 1) if ended(tx, below)]
        return tuple(each.id for each in chain[: max(over, default=0) + 1])

    return tx.memo(("line", owner), find)


def is_principal(owner: str | None) -> bool:
    """Whether an id is a principal's: scopes own things too."""
    return owner is not None and owner.startswith(f"{PrincipalId.prefix}_")


def estate(tx: ReadTx, owner: str) -> tuple[int, ...]:
    """The keys under which stands what belongs to the heir of an owner."""
    one = heir(tx, owner)
    fallen = heirs_of(tx, one) if is_principal(one) else ()
    return (tx.known_key(one), *fallen)


def left_by(tx: ReadTx, owner: ColumnElement[Any]) -> list[int]:
    """The keys of the ended delegates that a column of owners still names."""
    each = _owners(owner)
    query = past_walls(
        select(registry.c.id, registry.c.public_id)
        .join_from(each, principals, principals.c.id == each.c.id)
        .join(registry, registry.c.id == principals.c.id)
        .where(principals.c.delegate == 1)
        .order_by(registry.c.id)
    )
    return [row.id for row in tx.rows(query) if heir(tx, str(row.public_id)) != row.public_id]


def _owners(owner: ColumnElement[Any]) -> CTE:
    """Each that a column names, once: from one to the next in its index.

    There are few, as what delegates leave is written down: of those that left nothing there are
    thousands.
    """
    first = select(func.min(owner).label("id")).cte("owners", recursive=True)
    behind = select(func.min(owner)).where(owner > first.c.id).correlate(first).scalar_subquery()
    return first.union_all(select(behind).where(first.c.id.is_not(None)))


ports.heirs = heirs_of
