"""The transaction as a handler sees it: reads that carry visibility, and the only way to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import Executable, false

from scoped_mcp.kernel import canonical, text
from scoped_mcp.kernel.cursors import seal, unseal
from scoped_mcp.kernel.errors import InvalidError
from scoped_mcp.kernel.ids import Id, urn
from scoped_mcp.spine.declare import Access
from scoped_mcp.spine.entity import Bound, Entity, bound, envelope, kind_of, open_envelope, row_of
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.query import Query
from scoped_mcp.spine.refusals import lost_race, require
from scoped_mcp.spine.statements import (
    CONTENT,
    INTACT,
    KEY,
    PUBLIC,
    REGISTER,
    VERSION,
    insert_of,
    peek_at,
    update_of,
)
from scoped_mcp.spine.work import work_out
from scoped_mcp.storage.connection import AgainError
from scoped_mcp.storage.path import MUTABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from scoped_mcp.kernel.limits import Limits
    from scoped_mcp.spine.caller import Caller, Origin
    from scoped_mcp.spine.context import Context, House, Record
    from scoped_mcp.spine.declare import Command, Operation
    from scoped_mcp.spine.work import Work

E = TypeVar("E", bound=Entity)
I = TypeVar("I", bound=Id)  # noqa: E741 - the id of E
T = TypeVar("T")


class ReadTx:
    """What a read handler gets: queries that carry the caller's visibility, and no way to write."""

    def __init__(self, context: Context, operation: Operation, record: Record) -> None:
        self._context = context
        self.operation = operation
        self.record = record

    @property
    def now(self) -> datetime:
        """The time of this transaction, read after its order was taken (ruling 55)."""
        return self._context.now

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self._context.caller

    @property
    def origin(self) -> Origin:
        """Where the request came in."""
        return self._context.origin

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._context.limits

    @property
    def house(self) -> House:
        """The organisation, its own principal and its root scope."""
        return self._context.house

    def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row of a room's own query."""
        return self._context.conn.rows(statement, values)

    def row(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a row
        """The first row of a room's own query, or None."""
        return self._context.conn.row(statement, values)

    def memo(self, key: object, compute: Callable[[], T]) -> T:
        """Compute once in this transaction; a put of anything that gives rights forgets it."""
        if key not in self._context.memo:
            self._context.memo[key] = compute()
        return cast("T", self._context.memo[key])

    def learn(self, key: object, value: object) -> None:
        """What `memo` is to find: read of many things at once."""
        self._context.memo[key] = value

    def recalls(self, key: object) -> bool:
        """Whether something was computed in this transaction, and still holds."""
        return key in self._context.memo

    def key(self, public_id: str) -> int | None:
        """The registry key of a public id."""
        found = self._context.keys.get(public_id)
        if found is None:
            row = self._context.conn.row(KEY, {"public_id": public_id})
            if row is None:
                return None
            found = self._context.keys[public_id] = int(row[0])
        return found

    def public_id(self, key: int) -> str:
        """The public id behind a registry key."""
        row = self._context.conn.row(PUBLIC, {"key": key})
        return str(row[0])

    def select(self, kind: type[Entity]) -> Query:
        """Where a query for things of a kind starts: it carries the caller's visibility."""
        filters = ports.visible.get(kind)
        ways = false() if filters is None else filters(self)
        found = Query(kind, ways if isinstance(ways, tuple) else (ways,))
        if self.caller.environment is None:
            return found
        pinned = ports.pinned_to.get(kind)
        return found.where(false() if pinned is None else pinned(self))

    def entities(
        self, kind: type[E], statement: Executable, values: Mapping[str, Any] | None = None
    ) -> list[E]:
        """The things that a query begun with `select` finds."""
        return [self._open(bound(kind), row) for row in self.rows(statement, values)]

    def peek(self, kind: type[E], public_id: str) -> E | None:
        """A thing whether or not the caller may see it: for decisions, never for views."""
        known = self._context.entities.get(public_id)
        if known is None:
            found = self.row(peek_at(kind), {"public_id": public_id})
            if found is None:
                return None
            return cast("E", self._open(bound(kind), found))
        return known if isinstance(known, kind) else None

    def get_known(self, kind: type[E], public_id: str) -> E:
        """`peek` for what a reference in the database names: it is there."""
        return cast("E", self.peek(kind, public_id))

    def intact(self, public_id: str, version: int) -> bool:
        """Whether the content of a version still has the digest that its entry names."""
        row = self.row(INTACT, {"id": self.key(public_id), "version": version})
        if row is None or row.content is None:
            return False
        return bool(canonical.digest(row.salt, row.content) == row.digest)

    def known_key(self, public_id: str) -> int:
        """`key` for what is there."""
        return cast("int", self.key(public_id))

    def access(self, entity: Entity) -> Access:
        """What the caller may do with a thing, from facts read in this transaction.

        A credential pinned to an environment sees what is inside, and nothing else (ruling 5).
        """
        decide = ports.decide.get(type(entity))
        have = Access.NONE if decide is None else decide(self, entity)
        if have and self.caller.environment is not None:
            pinned = ports.pinned.get(type(entity))
            return have if pinned is not None and pinned(self, entity) else Access.NONE
        return have

    def access_to(self, public_id: str) -> Access:
        """What the caller may do with whatever the id names; NONE where it names nothing."""
        return self.memo(("access", public_id), lambda: self._access_to(public_id))

    def _access_to(self, public_id: str) -> Access:
        by_id = ports.decide_id.get(Id.by_prefix[public_id.partition("_")[0]])
        if by_id is not None:
            return by_id(self, public_id)
        found = kind_of(public_id)
        entity = None if found is None else self.peek(found.kind, public_id)
        return Access.NONE if entity is None else self.access(entity)

    def sees(self, public_id: str | None) -> bool:
        """Whether an id may stand in a view for this caller (ruling 34)."""
        if public_id is None or public_id == self.caller.principal:
            return public_id is not None  # nobody is hidden from itself
        return self.access_to(public_id) >= Access.READ

    def get(self, kind: type[E], public_id: str, needs: Access = Access.READ) -> E:
        """A thing that the caller may use.

        Raises:
            NotFoundError: it is absent or invisible: one answer.
            DeniedError: it is visible, and that is not enough.
        """
        entity = self.peek(kind, public_id)
        have = Access.NONE if entity is None else self.access(entity)
        require(have, needs, public_id)
        return cast("E", entity)

    def page(
        self, kind: type[E], query: Query, limit: int, cursor: str | None, binding: object
    ) -> tuple[list[E], str | None]:
        """One page, newest first, and the cursor of the next; bound to caller and filters."""
        table = bound(kind).table
        bind = self.binding(binding)
        if cursor is not None:
            position = self.key(unseal(self._context.secret, bind, cursor))
            query = query.where(table.c.id < position)
        found = self.entities(kind, query.newest(limit + 1))
        more = len(found) > limit
        found = found[:limit]
        return found, seal(self._context.secret, bind, found[-1].id) if more else None

    def seal(self, binding: object, position: str) -> str:
        """A cursor for this caller, operation and filters."""
        return seal(self._context.secret, self.binding(binding), position)

    def unseal(self, binding: object, cursor: str) -> str:
        """The position in such a cursor."""
        return unseal(self._context.secret, self.binding(binding), cursor)

    def binding(self, filters: object) -> bytes:
        """What a cursor is bound to; after a restore, what it points at may be another thing."""
        caller = self.caller
        return canonical.encode([caller.principal, caller.epoch, self.operation.name, filters])

    @property
    def entry_id(self) -> str:
        """The id that the entry of this very operation will have."""
        return self._context.name(self.record)

    def note(self, statement: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - see `derive`
        """Change a derived table behind this read, once it is done: it says that it was done."""
        self.record.notes.append((statement, values))

    def work_out(self, works: Sequence[Work]) -> list[Any]:
        """What pure pieces of work come to: prepared before, or small enough to do here."""
        return work_out(self._context, works)

    def _open(self, kind: Bound, row: Any) -> Any:  # noqa: ANN401 - a row of `everything`
        entity = open_envelope(kind.kind, row.content)
        self._context.entities[entity.id] = entity
        self._context.keys[entity.id] = row.id
        return entity


class WriteTx(ReadTx):
    """What a writing handler gets: a `ReadTx` with the only way to write."""

    def new_id(self, kind: type[I]) -> I:
        """A fresh public id."""
        return kind.of(self._context.entropy.draw(self.caller.principal, 10))

    def random(self, size: int) -> bytes:
        """Fresh random bytes, for secrets and salts."""
        return self._context.entropy.draw(self.caller.principal, size)

    def run(self, command: Command[Any], targets: Iterable[str] = ()) -> Any:  # noqa: ANN401 - the command's view
        """Run another operation on the same path, in this transaction, as the same caller.

        Args:
            command: What to do.
            targets: The ids on which it may act in the authority that it declares, if it does.
        """
        return self._context.perform(self, command, frozenset(targets))

    def alone(self) -> None:
        """Let nobody work beside this transaction: it starts again, alone, where somebody does.

        For what is decided by what others might write at the same time, such as whether a name is
        free. Whatever moves rights, and operations within that are not declared `beside`, ask it.
        """
        if not self._context.conn.alone:
            raise AgainError

    def derive(self, statement: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - an insert or update
        """Change a derived table, which has no versions (rulings 14 and 18).

        Raises:
            TypeError: it is a table of state.
        """
        if statement.table.name not in MUTABLE:
            message = f"{statement.table.name} is no derived table: put an entity"
            raise TypeError(message)
        self._context.conn.send(statement, values)

    def put(
        self,
        entity: E,
        *,
        expected_version: int | None = None,
        reason: str | None = None,
        event: str = "",
    ) -> E:
        """Write a thing: its row, its immutable version, its registry row if it is new.

        Args:
            entity: The thing as it shall be; `version` as it was read.
            expected_version: The version that the caller based its change on.
            reason: Why, in the caller's words.
            event: The verb of the event; "created" or "updated" by default.

        Raises:
            ConflictError: it is at another version than expected.
            InvalidError: its content has the shape of a credential.
        """
        kind = bound(type(entity))
        before = self._before(entity, expected_version)
        after = entity.model_copy(
            update={
                "version": entity.version + 1,
                "author": self.caller.principal,
                "created_at": self.now if before is None else before.created_at,
                "updated_at": self.now,
                "reason": reason,
            }
        )
        content = envelope(after)
        if text.TOKEN.search(content) is not None:
            message = "the content has the shape of a credential; nothing was stored"
            raise InvalidError(message, hint="leave the token out, and revoke it if it is real")
        for guard in ports.entity_guards:
            guard(self, after, content)
        self._write(kind, before, after, content)
        verb = event or ("created" if before is None else "updated")
        self.record.events.append((f"{entity.KIND}.{verb}", entity.id, after.version))
        for follow in ports.followers:
            follow(self, after, before)
        return after

    def _before(self, entity: E, expected_version: int | None) -> E | None:
        """What the entity was; the operation must have declared that it writes this kind."""
        allowed = self.operation.writes.get(type(entity))
        if allowed is None:
            message = f"{self.operation.name} did not declare that it writes {entity.KIND}"
            raise TypeError(message)
        # INVARIANT: the spine alone counts versions. A new thing has none, and if its id is taken
        # the registry refuses it: no need to look for it first.
        before = None if entity.version == 0 else self.peek(type(entity), entity.id)
        if before is None:
            return None
        if before.updated_at is not None and before.updated_at > self.now:
            raise AgainError  # who wrote it began after us: we would write into its past
        covered = entity.id in self.record.targets
        if allowed is not Access.NONE and not self.caller.house and not covered:
            require(self.access(before), allowed, entity.id)
        if expected_version is not None and before.version != expected_version:
            raise lost_race(before, expected_version, self.sees(before.author))
        if before.version != entity.version:
            message = f"{entity.KIND} was read at {entity.version}, is at {before.version}"
            raise TypeError(message)
        return before

    def _write(self, kind: Bound, before: Entity | None, after: Entity, content: bytes) -> None:
        conn, record = self._context.conn, self.record
        name = urn(after.KIND, self.house.organisation, after.id)
        if before is None:
            key = self._context.keys[after.id] = conn.insert(
                REGISTER,
                {"public_id": after.id, "urn": name, "kind": after.KIND, "entry": record.key},
            )
        else:
            key = cast("int", self.key(after.id))
        salt = self._context.entropy.draw(self.caller.principal, 32)
        hashed = canonical.digest(salt, content)
        at = {"id": key, "version": after.version}
        conn.send(VERSION, {**at, "entry": record.key, "digest": hashed})
        conn.send(CONTENT, {**at, "content": content, "salt": salt})
        row = {**at, "entry": record.key, **row_of(after, self.key)}
        if before is None:
            conn.send(insert_of(kind), row)
        else:
            conn.send(update_of(kind), {f"new_{name}": value for name, value in row.items()})
        record.changes.append(
            {
                "urn": name,
                "from": before.version if before else None,
                "to": after.version,
                "digest": hashed.hex(),
            }
        )
        self._context.entities[after.id] = after
        self._context.memo.pop(("access", after.id), None)
        if after.AUTHORITY or _moves_rights(before, after):
            self.alone()
            record.authority = True
            self._context.forget()


def _moves_rights(before: Entity | None, after: Entity) -> bool:
    """Whether a change of a thing changes who may see it; nobody saw a new one before."""
    names = ("state", "owner", "transfer_to", "home", "environment")
    return before is not None and any(
        getattr(before, name, None) != getattr(after, name, None) for name in names
    )
