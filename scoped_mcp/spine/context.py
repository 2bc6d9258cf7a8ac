"""What the operations of one transaction share, and what each leaves for the trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scoped_mcp.kernel.ids import EntryId
from scoped_mcp.spine.caller import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from scoped_mcp.kernel.clock import Entropy
    from scoped_mcp.kernel.limits import Limits
    from scoped_mcp.spine.caller import Caller
    from scoped_mcp.spine.declare import Command
    from scoped_mcp.spine.entity import Entity
    from scoped_mcp.spine.tx import WriteTx
    from scoped_mcp.storage.connection import Conn


@dataclass(frozen=True)
class House:
    """What never changes about an organisation."""

    organisation: str
    principal: str
    root: str


@dataclass
class Record:
    """One operation on its way to its trace entry."""

    operation: str
    key: int
    public_id: str = ""
    parent: str | None = None
    asked: dict[str, Any] = field(default_factory=lambda: {})
    arguments: bytes = b""
    target: str | None = None
    owner: str | None = None
    scope: str | None = None
    rules: tuple[str, ...] = ()
    changes: list[dict[str, Any]] = field(default_factory=lambda: [])
    events: list[tuple[str, str, int]] = field(default_factory=lambda: [])
    authority: bool = False
    repeated: bool = False
    under: str | None = None
    targets: frozenset[str] = frozenset()
    notes: list[tuple[Any, Mapping[str, Any]]] = field(default_factory=lambda: [])


@dataclass
class Context:
    """What the operations of one transaction share."""

    conn: Conn
    now: datetime
    house: House
    limits: Limits
    entropy: Entropy
    secret: bytes
    numbers: Iterator[int]
    perform: Callable[[WriteTx, Command[Any], frozenset[str]], Any]
    caller: Caller
    origin: Origin = field(default_factory=lambda: Origin(face="house"))
    records: list[Record] = field(default_factory=lambda: [])
    entities: dict[str, Entity] = field(default_factory=lambda: {})
    keys: dict[str, int] = field(default_factory=lambda: {})
    memo: dict[Any, Any] = field(default_factory=lambda: {})
    prepared: dict[Any, Any] = field(default_factory=lambda: {})
    inline: int = 0

    def name(self, record: Record) -> str:
        """The id of a record's entry, drawn when its caller is known: from that stream (68)."""
        if not record.public_id:
            record.public_id = EntryId.of(self.entropy.draw(self.caller.principal, 10))
        return record.public_id

    def forget(self) -> None:
        """Rights may have changed: work out anew what was worked out, here and in the database."""
        self.memo.clear()
        self.conn.forget()
