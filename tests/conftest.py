"""Fixtures that every suite may use."""

from tests.support.servers import book, bus, connection, database, postgres, valkey

__all__ = ["book", "bus", "connection", "database", "postgres", "valkey"]
