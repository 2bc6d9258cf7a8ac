"""What ended delegates leave: whose it is now (ruling 5).

Whose a thing is follows from this alone, whether or not the sweeper has written it down since.
That a delegate has ended is final: it is archived or past its time, or its credentials are dead
and nobody can give it another.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select  # noqa: TID251 - rights are read before they are known

from scoped_mcp.kernel.ids import PrincipalId
from scoped_mcp.layers.identity.model import Principal
from scoped_mcp.layers.identity.store.facts import delegators, ended, sponsored, sponsors
from scoped_mcp.layers.identity.tables import principals
from scoped_mcp.spine.ports import ports
from scoped_mcp.storage.path import registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from scoped_mcp.spine.tx import ReadTx

O = TypeVar("O", bound=str)  # noqa: E741 - an owner


def heirs_of(tx: ReadTx, principal: str) -> tuple[int, ...]:
    """Keys of the ended delegates whose things have fallen to a principal."""

    def fallen() -> tuple[int, ...]:
        keys: list[int] = []
        waiting = [p for p in sponsored(tx, principal) if p.delegate and ended(tx, p)]
        while waiting:
            one = waiting.pop()
            keys.append(tx.known_key(one.id))
            waiting += [p for p in sponsored(tx, one.id) if p.delegate]
        return tuple(keys)

    return tx.memo(("fallen", principal), fallen)


def heir(tx: ReadTx, owner: O) -> O | PrincipalId:
    """Whose that is which stands under an owner: its own, or the nearest live delegator's."""
    return line(tx, owner)[-1]


def line(tx: ReadTx, owner: O) -> tuple[O | PrincipalId, ...]:
    """An owner, the ended delegates above it if it is one, and last the heir; or it alone."""
    if owner == tx.caller.principal or not _is_principal(owner):
        return (owner,)  # who calls has not ended, and no scope ends so

    def find() -> tuple[O | PrincipalId, ...]:
        one = tx.get_known(Principal, owner)
        chain = [one, *delegators(one, list(sponsors(tx, one)))]
        over = [n for n, (below, _) in enumerate(pairwise(chain), 1) if ended(tx, below)]
        return tuple(each.id for each in chain[: max(over, default=0) + 1])

    return tx.memo(("line", owner), find)


def _is_principal(owner: str) -> bool:
    return owner.startswith(f"{PrincipalId.prefix}_")


def estate(tx: ReadTx, owner: str) -> tuple[int, ...]:
    """The keys under which stands what belongs to the heir of an owner."""
    one = heir(tx, owner)
    fallen = heirs_of(tx, one) if _is_principal(one) else ()
    return (tx.known_key(one), *fallen)


def left_by(tx: ReadTx, owner: ColumnElement[Any]) -> list[int]:
    """The keys of the ended delegates that a column of owners still names."""
    query = past_walls(
        select(registry.c.id, registry.c.public_id)
        .join_from(principals, registry, registry.c.id == principals.c.id)
        .where(principals.c.delegate == 1)
        .where(select(owner).where(owner == principals.c.id).exists())
        .order_by(registry.c.id)
    )
    return [row.id for row in tx.rows(query) if heir(tx, str(row.public_id)) != row.public_id]


ports.heirs = heirs_of
