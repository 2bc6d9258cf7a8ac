"""A statement that runs on the driver's cursor: the rows, keys and counts of SQLAlchemy's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Index,
    MetaData,
    Table,
    bindparam,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import StaticPool

from scoped_mcp.storage import driver
from scoped_mcp.storage.among import among, keys
from scoped_mcp.storage.connection import SQLiteConn
from scoped_mcp.storage.types import Bytes, Flag, Key, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

METADATA = MetaData()
THINGS = Table(
    "things",
    METADATA,
    Column("id", Key, primary_key=True),
    Column("name", Words),
    Column("data", Bytes),
    Column("flag", Flag),
    Index("ix_things_name", "name"),
    sqlite_strict=True,
)
ROWS = st.fixed_dictionaries(
    {
        "name": st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        "data": st.none() | st.binary(),
        "flag": st.sampled_from([0, 1, 2**53]),
    }
)


@dataclass
class Both:
    """The two ways to one table: ours, and SQLAlchemy's own."""

    ours: SQLiteConn
    theirs: Connection

    def rows(self, statement: Any, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows by SQLAlchemy, at a first sight, at a second, and as one of a shape: equal."""
        theirs = self.theirs.execute(statement, values).fetchall()
        found = [tuple(row) for row in theirs]
        anew = statement.where()  # of the same shape
        for one in (statement, statement, anew):
            rows = self.ours.rows(one, values)
            assert [tuple(row) for row in rows] == found
            assert [row._fields for row in rows] == [row._fields for row in theirs]
            first = self.ours.row(one, values)
            assert (first is None) == (not found)
            assert first is None or tuple(first) == found[0]
        return found


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    raw = driver.dbapi.connect(":memory:", isolation_level=None, check_same_thread=False)
    engine = create_engine(
        "sqlite://",
        module=driver.dbapi,
        creator=lambda: raw,
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        METADATA.create_all(connection)
        yield Both(SQLiteConn(raw), connection)
        connection.detach()
    raw.close()


@given(st.lists(ROWS, min_size=1, max_size=4), st.data())
def test_both_ways_write_and_read_the_same(
    both: Both, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    adding, conn = insert(THINGS), both.ours
    made = [conn.insert(adding, row) for row in rows]
    assert made == list(range(made[0], made[0] + len(rows)))
    wanted = data.draw(st.lists(st.sampled_from(made), unique=True))
    asked = select(THINGS).where(among(THINGS.c.id)).order_by(THINGS.c.id)
    expected = [
        (key, row["name"], row["data"], row["flag"])
        for key, row in zip(made, rows, strict=True)
        if key in wanted
    ]
    assert both.rows(asked, {"keys": keys(wanted)}) == expected
    spelt = select(THINGS).where(THINGS.c.id.in_(wanted)).order_by(THINGS.c.id)
    assert both.rows(spelt, {}) == expected
    change = update(THINGS).where(THINGS.c.id >= bindparam("first")).values(name=bindparam("new"))
    for name in ("once", "twice"):
        assert conn.update(change, {"first": made[0], "new": name}) == len(rows)
    more = [{"id": made[-1] + n, **row} for n, row in enumerate(rows, 1)]
    conn.insert_all(insert(THINGS), more)
    added = select(THINGS).where(THINGS.c.id > bindparam("last")).order_by(THINGS.c.id)
    listed = [(row["id"], row["name"], row["data"], row["flag"]) for row in more]
    assert both.rows(added, {"last": made[-1]}) == listed


def test_a_list_that_differs_from_call_to_call_is_for_another_way(both: Both) -> None:
    statement = select(THINGS.c.id).where(THINGS.c.id.in_(bindparam("some", expanding=True)))
    both.ours.rows(statement, {"some": [0]})
    with pytest.raises(TypeError, match="among"):
        both.ours.rows(statement, {"some": [0, -1]})


def test_a_missing_value_is_an_error_both_times(both: Both) -> None:
    statement = select(THINGS).where(THINGS.c.name == bindparam("name"))
    with pytest.raises(InvalidRequestError):
        both.ours.rows(statement, {"nam": "x"})
    with pytest.raises(KeyError):
        both.ours.rows(statement, {"nam": "x"})


def test_rows_that_name_other_columns_are_none_of_the_same_insert(both: Both) -> None:
    """Where they are as many, and of one type, the values of one would land in those of another."""
    rows = [{"id": -1, "name": "x", "flag": 1}, {"id": -2, "name": "y", "data": b""}]
    with pytest.raises(ValueError, match="unpack"):
        both.ours.insert_all(insert(THINGS), rows)
    assert both.rows(select(THINGS).where(THINGS.c.id < 0), {}) == []


def test_many_rows_have_a_patience_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long ago the statement before began."""
    monkeypatch.setattr(driver, "_LOOK_EVERY", 1)
    patience, raw = driver.Patience(), driver.dbapi.connect(":memory:", isolation_level=None)
    patience.guard(raw)
    raw.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
    monkeypatch.setattr(driver, "STATEMENT_SECONDS", -1.0)
    patience.begin()
    monkeypatch.setattr(driver, "STATEMENT_SECONDS", 60.0)
    SQLiteConn(raw, patience).insert_all(insert(THINGS), [{"id": 1, "name": "x"}])
    assert raw.execute("SELECT id FROM things").fetchall() == [(1,)]
    raw.close()
