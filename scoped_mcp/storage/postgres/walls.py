"""Row security, made and unmade with the guards: the second wall behind the path's own filters.

    every table         no row, in or out, unless the path began the transaction
    a walled table      rows for which its wall holds; changed through its door alone
    its door            a view of all its rows, for the path's decisions and changes

The wall stands against a statement that forgets whom it is for, not against somebody who writes
SQL as `scoped_app`: who can say anything can say who they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import errors, sql
from sqlalchemy import delete

from scoped_mcp.storage.path import APPEND_ONLY
from scoped_mcp.storage.postgres.dialect import DIALECT, door_of
from scoped_mcp.storage.postgres.roles import APP, OWNER
from scoped_mcp.storage.walls import walls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import Connection

    from scoped_mcp.storage.walls import Wall

ENTER = "set_config('scoped.caller', '0', true)"
"""Said when the path begins a transaction: it may decide, and nobody is known yet."""
_ENTERED = "current_setting('scoped.caller', true) <> ''"
_FREE = {"alembic_version"}  # what a server must read to know whether it may begin at all
_POLICIES = """
SELECT tablename, policyname, cmd || ' to ' || array_to_string(roles, ',') || ': '
  || COALESCE(qual, '-') || ' / ' || COALESCE(with_check, '-')
FROM pg_policies WHERE schemaname = %s
"""
_DOORS = """
SELECT viewname, viewname, viewowner || ': ' || definition FROM pg_views WHERE schemaname = %s
"""
_SECURED = """
SELECT relname, relname, 'forced' FROM pg_class
WHERE relnamespace = %s::regnamespace AND relrowsecurity AND relforcerowsecurity
"""


def present(raw: Connection[Any], schema: str) -> dict[str, str]:
    """What the schema has: tables whose security is forced, their policies, their doors."""
    found: dict[str, str] = {}
    for asked, what in ((_SECURED, "table"), (_POLICIES, "policy"), (_DOORS, "door")):
        rows = raw.execute(asked.encode(), [schema]).fetchall()
        found |= {f"{what} {table} {name}": words for table, name, words in rows}
    return found


def drop(raw: Connection[Any], schema: str) -> None:
    """Take every wall down: migrations only, which must see all rows."""
    for table, name, _ in raw.execute(_POLICIES, [schema]).fetchall():
        policy, place = sql.Identifier(name), sql.Identifier(table)
        raw.execute(sql.SQL("DROP POLICY {} ON {}").format(policy, place))
    for view, _, _ in raw.execute(_DOORS, [schema]).fetchall():
        raw.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(view)))
    for table, _, _ in raw.execute(_SECURED, [schema]).fetchall():
        words = sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
        raw.execute(words.format(sql.Identifier(table)))


def make(raw: Connection[Any], tables: Iterable[str]) -> None:
    """Put every wall up: migrations only."""
    secured = sorted(set(tables) - _FREE)
    for table in secured:
        _run(raw, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        _run(raw, f"CREATE POLICY owner ON {table} TO {OWNER} USING (true) WITH CHECK (true)")
        if table in walls:
            _door(raw, table)
    for table in secured:
        if table in walls:
            _run(raw, f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {APP}")
            _shown(raw, table, walls[table])
        else:
            _run(
                raw,
                f"CREATE POLICY path ON {table} TO {APP}"
                f" USING ({_ENTERED}) WITH CHECK ({_ENTERED})",
            )


def _door(raw: Connection[Any], table: str) -> None:
    """All rows, for whoever began as the path does; what is put in is checked for the same."""
    door, rights = door_of(table), "SELECT, INSERT"
    _run(
        raw,
        f"CREATE VIEW {door} AS SELECT * FROM {table} WHERE {_ENTERED} WITH CASCADED CHECK OPTION",  # noqa: S608 - names of ours
    )
    rights += "" if table in APPEND_ONLY else ", UPDATE"
    _run(raw, f"GRANT {rights} ON {door} TO {APP}")


def _shown(raw: Connection[Any], table: str, wall: Wall) -> None:
    """The wall itself. At a revision that lacks what it speaks of, nothing is shown."""
    # CASE keeps the planner from looking for indexes in the condition: the statement's own words
    # are what it is to be planned by, and planning it costs more than checking a page.
    shown = "CASE WHEN {} THEN true ELSE false END"
    policy = f"CREATE POLICY shown ON {table} FOR SELECT TO {APP} USING ({_ENTERED} AND {shown})"
    try:
        with raw.transaction():
            _run(raw, policy.format(condition(wall)))
    except (errors.UndefinedTable, errors.UndefinedColumn):
        _run(raw, policy.format("false"))


def condition(wall: Wall) -> str:
    """What a wall says, in SQL; other walled tables it reads by their doors."""
    compiled = (
        delete(wall.table)
        .where(wall.shown)
        .compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
    )
    return str(compiled).partition("WHERE ")[2].replace("%%", "%")


def _run(raw: Connection[Any], statement: str) -> None:
    raw.execute(statement.encode())
