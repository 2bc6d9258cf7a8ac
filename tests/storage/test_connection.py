"""A statement seen again runs on the driver's cursor: same rows, same keys, same counts."""

from __future__ import annotations

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
from sqlalchemy.pool import StaticPool

from scoped_mcp.storage import driver
from scoped_mcp.storage.among import among, keys
from scoped_mcp.storage.connection import SQLiteConn
from scoped_mcp.storage.types import Bytes, Flag, Key, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def conn() -> Iterator[SQLiteConn]:
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
        yield SQLiteConn(connection)
        connection.detach()
    raw.close()


def both(conn: SQLiteConn, statement: Any, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows by SQLAlchemy (a first sight) and by the plan (a second): equal."""
    first, again = conn.rows(statement, values), conn.rows(statement, values)
    assert type(first[0] if first else None) is not type(again[0] if again else ())
    assert [tuple(row) for row in first] == [tuple(row) for row in again]
    assert [row._fields for row in first] == [row._fields for row in again]
    one = conn.row(statement, values)
    assert (one is None) == (not again)
    assert one is None or tuple(one) == tuple(again[0])
    return [tuple(row) for row in again]


@given(st.lists(ROWS, min_size=1, max_size=4), st.data())
def test_both_ways_write_and_read_the_same(
    conn: SQLiteConn, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    adding = insert(THINGS)
    made = [conn.insert(adding, row) for row in rows]
    assert made == list(range(made[0], made[0] + len(rows)))
    wanted = data.draw(st.lists(st.sampled_from(made), unique=True))
    found = both(
        conn, select(THINGS).where(among(THINGS.c.id)).order_by(THINGS.c.id), {"keys": keys(wanted)}
    )
    assert found == [
        (key, row["name"], row["data"], row["flag"])
        for key, row in zip(made, rows, strict=True)
        if key in wanted
    ]
    change = update(THINGS).where(THINGS.c.id >= bindparam("first")).values(name=bindparam("new"))
    for name in ("once", "twice"):
        assert conn.update(change, {"first": made[0], "new": name}) == len(rows)


def test_a_list_that_differs_from_call_to_call_is_left_to_sqlalchemy(conn: SQLiteConn) -> None:
    statement = select(THINGS.c.id).where(THINGS.c.id.in_(bindparam("some", expanding=True)))
    assert [conn.rows(statement, {"some": some}) for some in ([], [0], [0, -1])] == [[], [], []]


def test_a_missing_value_is_an_error_both_times(conn: SQLiteConn) -> None:
    statement = select(THINGS).where(THINGS.c.name == bindparam("name"))
    conn.rows(statement, {"name": "x"})
    with pytest.raises(Exception):  # noqa: B017 - of either library: it must not pass
        conn.rows(statement, {"nam": "x"})
