"""Numbered SQL files, each run once, in order, in a transaction of its own, under one advisory lock.

A file that has run must not change: its checksum is stored, and a difference is an error that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import asyncpg

from barque.errors import ConfigError

_LOCK = 0x6261727175650001


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """sha256 of the file."""
        return sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All files, in order."""
    folder = files("barque.postgres").joinpath("migrations")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [Migration(int(n.split("_")[0]), n, folder.joinpath(n).read_text(encoding="utf-8")) for n in names]


async def migrate(connection: asyncpg.Connection) -> list[str]:
    """Bring the schema up to date; returns the names of the files that ran."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row["number"]: row for row in await connection.fetch("SELECT number, name, checksum FROM migrations")}
        ran = []
        for migration in migrations():
            row = done.get(migration.number)
            if row is not None:
                if row["checksum"] != migration.checksum:
                    raise ConfigError(f"migration {row['name']} ran here with another content; restore it and add a new file")
                continue
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
            ran.append(migration.name)
        unknown = set(done) - {m.number for m in migrations()}
        if unknown:
            raise ConfigError(f"the database has migration {max(unknown)}, which this version does not know; use a newer version")
        return ran
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
