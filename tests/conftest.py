"""Fixtures that every suite may use, and how laws are explored: anew in each run here, the same in each run of CI."""

import gc
import os
import sys
from collections.abc import Generator

# Tests start some hundred processes, and each begins in half the time where it finds its modules compiled. An environment may
# forbid to keep them; told before anything of ours is imported, and before workers of pytest-xdist are started.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests.support.servers import book, bus, connection, database, databases, postgres, valkey  # noqa: E402

__all__ = ["book", "bus", "connection", "database", "databases", "postgres", "valkey"]

settings.register_profile("barque", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("barque")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What has been collected stays until the end: nobody looks through it for garbage, which takes a sixth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
