"""`barque why`: a story as a person reads it, oldest step first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from barque.bus.redis_bus import RedisBus
from barque.config import load_common, load_section
from barque.errors import ConfigError
from barque.messages import Message
from barque.postgres.pool import connect_one, postgres_errors
from barque.why import Story, Ticks, retired, unknown, why
from barque_archive.archive import Archive
from barque_archive.series import Series, SeriesKind
from barque_archive.structs import messages_of
from gateway.format import iso
from portfolio.config import PortfolioConfig

TICKS: tuple[SeriesKind, ...] = ("quotes", "trades")


async def tell(raw: Mapping[str, Any], name: str) -> Story:
    """The story of `name`; raises `ConfigError` where nobody has heard of it. Redis may be away."""
    common = load_common(raw)
    archive = load_section(raw, "portfolio", PortfolioConfig).archive
    book = common.book.name
    connection = await connect_one(common.postgres)
    bus = RedisBus.open(common.redis, book)
    try:
        async with postgres_errors(common.postgres):
            lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", book)
            if lineage is None:
                raise ConfigError(f"book '{book}' has not been begun in Postgres; run `barque seed`")
            ticks = None if archive is None else archived_ticks(archive.path)
            story = await why(connection, bus, book, lineage, name, ticks)
            gone = [] if story is not None else await retired(connection, book, lineage)
    finally:
        await bus.close()
        await connection.close()
    if story is None:
        raise ConfigError(unknown(book, name, gone))
    return story


def archived_ticks(root: Path) -> Ticks:
    """Quotes and trades of an archive."""

    def ticks(symbol: str, first_ns: int, last_ns: int) -> Iterator[Message]:
        archive = Archive(root)
        for kind in TICKS:
            for columns in archive.read(Series(symbol, kind), first_ns, last_ns + 1):
                yield from messages_of(columns)

    return ticks


def show(console: Console, story: Story) -> None:
    """Print it. An id has a line of its own that is never broken, so that it can be copied and asked about."""
    console.print(f"[italic]{story.kind} {escape(story.id)}[/italic]", soft_wrap=True)
    width = max((len(step.stage) for step in story.steps), default=0)
    for step in story.steps:
        after = f"  published after {(step.published_ns - step.ts_event_ns) / 1e6:,.1f} ms" if step.published_ns else ""
        console.print(f"[bold]{step.stage:<{width}}[/bold]  {iso(step.ts_event_ns)}[dim]{after}[/dim]", soft_wrap=True)
        for line in (step.id, step.text):
            console.print(f"{'':{width}}  {escape(line)}", soft_wrap=True)
    for each in story.missing:
        console.print(f"[yellow]not known:[/yellow] {escape(each)}", soft_wrap=True)
