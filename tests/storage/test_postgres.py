"""PostgreSQL keeps the promises of `Database`, and some of its own."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from scoped_mcp.storage.postgres import roles
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.engine import PostgresDatabase
from scoped_mcp.storage.revisions import HEAD
from tests import postgres
from tests.storage.conformance import PROBE, Place, Promises

SCRIPT = """
import asyncio, os
from scoped_mcp.storage.postgres.address import Address
from scoped_mcp.storage.postgres.engine import PostgresDatabase
from tests.storage.conformance import COUNT, note, texts

async def run(main):
    database = await PostgresDatabase.open(Address.parse({url!r}))
    await main(database)
    await database.close()
"""


@pytest.fixture
def probe() -> str:
    """The URL of a schema with the probe tables, which belong to another role than serves."""
    url = postgres.url()
    address = Address.parse(url)
    raw = postgres.admin()
    roles.provide(raw)
    raw.execute(f"CREATE SCHEMA {address.schema} AUTHORIZATION scoped_owner")
    raw.execute(f"SET search_path = {address.schema}")
    raw.execute("CREATE TABLE alembic_version (version_num text NOT NULL)")
    raw.execute(f"INSERT INTO alembic_version VALUES ('{HEAD}')")
    raw.execute("CREATE SEQUENCE entry_numbers")
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw)
    PROBE.create_all(engine, checkfirst=False)
    roles.grant(raw, address.schema, ["alembic_version", "notes", "parents"])
    return url


@pytest.fixture
def place(probe: str) -> Place:
    """Where the conformance suite opens PostgreSQL databases."""
    address = Address.parse(probe)
    return Place(lambda: PostgresDatabase.open(address), SCRIPT.format(url=probe))


class TestPostgres(Promises):
    """The conformance suite."""
