"""By what somebody is in an environment: its own seats, what fell to it, and where it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.layers import identity

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx


def works_in(tx: ReadTx, link: identity.Credential) -> str | None:
    """Where a delegate is editor: where it is pinned, or where its delegator works (ruling 5).

    That is the next above with another holder: a delegate may have issued itself this one.
    """
    if link.environment is not None:
        return link.environment
    above = link
    while above.principal == link.principal:
        if above.parent is None:
            return None
        above = tx.get_known(identity.Credential, above.parent)
    return identity.current(tx, above.id)


def sides(tx: ReadTx, principal: str) -> list[int]:
    """A principal and the teams that it is in."""
    teams = sorted(identity.teams(tx, principal))
    return [tx.known_key(one) for one in (principal, *teams)]


def mine(tx: ReadTx, principal: str) -> tuple[int, ...]:
    """A principal and those whose things have fallen to it."""
    return (tx.known_key(principal), *identity.heirs_of(tx, principal))
