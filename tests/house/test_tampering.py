"""Net 6: rows edited, deleted, inserted, swapped and cut below the application are found.

Generated from the schema: a table that is added later is tampered with later. Whoever owns the
database file also owns its triggers and keys, so both are out of the way here. What verification
cannot see by itself is a chain whose head was rewritten with it: that takes a checkpoint kept
outside (ruling 52), and the last test says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table

from scoped_mcp.layers.audit.model import VerifyView
from scoped_mcp.layers.audit.store import verify
from scoped_mcp.storage.metadata import metadata
from scoped_mcp.storage.path import MUTABLE
from tests.grounds import Ground
from tests.promises import promise
from tests.sample import plan

TABLES = [table for table in metadata.sorted_tables if table.name not in MUTABLE]
COLUMNS = [(table, column.name) for table in TABLES for column in table.columns]
ENTRIES = {"entries", "versions", "version_contents"}
"""Tables whose rows belong to one entry each, which the finding must name."""


class Copy:
    """A copy of the sample house without its triggers and keys; every edit is undone."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        self._stack = ExitStack()
        url = ground.copy(plan(ground).url, folder)
        self._stack.callback(ground.forget, url)
        self.raw = self._stack.enter_context(ground.below(url))
        for statement in ground.unique(self.raw):
            self.raw.execute(statement)
        self._conn = self._stack.enter_context(ground.conn(self.raw))

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(self.raw.execute(statement, values).fetchall())

    def found(self, *edits: tuple[Any, ...], bounds: tuple[int, int | None] = (1, None)) -> Any:
        """What verification finds after these edits, which are then undone."""
        self.raw.execute("BEGIN")
        try:
            for statement, *values in edits:
                changed = self.raw.execute(statement, values).rowcount
                assert changed > 0, "an edit that changes nothing proves nothing"
            return verify(self._conn, *bounds)[1]
        finally:
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Ground], Copy]]:
    made: dict[str, Copy] = {}

    def copy_on(ground: Ground) -> Copy:
        if ground.name not in made:
            made[ground.name] = Copy(ground, tmp_path_factory.mktemp("tampered"))
        return made[ground.name]

    yield copy_on
    for one in made.values():
        one.close()


@pytest.fixture
def copy(ground: Ground, copies: Callable[[Ground], Copy]) -> Copy:
    return copies(ground)


def _keys(table: Table) -> str:
    return " AND ".join(f"{column.name} = ?" for column in table.primary_key.columns)


def _order(table: Table) -> str:
    return ", ".join(column.name for column in table.primary_key.columns)


def _key_of(table: Table, row: dict[str, Any]) -> list[Any]:
    return [row[column.name] for column in table.primary_key.columns]


def _rows(copy: Copy, table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    listed = copy.sql(f"SELECT {', '.join(names)} FROM {table.name} ORDER BY {_order(table)}")
    return [dict(zip(names, row, strict=True)) for row in listed]


def _other(value: Any, column: Any) -> Any:
    """A value of the same type that is not this one."""
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, int):
        return value + 1_000
    if isinstance(value, str):
        return value[:-1] + ("b" if value[-1] != "b" else "c")
    kind = str(column.type).upper()
    return b"x" if "BLOB" in kind or "BINARY" in kind else 1 if "INT" in kind else "x"


def _names_the_entry(copy: Copy, table: Table, finding: Any, row: dict[str, Any]) -> bool:
    if table.name == "entries":
        return finding.public_id is not None
    if table.name == "chain_heads":
        return True
    if table.name not in ENTRIES:
        return finding.public_id is not None
    entry = row.get("entry")
    if entry is None:
        found = copy.sql(
            "SELECT entry FROM versions WHERE id = ? AND version = ?", row["id"], row["version"]
        )
        entry = found[0][0]
    ((public_id,),) = copy.sql("SELECT public_id FROM entries WHERE id = ?", entry)
    return finding.public_id == public_id


@pytest.mark.both
def test_the_sample_house_verifies(copy: Copy) -> None:
    assert copy.found() is None


def test_the_sample_has_a_row_in_every_table(copy: Copy) -> None:
    for table in TABLES:
        assert _rows(copy, table), f"{table.name} is empty: furnish the sample"


@promise("readme.verify", "verify.columns", "audit.edits")
@pytest.mark.parametrize(("table", "name"), COLUMNS, ids=lambda o: getattr(o, "name", o))
def test_an_edited_column_is_found(copy: Copy, table: Table, name: str) -> None:
    rows = _rows(copy, table)
    for row in (rows[0], rows[-1]):
        value = _other(row[name], table.columns[name])
        statement = f"UPDATE {table.name} SET {name} = ? WHERE {_keys(table)}"
        finding = copy.found((statement, value, *_key_of(table, row)))
        assert finding is not None
        if name not in {"id", "seq", "entry", "version"}:
            assert _names_the_entry(copy, table, finding, row)


@promise("verify.columns")
@pytest.mark.parametrize(("table", "name"), COLUMNS, ids=lambda o: getattr(o, "name", o))
def test_an_emptied_column_is_found(copy: Copy, table: Table, name: str) -> None:
    row = next((r for r in reversed(_rows(copy, table)) if r[name] is not None), None)
    if row is None or not table.columns[name].nullable:
        return
    statement = f"UPDATE {table.name} SET {name} = NULL WHERE {_keys(table)}"
    assert copy.found((statement, *_key_of(table, row))) is not None


@pytest.mark.both
@promise("readme.verify", "audit.edits")
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_a_deleted_row_is_found(copy: Copy, table: Table) -> None:
    rows = _rows(copy, table)
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        statement = f"DELETE FROM {table.name} WHERE {_keys(table)}"
        assert copy.found((statement, *_key_of(table, row))) is not None


@pytest.mark.both
@promise("readme.verify", "audit.edits")
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_an_inserted_row_is_found(copy: Copy, table: Table) -> None:
    names = [column.name for column in table.columns]
    row = dict(_rows(copy, table)[0])
    for column in table.primary_key.columns:
        row[column.name] += 1_000_000
    for name in ("public_id", "urn"):
        if name in row:
            row[name] = row[name][:-4] + "zzzz"
    if table.name == "entries":
        row["seq"] += 1_000_000
    marks = ", ".join("?" for _ in names)
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
    assert copy.found((statement, *(row[name] for name in names))) is not None


@pytest.mark.both
@promise("readme.verify", "audit.edits")
@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_two_rows_swapped_are_found(copy: Copy, table: Table) -> None:
    """What two rows hold changes places; their keys stay."""
    names = [c.name for c in table.columns if not c.primary_key]
    rows = _rows(copy, table)
    pairs = [(one, two) for one in rows[:3] for two in rows[-3:] if one != two]
    statement = (
        f"UPDATE {table.name} SET {', '.join(f'{n} = ?' for n in names)} WHERE {_keys(table)}"
    )
    park = f"UPDATE {table.name} SET {_parked(table, names)} WHERE {_keys(table)}"
    for one, two in pairs:
        if all(one[name] == two[name] for name in names):
            continue
        edits = [(statement, *(two[n] for n in names), *_key_of(table, one))]
        edits.append((statement, *(one[n] for n in names), *_key_of(table, two)))
        if park.count("?") > len(table.primary_key.columns):
            edits.insert(0, (park, *("parked" for n in names if n in UNIQUE), *_key_of(table, two)))
        assert copy.found(*edits) is not None


UNIQUE = ("public_id", "urn")


def _parked(table: Table, names: list[str]) -> str:
    """Take unique values out of the way while two rows change places."""
    free = [f"{name} = ?" for name in names if name in UNIQUE]
    if "seq" in names:
        free.append("seq = -1")
    return ", ".join(free) or f"{_order(table)} = {_order(table)}"


@pytest.mark.both
@promise("readme.verify", "verify.tail", "audit.edits")
@pytest.mark.parametrize("gone", [1, 2, 10])
def test_a_cut_tail_is_found(copy: Copy, gone: int) -> None:
    finding = copy.found(
        ("DELETE FROM entries WHERE seq > (SELECT max(seq) - ? FROM entries)", gone)
    )
    assert finding is not None
    assert finding.problem == "truncated"


@pytest.mark.both
@promise("verify.tail")
def test_a_cut_tail_is_found_in_a_range_that_reaches_for_it(copy: Copy) -> None:
    ((last,),) = copy.sql("SELECT max(seq) FROM entries")
    cut = ("DELETE FROM entries WHERE seq > ?", last - 3)
    found = [
        copy.found(cut, bounds=bounds)
        for bounds in ((last - 1, None), (last - 5, None), (2, last), (last, last), (2, last - 3))
    ]
    problems = [None if one is None else (one.problem, one.seq) for one in found]
    end = ("truncated", last - 2)
    assert problems == [("truncated", last - 1), end, end, ("truncated", last), None]
    assert copy.found(cut, bounds=(last + 1, None)) is None


@pytest.mark.both
@promise("verify.tail")
@pytest.mark.parametrize("column", ["seq", "hash", "at", "authority", "chain"])
def test_a_head_that_was_not_rewritten_whole_is_found(copy: Copy, column: str) -> None:
    """The tail is cut and the head follows, but for one column."""
    (seq, hashed, at) = copy.sql("SELECT seq, hash, at FROM entries ORDER BY seq DESC")[3]
    new = {"seq": seq, "hash": hashed, "at": at, "authority": seq, "chain": 0}
    new[column] = _other(new[column], None)
    names = ", ".join(f"{name} = ?" for name in new)
    edits = (
        ("DELETE FROM entries WHERE seq > ?", seq),
        (f"UPDATE chain_heads SET {names}", *new.values()),
    )
    assert copy.found(*edits) is not None


@promise("audit.edits")
def test_an_entry_inserted_with_a_hash_of_its_own_is_found(copy: Copy) -> None:
    """A forger recomputes the hash of the entry that is added, and moves the rest up."""
    names = [c.name for c in metadata.tables["entries"].columns]
    row = _rows(copy, metadata.tables["entries"])[4]
    body = row["body"].replace(b'"code":null', b'"code":"x"', 1)
    row |= {"body": body, "hash": hashlib.sha256(body).digest()}
    where = "UPDATE entries SET body = ?, hash = ? WHERE id = ?"
    finding = copy.found((where, row["body"], row["hash"], row["id"]))
    assert finding is not None
    assert finding.problem in {"inserted", "edited"}
    assert finding.public_id is not None
    assert names


@promise("content.salt")
def test_content_that_was_emptied_is_not_taken_for_erased(copy: Copy) -> None:
    """Only an erasure that the trail knows of explains why content is gone (ruling 49)."""
    for entry in (None, 1, 5, 1_000_000):
        gone = "UPDATE version_contents SET content = NULL, salt = NULL, erasure = ? WHERE id = ?"
        for table in ("objects", "memberships", "registry"):
            ((key,),) = copy.sql(f"SELECT id FROM {table} ORDER BY id DESC LIMIT 1")
            assert copy.found((gone, entry, key)) is not None


def test_every_finding_can_be_shown(copy: Copy) -> None:
    """The words of a finding are those that the view allows."""
    allowed = VerifyView.model_fields["problem"].annotation
    assert allowed is not None
    for table in TABLES:
        row = _rows(copy, table)[-1]
        statement = f"DELETE FROM {table.name} WHERE {_keys(table)}"
        finding = copy.found((statement, *_key_of(table, row)))
        VerifyView.model_validate(
            {
                "ok": False,
                "entries": 1,
                "versions": 1,
                "head": "",
                "problem": {
                    "seq": finding.seq,
                    "entry": finding.public_id,
                    "problem": finding.problem,
                    "detail": finding.detail,
                },
            }
        )


@pytest.mark.both
@promise("verify.tail")
def test_a_chain_rewritten_with_its_head_needs_a_checkpoint_outside(copy: Copy) -> None:
    """What is promised ends here: the last entry and what it did are gone, the head says so too.

    The newest entry of the sample read the trail and changed nothing, so nothing else tells.
    """
    (seq, hashed, at) = copy.sql("SELECT seq, hash, at FROM entries ORDER BY seq DESC")[1]
    finding = copy.found(
        ("DELETE FROM entries WHERE seq > ?", seq),
        ("UPDATE chain_heads SET seq = ?, hash = ?, at = ?", seq, hashed, at),
    )
    assert finding is None
