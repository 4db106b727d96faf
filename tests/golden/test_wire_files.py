"""What is on the wire today is what was there yesterday, and what was there ever can still be read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from barque.messages import Message, Topic, decode_batch, encode_batch
from barque.messages.topics import MESSAGES
from tests.golden.examples import EXAMPLES
from tests.golden.wire_files import FOLDER, files_of, read

NAMES = [type(message).__name__ for _, message in EXAMPLES]
TOPICS = {type(message).__name__: topic for topic, message in EXAMPLES}


def test_every_message_of_every_topic_has_an_example() -> None:
    carried = [(topic, kind.__name__) for topic, kinds in MESSAGES.items() for kind in kinds]
    assert sorted(carried) == sorted((topic, type(message).__name__) for topic, message in EXAMPLES)


@pytest.mark.parametrize("message", [message for _, message in EXAMPLES], ids=NAMES)
def test_an_example_sets_every_field(message: Message) -> None:
    for field in msgspec.structs.fields(message):
        assert getattr(message, field.name) != field.default, f"{field.name} is at its default: give it another value"


@pytest.mark.parametrize(("topic", "message"), EXAMPLES, ids=NAMES)
def test_the_newest_file_is_exactly_what_the_encoder_writes(topic: Topic, message: Message) -> None:
    files = files_of(type(message).__name__)
    assert files, "no golden file: run `python -m tests.golden.generate`"
    assert encode_batch([message]) == read(files[-1]), f"{files[-1].name}: see tests/golden/README.md before generating another"
    assert decode_batch(topic, read(files[-1])) == [message]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.hex")), ids=lambda path: path.name)
def test_every_file_that_ever_was_still_decodes_to_the_same_values(path: Path) -> None:
    name, number, _ = path.name.split(".")
    assert name in TOPICS, f"{name} is no message any more; its entries may still be in somebody's streams"
    (message,) = decode_batch(TOPICS[name], read(path))
    (example,) = (m for _, m in EXAMPLES if type(m).__name__ == name)
    for field in msgspec.structs.fields(message):
        value = getattr(message, field.name)
        late = int(number) < len(files_of(name)) and value == field.default
        assert late or value == getattr(example, field.name), field.name
    assert [int(p.name.split(".")[1]) for p in files_of(name)] == list(range(1, len(files_of(name)) + 1)), "a file is missing"


def test_a_reader_of_today_takes_a_message_that_a_later_version_gave_a_field_more() -> None:
    for topic, message in EXAMPLES:
        (plain,) = msgspec.msgpack.decode(encode_batch([message]))
        longer = [*plain, "new"] if isinstance(plain, list) else {**plain, "a_field_of_tomorrow": "new"}
        assert decode_batch(topic, msgspec.msgpack.encode([longer])) == [message]
