"""Triggers that refuse what slips past the path: the same promises as SQLite's guards keep.

PostgreSQL has no `REPLACE` that pushes rows aside, so that nothing is asked of an insert; it has
TRUNCATE, which is refused as every deletion is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from scoped_mcp.storage.guards import refusal_of

if TYPE_CHECKING:
    from psycopg import Connection
    from sqlalchemy import Connection as Inspected

_FUNCTION = """
CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
  RAISE EXCEPTION 'guard: % refuses this %', TG_TABLE_NAME, lower(TG_OP)
    USING ERRCODE = 'integrity_constraint_violation';
END $guard$
"""
_NUMBERS = "CREATE SEQUENCE IF NOT EXISTS entry_numbers"
_PRESENT = """
SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND n.nspname = %s
"""


def declared(connection: Inspected) -> dict[str, str]:
    """The guards that this schema must have: trigger name → statement."""
    guards: dict[str, str] = {}
    inspector = inspect(connection)
    for table in sorted(inspector.get_table_names()):
        columns = {column["name"] for column in inspector.get_columns(table)}
        refuse = refusal_of(table, columns)
        if refuse is None:
            continue
        when = "" if refuse == "1" else f" WHEN ({refuse})"
        for verb, words in (
            ("update", f"FOR EACH ROW{when}"),
            ("delete", "FOR EACH ROW"),
            ("truncate", "FOR EACH STATEMENT"),
        ):
            name = f"guard_{table}_{verb}"
            guards[name] = (
                f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table} {words}"
                " EXECUTE FUNCTION guard_refuse()"
            )
    return guards


def present(raw: Connection[Any], schema: str) -> dict[str, str]:
    """The triggers that the schema has."""
    return {name: words for _, name, words in raw.execute(_PRESENT, [schema]).fetchall()}


def drop(raw: Connection[Any], schema: str) -> None:
    """Take every guard away: migrations only."""
    for table, name, _ in raw.execute(_PRESENT, [schema]).fetchall():
        raw.execute(f'DROP TRIGGER "{name}" ON "{table}"'.encode())


def make(connection: Inspected, raw: Connection[Any]) -> None:
    """Put every guard up: migrations only."""
    raw.execute(_FUNCTION)
    raw.execute(_NUMBERS)
    for statement in declared(connection).values():
        raw.execute(statement.encode())
