"""A folder that one run on this machine has for itself.

In:   a folder.   Out: a lock on it while a run lasts; a demo's folder, empty.
Not:  the removal of anything that a demo has not made.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barque.errors import ConfigError

MARK = ".made-by-barque-demo"
"""A file in every demo's folder."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else runs a book in `folder` meanwhile; raises `ConfigError` where somebody does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            whose = lock.read().strip() or "unknown"
            raise ConfigError(
                f"a book runs in {folder} already (process {whose}); end it there with Ctrl-C, or choose another --folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def emptied(folder: Path) -> None:
    """Make `folder` a demo's, without what an earlier one left there; raises `ConfigError` where it holds anything else."""
    ours = (folder / MARK).exists() or folder.parts[-2:] == (".barque", "demo")
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} holds something that is not a demo's; choose another --folder, or empty it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def check_port(port: int) -> None:
    """Raises `ConfigError` where a page cannot be served on a loopback port."""
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} is not a port; 1 to 65535, or 0 for any free one")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"--port {port} cannot be used ({error.strerror}); choose another, or 0 for any free one") from None
