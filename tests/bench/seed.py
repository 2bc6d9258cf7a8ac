"""Many objects in little time: rows as the product writes them, written below it.

The product makes one object; its entry, its versions and its row are the pattern. What is seeded is
valid — `audit verify` finds nothing — because digests, canonical bytes, columns and the chain are
computed by the product's own functions; what it saves is everything else, and an entry an object:
as many as `TOGETHER` share one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoped_mcp.kernel import canonical
from scoped_mcp.kernel.ids import EntryId, ObjectId
from scoped_mcp.spine.trace import columns_of
from scoped_mcp.storage import driver

TOGETHER = 500
_LAST = "SELECT id, body FROM entries WHERE operation = 'object.create' ORDER BY id DESC LIMIT 1"
_VERSION = (
    "SELECT c.content, o.* FROM versions v JOIN version_contents c USING (id, version)"
    " JOIN objects o USING (id) WHERE v.entry = ?"
)
_HEAD = "UPDATE chain_heads SET seq = ?, hash = ?, at = ? WHERE chain = 0"


def seed(path: Path, data: Sequence[dict[str, Any]], rare: str = "rare", each: int = 250) -> None:
    """Copies of the newest object that was created, of the same owner, at its place.

    Args:
        path: The database; no server has it open.
        data: What the new ones hold, one by one.
        rare: The type of one of so many; the others have the pattern's.
        each: How many that is.
    """
    raw = driver.connect(path)
    entry, body = raw.execute(_LAST).fetchone()
    found = raw.execute(_VERSION, (entry,))
    names = [column[0] for column in found.description][1:]
    content, *row = found.fetchone()
    pattern = _Pattern(json.loads(body), json.loads(content), dict(zip(names, row, strict=True)))
    for first in range(0, len(data), TOGETHER):
        raw.execute("BEGIN IMMEDIATE")
        some = list(enumerate(data[first : first + TOGETHER], first))
        _write(raw, pattern, [(rare if n % each == 0 else None, one) for n, one in some])
        raw.execute("COMMIT")
    raw.close()


class _Pattern:
    def __init__(self, body: dict[str, Any], content: dict[str, Any], row: dict[str, Any]) -> None:
        self.body, self.content, self.row = body, content, row


def _write(raw: Any, pattern: _Pattern, some: list[tuple[str | None, dict[str, Any]]]) -> None:
    (entry,) = raw.execute("SELECT max(id) + 1 FROM entries").fetchone()
    (key,) = raw.execute("SELECT max(id) + 1 FROM registry").fetchone()
    seq, previous, at = raw.execute("SELECT seq, hash, at FROM chain_heads").fetchone()
    changes: list[dict[str, Any]] = []
    rows: dict[str, list[tuple[Any, ...]]] = {}
    target = ""
    for number, (kind, data) in enumerate(some, key):
        target = ObjectId.of(secrets.token_bytes(10))
        urn = pattern.body["changes"][0]["urn"].rpartition(":")[0] + f":{target}"
        salt = secrets.token_bytes(32)
        of = kind or pattern.row["type"]
        state = {**pattern.content["state"], "id": target, "type": of, "data": data}
        content = canonical.encode({**pattern.content, "state": state})
        digest = canonical.digest(salt, content)
        row = {**pattern.row, "id": number, "entry": entry, "type": of}
        rows.setdefault("registry", []).append((number, target, urn, "object", entry))
        rows.setdefault("versions", []).append((number, 1, entry, digest))
        rows.setdefault("version_contents", []).append((number, 1, content, salt, None))
        rows.setdefault("objects", []).append(tuple(row.values()))
        changes.append({"urn": urn, "from": None, "to": 1, "digest": digest.hex()})
    of_all = {"id": EntryId.of(secrets.token_bytes(10)), "number": entry, "seq": seq + 1}
    body = {**pattern.body, **of_all, "at": at, "changes": changes, "prev": previous.hex()}
    body["target"] = target
    encoded = canonical.encode(body)
    digest = hashlib.sha256(encoded).digest()
    known = "SELECT id FROM registry WHERE public_id = ?"
    for table, many in rows.items():
        marks = ", ".join("?" * len(many[0]))
        raw.executemany(f"INSERT INTO {table} VALUES ({marks})", many)
    columns = columns_of(body, lambda one: raw.execute(known, (one,)).fetchone()[0])
    columns |= {"body": encoded, "hash": digest}
    marks = ", ".join(f":{name}" for name in columns)
    raw.execute(f"INSERT INTO entries ({', '.join(columns)}) VALUES ({marks})", columns)
    raw.execute(_HEAD, (seq + 1, digest, at))
