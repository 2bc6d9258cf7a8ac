"""Column types that STRICT SQLite tables and PostgreSQL both take (ruling 61)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, LargeBinary, Text

Key = BigInteger().with_variant(Integer(), "sqlite")
"""An internal number: a registry key, a version, an entry."""

Words = Text()
"""Text; times stand as RFC 3339 with six digits, so that text order is time order."""

Bytes = LargeBinary()
"""Canonical JSON, salts and digests, kept as the exact bytes."""

Flag = Integer()
"""0 or 1."""
