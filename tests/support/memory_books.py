"""The same book in one process: the order of lockstep without servers, as the truth that running services must equal."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from barque.bus.memory import MemoryRunner
from barque.config import load_section, read_file
from barque.messages import Bar, ClockTicked, FeedStatus, Message, Topic, time_of
from barque_backtest import nodes
from feed_replay.config import FeedReplayConfig
from feed_replay.shell.files import merge, open_source

NS = 1_000_000_000


def said_in_memory(config_path: Path) -> dict[Topic, list[Message]]:
    """Every message of the replay by topic, in the order of event time, source, sequence."""
    raw = read_file(config_path, os.environ)
    feed = load_section(raw, "feed_replay", FeedReplayConfig)
    heard: dict[Topic, list[tuple[int, str, int, Message]]] = defaultdict(list)
    spoken: dict[tuple[Topic, str], int] = defaultdict(int)

    def observe(source: str, topic: Topic, message: Message) -> None:
        spoken[topic, source] += 1
        heard[topic].append((time_of(message), source, spoken[topic, source], message))

    book = MemoryRunner(nodes.make_all(raw), observe)
    last_ns = 0
    for last_ns, messages in merge([open_source(f.path, f.symbol, f.interval, f.price) for f in feed.files]):
        instant = [(Topic.BARS if isinstance(m, Bar) else Topic.TICKS, m) for m in messages]
        book.publish("feed.replay", [(Topic.CLOCK, ClockTicked(now_ns=last_ns)), *instant])
    end_ns = last_ns + int(feed.tail_s * NS)
    status = FeedStatus(feed="feed.replay", ts_event_ns=end_ns, state="finished")
    book.publish("feed.replay", [(Topic.CLOCK, ClockTicked(now_ns=end_ns)), (Topic.TICKS, status)])
    return {topic: [row[-1] for row in sorted(rows, key=lambda row: row[:-1])] for topic, rows in heard.items()}
