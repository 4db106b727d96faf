"""`barque why`: a story as a person reads it, oldest step first."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig
from barque.errors import ConfigError
from barque.postgres.pool import connect_one, postgres_errors
from barque.why import Story, unknown, why
from gateway.format import iso


async def tell(common: CommonConfig, name: str) -> Story:
    """The story of `name`; raises `ConfigError` where nobody has heard of it. Redis may be away."""
    book = common.book.name
    connection = await connect_one(common.postgres)
    bus = RedisBus.open(common.redis, book)
    try:
        async with postgres_errors(common.postgres):
            lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", book)
            if lineage is None:
                raise ConfigError(f"book '{book}' has not been begun in Postgres; run `barque seed`")
            story = await why(connection, bus, book, lineage, name)
    finally:
        await bus.close()
        await connection.close()
    if story is None:
        raise ConfigError(unknown(book, name))
    return story


def show(console: Console, story: Story) -> None:
    """Print it."""
    table = Table(box=None, padding=(0, 2), title=f"{story.kind} {story.id}", title_justify="left")
    for column in ("", "when it happened, UTC", "published after", "id", "what"):
        table.add_column(column, overflow="fold")
    for step in story.steps:
        after = f"{(step.published_ns - step.ts_event_ns) / 1e6:,.1f} ms" if step.published_ns else "-"
        table.add_row(step.stage, iso(step.ts_event_ns), after, escape(step.id), escape(step.text))
    console.print(table)
    for each in story.missing:
        console.print(f"[yellow]not known:[/yellow] {escape(each)}")
