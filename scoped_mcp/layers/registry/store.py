"""Queries of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, bindparam, false, select, true  # noqa: TID251 - the registry is read before any caller is

from scoped_mcp.kernel.errors import ConflictError, InternalError, InvalidError
from scoped_mcp.kernel.ids import OrganisationId
from scoped_mcp.layers.registry.model import (
    DeclaredOperation,
    Head,
    Kind,
    Organisation,
    OrganisationState,
    Tenant,
)
from scoped_mcp.layers.registry.tables import kinds, operations, organisations
from scoped_mcp.layers.registry.tables import tenants as directory
from scoped_mcp.spine import entity
from scoped_mcp.spine.context import House
from scoped_mcp.spine.declare import Access, catalogue
from scoped_mcp.spine.ports import decides, filters, ports
from scoped_mcp.spine.query import everything
from scoped_mcp.storage.path import chain_heads, entries, registry
from scoped_mcp.storage.walls import past_walls

if TYPE_CHECKING:
    from sqlalchemy import Table

    from scoped_mcp.spine.tx import ReadTx
    from scoped_mcp.storage.connection import Conn

entity.bind(Organisation, organisations)
entity.bind(Kind, kinds)
entity.bind(DeclaredOperation, operations)
entity.bind(Tenant, directory)

_REGISTRATION = past_walls(
    select(registry, entries.c.at, entries.c.principal)
    .join_from(registry, entries, entries.c.id == registry.c.entry)
    .where(registry.c.public_id == bindparam("public_id"))
)
_URN = select(registry.c.public_id).where(registry.c.urn == bindparam("urn"))
_HEAD = select(chain_heads.c.seq, chain_heads.c.hash)
_KINDS = select(kinds.c.name)
_STANDING = select(organisations.c.state, organisations.c.moved_to)
_TENANTS = everything(Tenant).order_by(directory.c.id)
_TAGGED = everything(Tenant).where(directory.c.tag == bindparam("tag"))
LEAVE, ARRIVE, STAY = "organisation.leave", "organisation.arrive", "organisation.stay"
_OPERATIONS = select(operations.c.name)


def house_of(conn: Conn) -> House:
    """What never changes about this database's organisation.

    Raises:
        InvalidError: it has none yet: who made it was killed before one was founded.
        InternalError: its row was edited below us.
    """
    row = conn.row(everything(Organisation))
    if row is None:
        message = "nobody has founded an organisation in this database yet"
        raise InvalidError(message, hint="do again what made it: it goes on from here")
    try:
        found = cast("Organisation", entity.open_envelope(Organisation, row.content))
    except (ValueError, KeyError, TypeError) as error:
        message = "the row of the organisation is not what its version says: it was edited"
        raise InternalError(message, hint="restore the database from a backup") from error
    return House(OrganisationId(found.id), found.house, found.root)


def missing(rows: Any) -> tuple[set[str], set[str]]:  # noqa: ANN401 - anything with `rows`
    """The kinds and operations that this code declares and the registry lacks."""
    known_kinds = {row.name for row in rows.rows(_KINDS)}
    known = {row.name for row in rows.rows(_OPERATIONS)}
    return {b.kind.KIND for b in entity.kinds()} - known_kinds, set(catalogue) - known


def unregistered(conn: Conn) -> bool:
    """Whether this code declares what the registry lacks, and may still write there."""
    return any(missing(conn)) and standing(conn)[1] is None


def standing(rows: Any) -> tuple[bool, str | None]:  # noqa: ANN401 - anything with `row`
    """Whether the organisation is suspended, and where it went; before it is founded, neither."""
    row = rows.row(_STANDING)
    if row is None:
        return False, None
    return row.state == OrganisationState.SUSPENDED.value, row.moved_to


def require_here(tx: ReadTx) -> None:
    """Refuse the house itself where the organisation went elsewhere: the last entry is the last.

    What closes and opens a database is exempt, and nobody's but the house's.

    Raises:
        ConflictError: it went elsewhere.
    """
    if tx.operation.name not in {LEAVE, ARRIVE, STAY} and standing(tx)[1] is not None:
        raise moved()


def moved() -> ConflictError:
    """The answer of a database whose organisation went elsewhere, which a router follows."""
    message = "the organisation has moved; this copy of it is closed"
    refusal = ConflictError(message, hint="call again where it is now", retry=True)
    refusal.elsewhere = True
    return refusal


def tenants(tx: ReadTx) -> list[Tenant]:
    """The whole directory, oldest first."""
    return tx.entities(Tenant, _TENANTS)


def by_tag(tx: ReadTx, tag: str) -> Tenant | None:
    """The organisation whose tokens carry this tag."""
    found = tx.entities(Tenant, _TAGGED, {"tag": tag})
    return found[0] if found else None


def head(tx: ReadTx) -> Head:
    """The end of the chain behind which this transaction writes."""
    row = tx.row(_HEAD)
    return Head(seq=row.seq, hash=row.hash.hex())


def named(tx: ReadTx, urn: str) -> str | None:
    """The public id that a URN names, whether or not the caller may see it."""
    row = tx.row(_URN, {"urn": urn})
    return None if row is None else str(row.public_id)


def registered_by(tx: ReadTx, table: Table, principal: str) -> ColumnElement[bool]:
    """A filter for what a principal registered."""
    registered = (
        select(registry.c.id)
        .join_from(registry, entries, entries.c.id == registry.c.entry)
        .where(entries.c.principal == tx.key(principal))
    )
    return table.c.id.in_(registered)


def registration(tx: ReadTx, public_id: str) -> Any:  # noqa: ANN401 - a row
    """The registry row of an id, with when and by whom."""
    return tx.row(_REGISTRATION, {"public_id": public_id})


@decides(Kind)
@decides(DeclaredOperation)
def decide(tx: ReadTx, _thing: Kind | DeclaredOperation) -> Access:
    """Kinds and operations are public knowledge; instance admins move their lifecycle."""
    return max(Access.READ, min(tx.access_to(tx.house.root), Access.ADMIN))


@filters(Kind)
@filters(DeclaredOperation)
def visible(_tx: ReadTx) -> ColumnElement[bool]:
    """All of them, for everyone."""
    return true()


@decides(Tenant)
def nobodys(_tx: ReadTx, _one: Tenant) -> Access:
    """The directory is the house's alone: who else is served here is nobody's business."""
    return Access.NONE


@filters(Tenant)
def listed(_tx: ReadTx) -> ColumnElement[bool]:
    """The same as a filter."""
    return false()


ports.standing = require_here
