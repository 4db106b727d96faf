"""Writes docs/messages.md from the structs themselves.

.venv/bin/python docs/generate_messages.py           write it
.venv/bin/python docs/generate_messages.py --check   exit 1 where it is not what the structs say
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from _structs import aliases_of, cell, fields_of, sentence_of

from barque.messages import RejectReason, Topic, cash, control, market, portfolio, signals
from barque.messages.topics import MESSAGES

TARGET = Path(__file__).with_name("messages.md")
FLOW = (
    Topic.TICKS,
    Topic.BARS,
    Topic.MARKS,
    Topic.SIGNALS,
    Topic.ORDERS,
    Topic.FILLS,
    Topic.PORTFOLIO,
    Topic.CLOCK,
    Topic.CONTROL,
    Topic.ALERTS,
    Topic.DEAD,
)
HEAD = """\
# Messages

<!-- Written by docs/generate_messages.py; change the structs, then run it again. -->

Everything that is said on the bus. Each topic is one stream, `barque:{book}:<topic>`; its decoder knows exactly the messages
below. On the wire a stream entry is a batch: field `e` is the envelope `[source, seq, schema, ts_pub_ns, chain]`, field `m` the
packed list of messages, both MessagePack. An *array* message is `[tag, field, field, …]` in the order of the table, a *map*
message `{"type": tag, field: …}`.

- Market numbers are `float`. Money, order prices and quantities are `Decimal`, on the wire as text.
- Times end in `_ns`: whole nanoseconds since 1970, UTC.
- "Read by" names whom a message is for. Who reads which stream in this version is in the table of
  [architecture](architecture.md#streams).
- A field without a default is required. Optional fields may be added at the end; anything else is a new name.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_contents(), *_words(), *(line for topic in FLOW for line in _topic(topic))]).rstrip() + "\n"


def _contents() -> Iterator[str]:
    yield "| topic | messages |"
    yield "|---|---|"
    for topic in FLOW:
        links = ", ".join(f"[`{kind.__name__}`](#{kind.__name__.lower()})" for kind in MESSAGES[topic])
        yield f"| [`{topic}`](#topic-{topic}) | {links} |"
    yield ""


def _words() -> Iterator[str]:
    yield "## Words with a fixed set of values\n"
    yield "| name | values |"
    yield "|---|---|"
    for module in (market, signals, cash, control, portfolio):
        for name, words in aliases_of(module):
            yield f"| `{name}` | {words} |"
    reasons = ", ".join(f"`{reason}`" for reason in RejectReason)
    yield f"| `RejectReason` | {reasons} |"
    yield ""


def _topic(topic: Topic) -> Iterator[str]:
    yield f"## Topic `{topic}`\n"
    for kind in MESSAGES[topic]:
        yield from _message(kind)


def _message(kind: type[msgspec.Struct]) -> Iterator[str]:
    config = kind.__struct_config__
    shape = "array" if config.array_like else "map"
    yield f"### {kind.__name__}\n"
    yield f"{sentence_of(kind)} *{shape}, tag `{config.tag}`*\n"
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    for field in fields_of(kind):
        default = f"`{cell(field.default)}`" if field.default else "–"
        yield f"| `{field.name}` | `{cell(field.type)}` | {default} | {cell(field.text)} |"
    yield ""


def main() -> int:
    """Write, or compare."""
    text = render()
    if "--check" in sys.argv[1:]:
        if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.name} is not what the structs say; run: python docs/generate_messages.py", file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
