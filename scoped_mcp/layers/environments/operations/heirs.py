"""What ended delegates leave here: their heir's from that moment, and written down (ruling 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.layers import identity, tenancy
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import (
    Counted,
    Environment,
    InheritEnvironment,
    InheritTemplate,
    SweepHeirs,
    Template,
)
from scoped_mcp.layers.tenancy import InheritScope, Scope
from scoped_mcp.spine.declare import Access, Authority, Effect, handles
from scoped_mcp.spine.ports import ports

if TYPE_CHECKING:
    from scoped_mcp.spine.tx import ReadTx, WriteTx

AT_ONCE = 100
"""How many things one sweep writes down."""


@handles(
    SweepHeirs,
    name="environment.sweep_heirs",
    title="Sweep what ended delegates left",
    effect=Effect.REVOKE,
    scope="root",
    tool=False,
)
def sweep(_cmd: SweepHeirs, tx: WriteTx) -> Counted:
    """Some at a time, discarded ones too; a second sweeper finds nothing left."""
    late = due(tx)
    for one in late:
        if isinstance(one, Environment):
            settle(tx, one)
        else:
            tx.run(InheritTemplate(id=one.id), targets=[one.id])
    return Counted(things=len(late))


def due(tx: ReadTx) -> list[Environment | Template]:
    """What there is to write down."""
    return [*store.left(tx, Environment, AT_ONCE), *store.left(tx, Template, AT_ONCE)][:AT_ONCE]


def settle(tx: WriteTx, one: Environment) -> Environment:
    """The same environment, written down as its heir's: before who is in it changes, or swept."""
    if identity.heir(tx, one.owner) == one.owner:
        return one
    inside = tenancy.passed_on(tx, tx.get_known(Scope, one.scope))
    tx.run(InheritEnvironment(id=one.id), targets=[one.id, *inside])
    return tx.get_known(Environment, one.id)


@handles(
    InheritEnvironment,
    name="environment.inherit",
    title="Inherit an environment",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE},
    on="id",
    writes={Environment: Access.OWNER},
    tool=False,
    authority=Authority.SWEEPER,
)
def inherit(cmd: InheritEnvironment, tx: WriteTx) -> Counted:
    """With its isolation scope and the place in it; nobody is inside who was not."""
    one = tx.get_known(Environment, cmd.id)
    tx.run(InheritScope(id=one.scope), targets=tx.record.targets)
    tx.put(one.but(owner=identity.heir(tx, one.owner)), event="inherited")
    return Counted(things=1)


@handles(
    InheritTemplate,
    name="template.inherit",
    title="Inherit a template",
    effect=Effect.REVOKE,
    needs={"id": Access.NONE},
    on="id",
    writes={Template: Access.OWNER},
    tool=False,
    authority=Authority.SWEEPER,
)
def inherit_template(cmd: InheritTemplate, tx: WriteTx) -> Counted:
    """Names may meet: each keeps its own."""
    one = tx.get_known(Template, cmd.id)
    tx.put(one.but(owner=identity.heir(tx, one.owner)), event="inherited")
    return Counted(things=1)


ports.sweeps.append((due, SweepHeirs))
