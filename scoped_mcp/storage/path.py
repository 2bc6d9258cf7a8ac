"""The tables of the path: what every operation writes, whatever room it is of.

Rooms 1 (registry), 6 (audit) and 14 (events) own the reading of them; the spine writes them.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from scoped_mcp.storage.metadata import metadata, sparse
from scoped_mcp.storage.types import Bytes, Key, Words

registry = Table(
    "registry",
    metadata,
    Column("id", Key, primary_key=True),
    Column("public_id", Words, nullable=False, unique=True),
    Column("urn", Words, nullable=False, unique=True),
    Column("kind", Words, nullable=False),
    Column(
        "entry",
        Key,
        ForeignKey("entries.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Index("ix_registry_entry", "entry"),
    sqlite_strict=True,
)
"""Nothing exists without a row here. Immutable: what changes stands in state tables."""

versions = Table(
    "versions",
    metadata,
    Column("id", Key, ForeignKey("registry.id"), primary_key=True, autoincrement=False),
    Column("version", Key, primary_key=True, autoincrement=False),
    Column(
        "entry",
        Key,
        ForeignKey("entries.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("digest", Bytes, nullable=False),
    UniqueConstraint("id", "version", "entry"),
    Index("ix_versions_entry", "entry"),
    sqlite_strict=True,
)
"""Every version of every thing: SHA-256 over salt and content."""

version_contents = Table(
    "version_contents",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("version", Key, primary_key=True, autoincrement=False),
    Column("content", Bytes),
    Column("salt", Bytes),
    Column("erasure", Key, ForeignKey("entries.id", deferrable=True, initially="DEFERRED")),
    sparse("ix_version_contents_erasure", "erasure"),
    sqlite_strict=True,
)
"""Content and salt, apart from the digest, so that erasing both leaves the chain whole."""

entries = Table(
    "entries",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("chain", Key, nullable=False),
    Column("seq", Key, nullable=False),
    Column("public_id", Words, nullable=False, unique=True),
    Column("at", Words, nullable=False),
    Column("principal", Key, nullable=False),
    Column("session", Key),
    Column("operation", Words, nullable=False),
    Column("target", Key),
    Column("owner", Key),
    Column("scope", Key),
    Column("outcome", Words, nullable=False),
    Column("body", Bytes, nullable=False),
    Column("hash", Bytes, nullable=False),
    UniqueConstraint("chain", "seq"),
    Index("ix_entries_principal", "principal", "id"),
    Index("ix_entries_target", "target", "id"),
    Index("ix_entries_owner", "owner", "id"),
    sparse("ix_entries_scope", "scope", "id"),
    sqlite_strict=True,
)
"""The trail. `body` holds the exact canonical bytes that `hash` is over; every column is in it."""

chain_heads = Table(
    "chain_heads",
    metadata,
    Column("chain", Key, primary_key=True, autoincrement=False),
    Column("seq", Key, nullable=False),
    Column("hash", Bytes, nullable=False),
    Column("at", Words, nullable=False),
    Column("authority", Key, nullable=False),
    sqlite_strict=True,
)
"""The end of each chain, and the newest entry that changed anybody's rights (ruling 54)."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Key, primary_key=True),
    Column(
        "entry",
        Key,
        ForeignKey("entries.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("event", Words, nullable=False),
    Column("subject", Key, nullable=False),
    Column("version", Key, nullable=False),
    Index("ix_outbox_entry", "entry"),
    sqlite_strict=True,
)
"""Events, committed with what they tell of; whoever delivers one deletes it."""

last_seen = Table(
    "last_seen",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("at", Words, nullable=False),
    Column("until", Words),
    Index("ix_last_seen_until", "until"),
    sqlite_strict=True,
)
"""When a session or environment was last used, and until when that keeps it alive.

Not state: no version, no trace (ruling 18).
"""

sizes = Table(
    "sizes",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("things", Key, nullable=False),
    sqlite_strict=True,
)
"""How many things there are inside a thing: derived in the same transaction (ruling 14)."""

repetitions = Table(
    "repetitions",
    metadata,
    Column("credential", Key, primary_key=True, autoincrement=False),
    Column("key", Words, primary_key=True),
    Column("arguments", Bytes, nullable=False),
    Column("entry", Key, nullable=False),
    Column("at", Words, nullable=False),
    sqlite_strict=True,
)
"""Idempotency keys of the last 24 hours (ruling 19)."""

MUTABLE = frozenset({"outbox", "last_seen", "repetitions", "sizes", "follows"})
"""Derived tables, whose rows have no versions."""
DELETABLE = frozenset({"outbox", "repetitions", "follows"})
"""Those of them from which rows go."""
APPEND_ONLY = frozenset({"registry", "versions", "entries"})
"""Tables whose rows never change."""
