"""Who may see and do what with environments and what is inside: one by one, and as a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, or_, select  # noqa: TID251 - filters are made here

from scoped_mcp.layers import identity, tenancy
from scoped_mcp.layers.environments import logic
from scoped_mcp.layers.environments.model import (
    Environment,
    EnvironmentState,
    Import,
    Snapshot,
    Template,
    TemplateState,
)
from scoped_mcp.layers.environments.store import facts
from scoped_mcp.layers.environments.store.homes import homes, insides, owned
from scoped_mcp.layers.environments.store.seats import mine, sides, works_in
from scoped_mcp.layers.environments.tables import environments, imports, snapshots, templates
from scoped_mcp.layers.objects import Object, objects, sights
from scoped_mcp.layers.tenancy import Membership, Scope, ScopeKind, memberships, scopes
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.entity import kind_of
from scoped_mcp.spine.gather import gather as gather_named
from scoped_mcp.spine.ports import decides, filters, pins, ports, seen
from scoped_mcp.storage.among import one_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scoped_mcp.kernel.ids import ScopeId
    from scoped_mcp.spine.tx import ReadTx

CLOSED = {EnvironmentState.DISCARDED, logic.EXPIRED}


def place(tx: ReadTx, one: Environment) -> Access:
    """What the caller's place in an environment is worth, whatever state that is in."""
    return tx.memo(("place", one.id), lambda: _place(tx, one, tx.caller.credential))


def place_of(tx: ReadTx, one: Environment, principal: str) -> Access:
    """The same of another principal, by its own places alone."""
    if identity.heir(tx, principal) != principal:
        return Access.NONE  # who ended is nowhere
    key = tx.key(one.scope)
    found = tenancy.places_inside(tx, sides(tx, principal), key or 0)
    roles = [role for scope, role in found if scope == key]
    return logic.place(roles, owner=identity.heir(tx, one.owner) == principal)


def _place(tx: ReadTx, one: Environment, credential: str | None) -> Access:
    if credential is None:
        return Access.NONE
    link = tx.get_known(identity.Credential, credential)
    own = place_of(tx, one, link.principal)
    principal = tx.get_known(identity.Principal, link.principal)
    if not principal.delegate:
        return own
    return logic.delegated(
        own,
        _place(tx, one, link.parent),
        owner=own is Access.OWNER,
        works_here=works_in(tx, link) == one.id,
    )


def gather_insides(tx: ReadTx, scopes: Sequence[str]) -> None:
    """Read at once what `inside` asks about some isolation scopes."""
    gather_named(tx, Scope, scopes)
    found = facts.gather_scopes(tx, scopes)
    facts.gather_clocks(tx, found)
    identity.gather_principals(tx, (one.owner for one in found))
    _gather_seats(tx, found)


def gather(tx: ReadTx, page: Sequence[Environment]) -> None:
    """Read at once what there is to know about the environments of a page, of a list's."""
    facts.gather_clocks(tx, page)
    found = gather_named(tx, Scope, (one.scope for one in page))
    gather_named(tx, Template, (one.template for one in page))
    identity.gather_principals(tx, (one.owner for one in page))
    tenancy.gather_members(tx, [one.id for one in found])
    _gather_seats(tx, page)


def _gather_seats(tx: ReadTx, page: Sequence[Environment]) -> None:
    keys = [tx.known_key(one.scope) for one in page]
    for principal in (tx.caller.principal, *tx.caller.delegators):
        tenancy.gather_seats(tx, sides(tx, principal), keys)


def inside(tx: ReadTx, scope: str) -> Access:
    """What the caller's place inside an isolation scope is worth: nothing where it is closed."""

    def decide() -> Access:
        one = facts.of_scope(tx, scope)
        if one is None or not facts.is_open(tx, one) or not _unpinned(tx, one):
            return Access.NONE
        return place(tx, one)

    return tx.memo(("inside", scope), decide)


def _unpinned(tx: ReadTx, one: Environment) -> bool:
    return tx.caller.environment in {None, one.id}


@decides(Environment)
def environment(tx: ReadTx, one: Environment) -> Access:
    """Its owner always sees it; who else is inside while it is open."""
    have = place(tx, one)
    return have if have is Access.OWNER or facts.is_open(tx, one) else Access.NONE


@filters(Environment)
def environments_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    owned = one_of(environments.c.owner, mine(tx, tx.caller.principal))
    return or_(owned, insides(tx, environments.c.scope))


@decides(Import)
def import_access(tx: ReadTx, one: Import) -> Access:
    """For who is inside and may read the origin, now (ruling 28)."""
    return min(tx.access_to(one.environment), tx.access_to(one.object))


@filters(Import)
def imports_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    within = select(environments.c.id).where(environments_seen(tx))
    things = select(objects.c.id).where(seen(tx, Object))
    return and_(imports.c.environment.in_(within), imports.c.object.in_(things))


@decides(Snapshot)
def snapshot_access(tx: ReadTx, one: Snapshot) -> Access:
    """That of its environment."""
    return tx.access_to(one.environment)


@filters(Snapshot)
def snapshots_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    within = select(environments.c.id).where(environments_seen(tx))
    return snapshots.c.environment.in_(within)


@decides(Template)
def template_access(tx: ReadTx, one: Template) -> Access:
    """Its owner's; its scope's members may use it while it is active, its admins change it."""
    if identity.heir(tx, one.owner) == tx.caller.principal:
        return Access.OWNER
    if one.scope is None:
        return Access.NONE
    there = tx.access_to(one.scope)
    if there >= Access.ADMIN:
        return Access.ADMIN
    return min(there, Access.READ) if one.state is TemplateState.ACTIVE else Access.NONE


@filters(Template)
def templates_seen(tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    owned = one_of(templates.c.owner, mine(tx, tx.caller.principal))
    places = select(scopes.c.id).where(seen(tx, Scope))
    shown = and_(templates.c.state == TemplateState.ACTIVE.value, templates.c.scope.in_(places))
    administered = one_of(templates.c.scope, tenancy.administered(tx))
    return or_(owned, shown, administered)


def _imported(tx: ReadTx, thing: str) -> int | None:
    """The version at which an object is imported where the caller is pinned, while it is inside."""
    here = tx.peek(Environment, tx.caller.environment or "")
    if here is None or not inside(tx, here.scope):
        return None
    known = facts.imported(tx, here.id, thing)
    return known.pinned if known is not None and known.active else None


def _pinned_here(tx: ReadTx) -> int:
    return tx.key(tx.caller.environment or "") or 0


def _pinned_scope(tx: ReadTx) -> int:
    one = tx.peek(Environment, tx.caller.environment or "")
    return 0 if one is None else tx.known_key(one.scope)


def _imports_here(tx: ReadTx) -> list[int]:
    """What is imported there at a version that exists for the caller: `pinned_object` for lists."""

    def find() -> list[int]:
        every = facts.imports_of(tx, tx.caller.environment or "")
        things = [tx.get_known(Object, each.object) for each in every]
        seen = zip(things, sights(tx, things), strict=True)
        return [tx.known_key(each.id) for each, sight in seen if sight.access]

    return tx.memo(("imports here",), find)


@pins(
    Object,
    lambda tx: or_(objects.c.home == _pinned_scope(tx), one_of(objects.c.id, _imports_here(tx))),
)
def pinned_object(tx: ReadTx, one: Object) -> bool:
    """What lives there, and what is imported there."""
    if one.home is None:
        return _imported(tx, one.id) is not None
    return tx.key(one.home) == _pinned_scope(tx)


@pins(Environment, lambda tx: environments.c.id == _pinned_here(tx))
def pinned_environment(tx: ReadTx, one: Environment) -> bool:
    """The one."""
    return one.id == tx.caller.environment


@pins(Scope, lambda tx: scopes.c.id == _pinned_scope(tx))
def pinned_scope(tx: ReadTx, one: Scope) -> bool:
    """Its own."""
    return tx.key(one.id) == _pinned_scope(tx)


@pins(Membership, lambda tx: memberships.c.scope == _pinned_scope(tx))
def pinned_membership(tx: ReadTx, one: Membership) -> bool:
    """Those in it."""
    return tx.key(one.scope) == _pinned_scope(tx)


@pins(Import, lambda tx: imports.c.environment == _pinned_here(tx))
@pins(Snapshot, lambda tx: snapshots.c.environment == _pinned_here(tx))
def pinned_reference(tx: ReadTx, one: Import | Snapshot) -> bool:
    """Those of it."""
    return one.environment == tx.caller.environment


def conceals(tx: ReadTx, public_id: str) -> bool:
    """Whether an id names an environment or something inside: for members alone (ruling 47)."""
    found = kind_of(public_id)
    one = None if found is None else tx.peek(found.kind, public_id)
    if isinstance(one, Environment | Import | Snapshot):
        return True
    if isinstance(one, Scope):
        return one.kind is ScopeKind.ENVIRONMENT
    if isinstance(one, Membership):
        return one.inside
    return getattr(one, "home", None) is not None


def _place_inside(tx: ReadTx, scope: str, principal: str) -> Access:
    one = facts.of_scope(tx, scope)
    if one is None or not facts.is_open(tx, one):
        return Access.NONE
    return place_of(tx, one, principal)


def _ran_out(tx: ReadTx, since: datetime, now: datetime) -> bool:
    return facts.ran_out(tx, since, now)


def _environment(tx: ReadTx, scope: str) -> str:
    one = facts.of_scope(tx, scope)
    return "" if one is None else one.id


def _isolation(tx: ReadTx, environment: str) -> ScopeId:
    return tx.get_known(Environment, environment).scope


ports.inside = inside
ports.place = _place_inside
ports.insides = insides
ports.homes = homes
ports.gather_insides = gather_insides
ports.owned = owned
ports.imported = _imported
ports.environment = _environment
ports.isolation = _isolation
ports.conceals = conceals
ports.expired.append(_ran_out)
ports.keys["homes"] = homes
ports.keys["administers"] = tenancy.administered
ports.keys["sees"] = lambda tx: [
    row.id for row in tx.rows(select(scopes.c.id).where(seen(tx, Scope)))
]
ports.keys["free"] = lambda tx: (1,) if tx.caller.environment is None else ()
ports.keys["pinned"] = lambda tx: filter(None, [_pinned_here(tx)])
ports.keys["imports"] = lambda tx: _imports_here(tx) if tx.caller.environment else ()
