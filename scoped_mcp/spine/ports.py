"""What the spine asks of the rooms above it, each hung in by one of them.

authenticate   identity   credential → caller
standing       registry   refuses the house where its organisation went elsewhere
open_session   identity   the record of a credential's first use
session        identity   the kind of that record
caller_sections            what rooms add to whoami
heirs          identity   whose things have fallen to a principal (ruling 5)
home           environments  where a new thing lands
environment    environments  the environment that an isolation scope is of
isolation      environments  the isolation scope of an environment
fork           environments  the fork that an update of an import becomes
inside         environments  what the caller's place inside an isolation scope is worth
place          environments  the same of another principal, by its own places
insides        environments  a filter for the isolation scopes that are open to the caller
homes          environments  the keys of those scopes, all or some
owned          environments  those of them that the caller owns
imported       environments  the version at which an object is imported where the caller is pinned
imports        environments  a filter for what is imported there
conceals       environments  whether an id names something that lives inside an environment
uses           environments  told of every request that was done: what it used
sweeps         each room  what has run out: whether there is any, and what writes it down
pinned         each room  whether a credential pinned to an environment sees a thing
pinned_to      each room  the same, as a filter for lists
sights         tenancy    access to objects, and which of their versions exist for the caller
shown_in       tenancy    the scopes in which objects are shown, of those the caller sees
within         tenancy    a filter for what is shown in one scope
decide         tenancy    access of the caller on one thing
visible        tenancy    the same, as a filter for lists; a tuple where there are several ways
keys           each room  the caller's key sets that walls in the database ask for
expired        each room  whether any right ran out between two moments (ruling 54)
permits        rules      the rules, once access is enough (default: what access allows)
guards         extensions may refuse a command (contracts, quotas, rate limits)
entity_guards  extensions may refuse a resulting state, whatever made it (ruling 13)
followers      each room  derived tables and memos of this transaction; cannot refuse (ruling 14)
lens           policies   redaction of a view, pure
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import or_

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select

    from scoped_mcp.kernel.ids import EnvironmentId, Id, ScopeId
    from scoped_mcp.spine.caller import Caller, Origin, Proof
    from scoped_mcp.spine.declare import Access, Command, Operation, View
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import ReadTx, WriteTx

Decide = Callable[["ReadTx", Any], "Access"]
Visible = Callable[["ReadTx"], "ColumnElement[bool] | tuple[ColumnElement[bool], ...]"]
Filter = Callable[["ReadTx"], "ColumnElement[bool]"]
D = TypeVar("D", bound=Callable[..., Any])


@dataclass(frozen=True)
class Sight:
    """What a caller may do with a versioned thing, and which of its versions exist for it.

    Attributes:
        since: The first version that exists for the caller, up to the current one; None for none.
        pinned: Single versions that exist for it beside those.
    """

    access: Access
    since: int | None = None
    pinned: frozenset[int] = frozenset()

    def shows(self, version: int) -> bool:
        """Whether a version exists for the caller."""
        return version in self.pinned or (self.since is not None and version >= self.since)

    def newest(self, current: int) -> int:
        """The version that the caller gets when it names none."""
        return current if self.since is not None else max(self.pinned)


def _allow(_tx: ReadTx, _operation: Operation, _command: Command[Any]) -> tuple[str, ...]:
    return ()


def _clear(view: View, _caller: Caller) -> View:
    return view


@dataclass
class Ports:
    """The places where rooms hang in."""

    authenticate: Callable[[ReadTx, Proof], Caller] | None = None
    standing: Callable[[ReadTx], None] | None = None
    open_session: Callable[[WriteTx, Caller, Origin], Caller] | None = None
    session: type[Entity] | None = None
    sights: Callable[[ReadTx, Sequence[Any]], Sequence[Sight]] | None = None
    shown_in: Callable[[ReadTx, Sequence[Any]], Sequence[tuple[str, ...]]] | None = None
    within: Callable[[ReadTx, str], ColumnElement[bool]] | None = None
    caller_sections: list[Callable[[ReadTx], dict[str, Any]]] = field(default_factory=lambda: [])
    home: Callable[[WriteTx, EnvironmentId | None], ScopeId | None] | None = None
    environment: Callable[[ReadTx, str], str] | None = None
    gather_insides: Callable[[ReadTx, Sequence[str]], None] | None = None
    isolation: Callable[[ReadTx, str], str] | None = None
    fork: Callable[[WriteTx, Any, int | None], Any] | None = None
    inside: Callable[[ReadTx, str], Access] | None = None
    place: Callable[[ReadTx, str, str], Access] | None = None
    insides: Callable[[ReadTx, ColumnElement[Any]], ColumnElement[bool]] | None = None
    homes: Callable[..., list[int]] | None = None
    owned: Callable[[ReadTx], list[int]] | None = None
    imported: Callable[[ReadTx, str], int | None] | None = None
    imports: Callable[[ReadTx], Select[Any]] | None = None
    conceals: Callable[[ReadTx, str], bool] | None = None
    uses: list[Callable[[WriteTx], None]] = field(default_factory=lambda: [])
    sweeps: list[tuple[Callable[[ReadTx], object], type[Command[Any]]]] = field(
        default_factory=lambda: []
    )
    pinned: dict[type[Entity], Callable[[ReadTx, Any], bool]] = field(default_factory=lambda: {})
    pinned_to: dict[type[Entity], Filter] = field(default_factory=lambda: {})
    heirs: Callable[[ReadTx, str], tuple[int, ...]] | None = None
    decide: dict[type[Entity], Decide] = field(default_factory=lambda: {})
    decide_id: dict[type[Id], Decide] = field(default_factory=lambda: {})
    visible: dict[type[Entity], Visible] = field(default_factory=lambda: {})
    keys: dict[str, Callable[[ReadTx], Iterable[int]]] = field(default_factory=lambda: {})
    expired: list[Callable[[ReadTx, datetime, datetime], bool]] = field(default_factory=lambda: [])
    permits: Callable[[ReadTx, Operation, Command[Any]], tuple[str, ...]] = _allow
    guards: list[Callable[[ReadTx, Operation, Command[Any]], None]] = field(
        default_factory=lambda: []
    )
    entity_guards: list[Callable[[WriteTx, Entity, bytes], None]] = field(
        default_factory=lambda: []
    )
    followers: list[Callable[[WriteTx, Entity, Entity | None], None]] = field(
        default_factory=lambda: []
    )
    lens: Callable[[View, Caller], View] = _clear


ports = Ports()


def decides(kind: type[Entity]) -> Callable[[D], D]:
    """Declare who decides about one thing of this kind."""

    def hang(function: D) -> D:
        ports.decide[kind] = function
        return function

    return hang


def filters(kind: type[Entity]) -> Callable[[D], D]:
    """Declare who filters lists of this kind."""

    def hang(function: D) -> D:
        ports.visible[kind] = function
        return function

    return hang


def seen(tx: ReadTx, kind: type[Entity]) -> ColumnElement[bool]:
    """What the caller sees of a kind, as one condition for the queries of other kinds."""
    ways = ports.visible[kind](tx)
    return or_(*ways) if isinstance(ways, tuple) else ways


def pins(kind: type[Entity], listed: Filter) -> Callable[[D], D]:
    """Declare what of this kind a pinned credential sees: one by one, and `listed` as a filter."""

    def hang(function: D) -> D:
        ports.pinned[kind], ports.pinned_to[kind] = function, listed
        return function

    return hang
