"""Triggers that refuse what slips past the path.

    entries, versions, registry   never change, never go
    version_contents              may lose content and salt, together, naming the erasure
    chain_heads                   only moves forward
    every table of state          changes only to a later version with another entry; never goes

Append-only on SQLite needs a BEFORE INSERT trigger too: `REPLACE INTO` deletes without firing
DELETE triggers. The guards are derived from the schema in the database, so that a table with
`(id, version, entry)` is guarded because it exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from scoped_mcp.storage.metadata import STATE_COLUMNS
from scoped_mcp.storage.path import APPEND_ONLY, MUTABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sqlalchemy import Connection

_SPECIAL = {
    "version_contents": "new.id <> old.id OR new.version <> old.version OR new.content IS NOT NULL"
    " OR new.salt IS NOT NULL OR new.erasure IS NULL OR old.erasure IS NOT NULL",
    "chain_heads": "new.chain <> old.chain OR new.seq <= old.seq OR new.authority < old.authority"
    " OR new.at < old.at",
}
_STATE = "new.version <= old.version OR new.entry = old.entry OR new.id <> old.id"


def refusal_of(table: str, columns: Collection[str]) -> str | None:
    """When an update of a row must be refused, on either engine: "1" for always, None for never."""
    if table in APPEND_ONLY:
        return "1"
    if table in _SPECIAL:
        return _SPECIAL[table]
    guarded = table not in MUTABLE and set(columns).issuperset(STATE_COLUMNS)
    return _STATE if guarded else None


def declared(connection: Connection) -> dict[str, str]:
    """The guards that this schema must have: trigger name → statement."""
    guards: dict[str, str] = {}
    inspector = inspect(connection)
    for table in sorted(inspector.get_table_names()):
        columns = {column["name"] for column in inspector.get_columns(table)}
        refuse = refusal_of(table, columns)
        if refuse is None:
            continue
        keys = [inspector.get_pk_constraint(table)["constrained_columns"]]
        keys += [c["column_names"] for c in inspector.get_unique_constraints(table)]
        for index in inspector.get_indexes(table):
            if not index["unique"]:
                continue
            if "sqlite_where" in index.get("dialect_options", {}):
                message = f"{index['name']}: a REPLACE slips through a partial unique index"
                raise TypeError(message)
            keys.append([str(name) for name in index["column_names"]])
        guards.update(_triggers(table, refuse, list(keys)))
    return guards


def present(connection: Connection) -> dict[str, str]:
    """The triggers that the database has."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {str(name): str(sql) for name, sql in rows}


def drop(connection: Connection) -> None:
    """Take every guard away: migrations only."""
    for name in present(connection):
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')


def make(connection: Connection) -> None:
    """Put every guard up: migrations only."""
    for statement in declared(connection).values():
        connection.exec_driver_sql(statement)


def _triggers(table: str, refuse: str, keys: Iterable[list[str]]) -> Iterator[tuple[str, str]]:
    """Refuse changes, deletions, and whatever would push another row aside (`OR REPLACE`)."""
    taken = [_taken(table, key) for key in sorted({tuple(key) for key in keys})]
    aside = [f"({one} AND NOT ({_same(key)}))" for one, key in _changeable(table, keys)]
    whens = {"update": " OR ".join([refuse, *aside]), "delete": "1", "insert": " OR ".join(taken)}
    for verb, when in whens.items():
        name = f"guard_{table}_{verb}"
        refusal = f"BEGIN SELECT RAISE(ABORT, 'guard: {table} refuses this {verb}'); END"
        yield name, f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table} WHEN {when} {refusal}"


def _changeable(table: str, keys: Iterable[list[str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The unique keys beside the primary one, which an update could take from another row."""
    for key in sorted({tuple(key) for key in keys}):
        if key != ("id",) and table not in APPEND_ONLY | set(_SPECIAL):
            yield _taken(table, key), key


def _taken(table: str, key: tuple[str, ...]) -> str:
    where = " AND ".join(f"{c} = new.{c}" for c in key)
    return f"EXISTS (SELECT 1 FROM {table} WHERE {where})"  # noqa: S608 - names from the schema


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"old.{c} = new.{c}" for c in key)
