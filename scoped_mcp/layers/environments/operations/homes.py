"""Where new things land, what changing an import becomes, and that nobody edits what is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoped_mcp.kernel.errors import ConflictError
from scoped_mcp.kernel.ids import ObjectId
from scoped_mcp.kernel.text import quote
from scoped_mcp.layers import identity, objects
from scoped_mcp.layers.environments import store
from scoped_mcp.layers.environments.model import Environment, EnvironmentState, SpawnEnvironment
from scoped_mcp.layers.environments.operations.views import current, require_active
from scoped_mcp.layers.objects import Fork, Object, ObjectState
from scoped_mcp.layers.tenancy import Membership, Place
from scoped_mcp.spine.declare import Access, Authority
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.refusals import absent

if TYPE_CHECKING:
    from scoped_mcp.kernel.ids import EnvironmentId, ScopeId
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx, WriteTx


def home(tx: WriteTx, asked: EnvironmentId | None) -> ScopeId | None:
    """Where a new thing lands (rulings 3, 5 and 36).

    1. in the environment that the call names, or to which the credential is pinned
    2. a user's or service's in its private space
    3. an agent's in its current environment; what became of that is said, not glossed over
    4. a delegate's where its delegator works
    5. else in an environment that is spawned for it
    """
    named = asked or tx.caller.environment
    if named is not None:  # 1
        return _open(tx, tx.get(Environment, named, Access.WRITE))
    if not tx.caller.agent:  # 2
        return None
    mine = current(tx)
    one = None if mine is None else tx.peek(Environment, mine)
    if one is not None and store.place(tx, one) >= Access.WRITE:  # 3
        return _open(tx, one)
    shared = _delegators(tx)
    if shared is not None:  # 4
        return _open(tx, shared)
    made = tx.run(SpawnEnvironment())  # 5
    return tx.get_known(Environment, made.id).scope


def _open(tx: ReadTx, one: Environment) -> ScopeId:
    require_active(tx, one)
    return one.scope


def _delegators(tx: ReadTx) -> Environment | None:
    """The environment in which the caller's delegator works, where the caller may write."""
    link = tx.get_known(identity.Credential, tx.caller.credential or "")
    where = store.works_in(tx, link)
    one = None if where is None else tx.peek(Environment, where)
    if one is None or not tx.caller.delegators or not store.is_open(tx, one):
        return None
    return one if store.place(tx, one) >= Access.WRITE else None


def fork(tx: WriteTx, thing: Object, expected: int | None) -> Object | None:
    """The fork that an update of an import in the current environment becomes, not yet put.

    What an environment imports is nothing to who cannot write there, or was let go.

    Raises:
        ConflictError: it was forked before, or was read at another version than is imported.
    """
    where = current(tx)
    one = None if where is None else tx.peek(Environment, where)
    if one is None or store.place(tx, one) < Access.WRITE:
        return None
    known = store.imported(tx, one.id, thing.id)
    if known is None or not known.active:
        return None
    tx.alone()  # or two updates at once would fork it twice
    require_active(tx, one)
    before = objects.fork_of(tx, thing.id, one.scope)
    if before is not None:
        message = f"{quote(thing.id)} is forked in this environment"
        raise ConflictError(
            message, hint=f'object_update(id="{before.id}", patch=…) changes the fork'
        )
    if expected not in {None, known.pinned}:
        message = f"the import is pinned to version {known.pinned}, you expected {expected}"
        hint = f"send expected_version={known.pinned}, or environment_import it again"
        raise ConflictError(message, hint=hint)
    base = objects.at_version(tx, thing, known.pinned)
    if base is None or not objects.sight(tx, thing).shows(known.pinned):
        raise absent(thing.id)
    store.use(tx, one)
    return Object(
        id=tx.new_id(ObjectId),
        type=base.type,
        name=base.name,
        owner=tx.caller.principal,
        home=one.scope,
        data=base.data,
        tags=base.tags,
        forked_from=Fork(object=thing.id, version=known.pinned),
    )


def keep_closed(tx: WriteTx, entity: Entity, _content: bytes) -> None:
    """Suspended, completed or gone: nobody adds or edits, whatever made it; taking away works.

    That an heir is written down adds and edits nothing.

    Raises:
        ConflictError: the environment in which it would land or change is not active.
    """
    if tx.operation.authority is Authority.SWEEPER:
        return
    if isinstance(entity, Object):
        scope, taking = entity.home, entity.state is ObjectState.DELETED
    elif isinstance(entity, Membership) and entity.inside:
        scope, taking = entity.scope, entity.state is Place.ENDED
    else:
        return
    one = None if scope is None else store.of_scope(tx, scope)
    if one is not None and not taking:
        require_active(tx, one)


def count(tx: WriteTx, after: Entity, before: Entity | None) -> None:
    """How many objects there are inside, kept beside them."""
    if not isinstance(after, Object) or after.home is None:
        return
    was = isinstance(before, Object) and before.state is ObjectState.ACTIVE
    change = int(after.state is ObjectState.ACTIVE) - int(was)
    if change:
        store.count(tx, after.home, change)


def use(tx: WriteTx) -> None:
    """What a member did inside keeps the environment alive (ruling 18)."""
    named = tx.record.target or tx.record.asked.get("environment")
    one = tx.peek(Environment, named or "")
    if one is None and tx.record.scope is not None:
        one = store.of_scope(tx, tx.record.scope)
    if one is None or one.state is EnvironmentState.DISCARDED or not store.place(tx, one):
        return
    if store.is_open(tx, one):
        store.use(tx, one)


ports.home = home
ports.fork = fork
ports.entity_guards.append(keep_closed)
ports.followers.append(count)
ports.uses.append(use)
