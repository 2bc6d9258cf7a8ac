"""Engines, transactions, table metadata and migrations. Only here are drivers known."""
