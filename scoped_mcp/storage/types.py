"""Column types that STRICT SQLite tables and PostgreSQL both take (ruling 61)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles

Key = BigInteger().with_variant(Integer(), "sqlite")
"""An internal number: a registry key, a version, an entry."""

Words = Text()
"""Text; times stand as RFC 3339 with six digits, so that text order is time order."""

Bytes = LargeBinary()
"""Canonical JSON, salts and digests, kept as the exact bytes."""

Flag = Integer()
"""0 or 1."""

upsert = insert
"""An insert that may say `ON CONFLICT`: both engines take the words of PostgreSQL's."""


@compiles(Text, "postgresql")
def _bytewise(kind: Text, compiler: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    """Text is ordered byte by byte on every engine, whatever language the database speaks."""
    words = compiler.visit_TEXT(kind, **options)
    return words if kind.collation else f'{words} COLLATE "C"'
