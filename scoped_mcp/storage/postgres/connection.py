"""`Conn` over psycopg, in pipeline mode: what needs no answer is not waited for.

Half of what a write says needs no answer — rows that are added, marks that are set — and each
statement that is waited for costs a round trip.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

from psycopg.generators import send
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import ARRAY, String, Text, bindparam, func, insert, select

from scoped_mcp.storage.plans import NOTHING, Plans
from scoped_mcp.storage.postgres.dialect import DIALECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from psycopg import Connection, Cursor, Pipeline
    from sqlalchemy import Executable, Insert
    from sqlalchemy.types import TypeEngine

    from scoped_mcp.storage.connection import KeysOf
    from scoped_mcp.storage.plans import Plan

Raw = "Connection[tuple[Any, ...]]"
_SETTING = "set_config(%s, %s, true)"
_NUMBER = "SELECT nextval('entry_numbers')"
_PLANS = Plans(DIALECT)


def settle(raw: Connection[Any]) -> None:
    """Send every number as one type, or each size of number is another prepared statement."""
    raw.adapters.register_dumper(int, Int8Dumper)


class PostgresConn:
    """See `Conn`."""

    def __init__(
        self,
        raw: Connection[Any],
        pipeline: Pipeline,
        *,
        now: datetime,
        alone: bool = True,
        number: int = 0,
    ) -> None:
        self._raw = raw
        self._pipeline = pipeline
        self.now: datetime | None = now
        self.alone = alone
        self._number = number
        self._keys_of: KeysOf | None = None
        self._told: set[str] = set()
        self._said: set[str] = set()  # in all of the transaction, whether or not it still holds

    def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row of a query."""
        plan, cursor = self._run(statement, values or NOTHING)
        return plan.named(cursor, cursor.fetchall())

    def row(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a row
        """The first row of a query, or None."""
        plan, cursor = self._run(statement, values or NOTHING)
        found = cursor.fetchone()
        return None if found is None else plan.named(cursor, [found])[0]

    def insert(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert one row; its integer key where the table makes one."""
        plan, cursor = self._run(statement, values)
        if plan.returns:
            return int(cast("Any", cursor.fetchone())[0])
        self.sync()
        return 0

    def insert_all(self, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows that name the same columns, keys included: as one list a column."""
        columns = {name: statement.table.c[name] for name in rows[0]}
        lists = [bindparam(name, type_=ARRAY(_plain(c.type))) for name, c in columns.items()]
        those = select(func.unnest(*lists).table_valued(*columns).render_derived())
        many = insert(statement.table).from_select(list(columns), those, include_defaults=False)
        self._run(many, {name: [row[name] for row in rows] for name in columns})
        self.sync()

    def count_on(self, keys: Mapping[str, int]) -> None:
        """PostgreSQL counts beside its tables."""
        for table, key in keys.items():
            if table == "entries":
                self._raw.execute("SELECT setval('entry_numbers', %s)", [key])
            else:
                serial = "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)"
                self._raw.execute(serial, [table, key])

    def update(self, statement: Any, values: Mapping[str, Any]) -> int:  # noqa: ANN401 - or Delete
        """Change rows; how many."""
        _, cursor = self._run(statement, values)
        self.sync()
        return cursor.rowcount

    def send(self, statement: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - any of those
        """Insert or change without waiting: a refusal shows at a later statement, or at the end."""
        self._run(statement, values)

    def numbers(self, last: int) -> Iterator[int]:  # noqa: ARG002 - the sequence knows
        """From the sequence that all processes draw from; the first came with the order."""
        if not self._number:  # a snapshot, in which nothing is stored and no sequence moves
            yield from itertools.count()
        yield self._number
        while True:
            yield int(cast("Any", self._raw.execute(_NUMBER).fetchone())[0])

    def seen_by(self, keys: KeysOf) -> None:
        """Walls are told when a statement first meets one, and nothing of who asked before."""
        if self._said:
            self._say(dict.fromkeys(self._said, ""))
        self._keys_of = keys
        self._told.clear()

    def forget(self) -> None:
        """Tell them again when it next does."""
        self._told.clear()

    def savepoint(self, name: str) -> None:
        """Mark where `rollback` may return to."""
        self._raw.execute(f"SAVEPOINT {name}".encode())

    def release(self, name: str) -> None:
        """Forget the mark and keep what was done since."""
        self._raw.execute(f"RELEASE SAVEPOINT {name}".encode())

    def rollback(self, name: str) -> None:
        """Undo what was done since the mark, and forget it."""
        self._raw.execute(f"ROLLBACK TO SAVEPOINT {name}".encode())
        self._raw.execute(f"RELEASE SAVEPOINT {name}".encode())
        self._told.clear()  # what was told since is undone, too

    def sync(self) -> None:
        """Wait until everything that was said is done, or refused.

        The driver's own looks for answers to what it may not yet have sent whole, for ever, where
        that is more than a socket holds (psycopg#685).
        """
        self._raw.wait(send(self._raw.pgconn))
        self._pipeline.sync()

    def _run(self, statement: Any, values: Mapping[str, Any]) -> tuple[Plan, Cursor[Any]]:  # noqa: ANN401 - any statement
        plan, sql, parameters = _PLANS.ready(statement, values)
        self._at_walls(plan)
        spelt: Any = sql  # psycopg takes only what is spelt in the code; the compiler spelt this
        return plan, self._raw.execute(spelt, parameters)

    def _at_walls(self, plan: Plan) -> None:
        if not plan.asks <= self._told:
            self._tell(plan.asks - self._told)

    def _tell(self, names: Iterable[str]) -> None:
        """Tell the walls in a statement's way what they ask for.

        INVARIANT: what is asked to work the keys out looks past walls, or it would ask itself.
        """
        told: dict[str, str] = {}
        for name in sorted(names):
            keys = None if self._keys_of is None else self._keys_of(name)
            if keys is not None:
                value = ",".join(map(str, keys))
                told[name] = value and f"{{{value}}}"
                self._told.add(name)
        if told:
            self._say(told)

    def _say(self, told: Mapping[str, str]) -> None:
        self._said.update(told)
        settings = ", ".join([_SETTING] * len(told))
        values = [word for name, value in told.items() for word in (f"scoped.{name}", value)]
        self._raw.execute(f"SELECT {settings}".encode(), values)


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """A type of which there are arrays: text with an order of its own is none."""
    return String() if isinstance(kind, Text) else kind
