"""Scopes of ended delegates: their heir's from that moment, and written down (ruling 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.layers.objects import Inherited
from scoped_mcp.layers.tenancy import store
from scoped_mcp.layers.tenancy.model import InheritScope, Membership, Place, Scope, SweepScopes
from scoped_mcp.spine.declare import Access, Authority, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

AT_ONCE = 100
"""How many scopes one sweep writes down."""


@handles(
    SweepScopes,
    name="scope.sweep",
    title="Sweep scopes",
    effect=Effect.REVOKE,
    scope="root",
    tool=False,
)
def sweep(_cmd: SweepScopes, tx: WriteTx) -> Inherited:
    """Some at a time; a second sweeper finds nothing left."""
    done = [settle(tx, one) is not one for one in due(tx)]
    return Inherited(things=sum(done))


def due(tx: ReadTx) -> list[Scope]:
    """What there is to write down."""
    return store.left(tx, AT_ONCE)


def settle(tx: WriteTx, scope: Scope) -> Scope:
    """The same scope, written down as its heir's: swept, or before who is in it changes."""
    targets = passed_on(tx, scope)
    if not targets:
        return scope
    tx.run(InheritScope(id=scope.id), targets=targets)
    return tx.get_known(Scope, scope.id)


def passed_on(tx: ReadTx, scope: Scope) -> list[str]:
    """What changes when a scope is written down as its heir's; nothing where it is so already."""
    passed = store.passing(tx, scope)
    if passed is None:
        return []
    return [scope.id, passed.taken.id, *(each.id for each in passed.gone)]


@handles(
    InheritScope,
    name="scope.inherit",
    title="Inherit a scope",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE},
    on="id",
    scope="id",
    writes={Scope: Access.OWNER, Membership: Access.OWNER},
    tool=False,
    authority=Authority.SWEEPER,
)
def inherit(cmd: InheritScope, tx: WriteTx) -> Inherited:
    """The column, and the place as owner: whoever sees it, sees what was so already."""
    scope = tx.get_known(Scope, cmd.id)
    passed = store.passing(tx, scope)
    if passed is None:
        return Inherited(things=0)
    offer = {"transfer_to": scope.transfer_to, "offered_by": scope.offered_by}
    if scope.transfer_to == passed.heir:
        offer = {"transfer_to": None, "offered_by": None}
    for each in passed.gone:
        tx.put(each.but(state=Place.ENDED), event="ended")
    tx.put(passed.taken, event="inherited")
    tx.put(scope.but(owner=passed.heir, **offer), event="inherited")
    return Inherited(things=1)


ports.sweeps.append((due, SweepScopes))
