"""Fixtures that every suite may use, and how laws are explored: anew in each run here, the same in each run of CI."""

import os

from hypothesis import settings

from tests.support.servers import book, bus, connection, database, postgres, valkey

__all__ = ["book", "bus", "connection", "database", "postgres", "valkey"]

settings.register_profile("barque", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("barque")
