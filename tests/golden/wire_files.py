"""The golden wire files: where they are, and which is the newest of a message."""

from __future__ import annotations

from pathlib import Path

from barque.messages import Message, encode_batch

FOLDER = Path(__file__).parent / "wire"
WIDTH = 100


def files_of(name: str) -> list[Path]:
    """All files of a message type, oldest first."""
    return sorted(FOLDER.glob(f"{name}.*.hex"), key=number_of)


def number_of(path: Path) -> int:
    """The number in a file's name."""
    return int(path.name.split(".")[1])


def read(path: Path) -> bytes:
    """The bytes that a file spells."""
    return bytes.fromhex("".join(path.read_text(encoding="ascii").split()))


def append(message: Message) -> Path | None:
    """Write the next file of this message, if today's bytes are not the newest file's already."""
    name, body = type(message).__name__, encode_batch([message])
    existing = files_of(name)
    if existing and read(existing[-1]) == body:
        return None
    number = number_of(existing[-1]) + 1 if existing else 1
    text = body.hex()
    path = FOLDER / f"{name}.{number}.hex"
    with path.open("x", encoding="ascii") as file:
        file.writelines(f"{text[i : i + WIDTH]}\n" for i in range(0, len(text), WIDTH))
    return path
