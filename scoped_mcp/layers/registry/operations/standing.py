"""How the organisation stands: suspended or not, and whether it went elsewhere.

The house does this for the operator, who has the database at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.layers.registry import logic, store
from scoped_mcp.layers.registry.model import (
    ArriveInDatabase,
    LeaveDatabase,
    Organisation,
    SetStanding,
    Standing,
    StayInDatabase,
)
from scoped_mcp.spine.declare import Access, Effect, handles

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

OF_HOUSE = Access.ADMIN


@handles(
    SetStanding,
    name="organisation.set_state",
    title="Suspend or resume an organisation",
    effect=Effect.REVOKE,
    scope="root",
    writes={Organisation: OF_HOUSE},
    tool=False,
    idempotent=True,
)
def set_standing(cmd: SetStanding, tx: WriteTx) -> Standing:
    """Read at step 1 of every call, in its transaction."""
    one = _organisation(tx)
    if one.state is not cmd.state:
        verb = "suspended" if cmd.state == "suspended" else "resumed"
        one = tx.put(one.but(state=cmd.state), event=verb)
    return _view(one)


@handles(
    LeaveDatabase,
    name=store.LEAVE,
    title="Leave a database",
    effect=Effect.REVOKE,
    scope="root",
    writes={Organisation: OF_HOUSE},
    tool=False,
    idempotent=True,
)
def leave(cmd: LeaveDatabase, tx: WriteTx) -> Standing:
    """The final entry of this chain; it goes with the copy, whose chain continues behind it."""
    if logic.has_password(cmd.to):
        message = "where it goes is told without a password"
        raise InvalidError(message, hint="leave it to PGPASSFILE, or to the URL of SCOPED_MCP_DB")
    one = _organisation(tx)
    if one.moved_to != cmd.to:
        one = tx.put(one.but(moved_to=cmd.to), event="left")
    return _view(one)


@handles(
    ArriveInDatabase,
    name=store.ARRIVE,
    title="Arrive in a database",
    effect=Effect.GRANT,
    scope="root",
    writes={Organisation: OF_HOUSE},
    tool=False,
    idempotent=True,
)
def arrive(cmd: ArriveInDatabase, tx: WriteTx) -> Standing:
    """Only there: whatever else holds a copy of the closed database stays closed."""
    one = _organisation(tx)
    if one.moved_to is not None:
        if one.moved_to != cmd.at:
            raise store.moved()
        one = tx.put(one.but(moved_to=None), event="arrived")
    return _view(one)


@handles(
    StayInDatabase,
    name=store.STAY,
    title="Stay in a database",
    effect=Effect.GRANT,
    scope="root",
    writes={Organisation: OF_HOUSE},
    tool=False,
    idempotent=True,
)
def stay(_cmd: StayInDatabase, tx: WriteTx) -> Standing:
    """For whom the directory says that it never went."""
    one = _organisation(tx)
    if one.moved_to is not None:
        one = tx.put(one.but(moved_to=None), event="stayed")
    return _view(one)


def _organisation(tx: ReadTx) -> Organisation:
    return tx.get_known(Organisation, tx.house.organisation)


def _view(one: Organisation) -> Standing:
    return Standing(id=one.id, state=one.state, moved_to=one.moved_to)
