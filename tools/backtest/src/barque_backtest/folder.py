"""A result as a folder: written whole or not at all, and read again by `barque compare`.

In:   a `Result` and a path.   Out: the folder below.
Not:  somebody else's folder: what we did not write we do not replace.

    result.json            facts, counts, statistics, the configuration as it was run
    report.html            to look at, without a network
    *.parquet              signals, orders, fills, trades, equity, days (`barque_backtest.tables`)
    messages/*.jsonl.gz    every message, exact, one per line in the order of saying
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import msgspec
import pyarrow.parquet as parquet

from barque.errors import ConfigError
from barque.messages import (
    Alert,
    BreakerChanged,
    CancelOrder,
    CancelRequest,
    EquityMarked,
    Fill,
    Message,
    ModifyOrder,
    ModifyRequest,
    PositionChanged,
    SetupChanged,
    Signal,
    SignalRejected,
    SubmitOrder,
    Topic,
)
from barque.messages.topics import MESSAGES
from barque_backtest.report import render
from barque_backtest.results import FORMAT, Result, to_json
from barque_backtest.run import BacktestRun, OrderEvent
from barque_backtest.tables import tables

RESULT = "result.json"
MESSAGES_FOLDER = "messages"

KINDS: Mapping[str, tuple[Topic, tuple[type, ...]]] = {
    "signals": (Topic.SIGNALS, (Signal, CancelRequest, ModifyRequest)),
    "setups": (Topic.SIGNALS, (SetupChanged,)),
    "orders": (Topic.ORDERS, (SubmitOrder, CancelOrder, ModifyOrder)),
    "rejections": (Topic.ORDERS, (SignalRejected,)),
    "breakers": (Topic.ORDERS, (BreakerChanged,)),
    "order_events": (Topic.FILLS, get_args(OrderEvent)),
    "fills": (Topic.FILLS, (Fill,)),
    "positions": (Topic.PORTFOLIO, (PositionChanged,)),
    "equity": (Topic.PORTFOLIO, (EquityMarked,)),
    "alerts": (Topic.ALERTS, (Alert,)),
}
"""What is kept, by the name of its file: the topic that it was said on, and its messages."""

_KIND_OF = {message: kind for kind, (_, messages) in KINDS.items() for message in messages}
_encode = msgspec.json.Encoder().encode


def kind_of(message: Message) -> str | None:
    """The key of `KINDS` that a message belongs to; None where it is not kept."""
    return _KIND_OF.get(type(message))


def said_in(run: BacktestRun) -> Mapping[str, Sequence[Message]]:
    """The messages of a run by the keys of `KINDS`, in the order of saying."""
    return {
        "signals": run.wishes,
        "setups": run.setups,
        "orders": run.requests,
        "rejections": run.rejections,
        "breakers": run.breaker_changes,
        "order_events": run.order_events,
        "fills": run.fills,
        "positions": run.position_changes,
        "equity": run.equity,
        "alerts": run.alerts,
    }


def check_target(folder: Path) -> None:
    """Raise `ConfigError` where `folder` cannot become a result folder: to be asked before a long run."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder} is not a folder; choose another name for the report")
    if folder.is_dir() and any(folder.iterdir()) and not is_result(folder):
        raise ConfigError(f"{folder} holds something that is not a backtest's result; choose another name, or empty it")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"{folder} cannot be written: {parent} is not a folder that may be written to")


def is_result(folder: Path) -> bool:
    """Whether `folder` was written by `write_folder`."""
    try:
        return bool(_read_json(folder / RESULT).get("format") == FORMAT)
    except ConfigError:
        return False


def write_folder(result: Result, folder: Path) -> None:
    """Write everything under `folder`, replacing an older result. Raises `ConfigError`; then nothing of it is there."""
    check_target(folder)
    with replacing(folder) as part:
        write_json(part / RESULT, {**to_json(result), "config": result.run.config})
        for name, table in tables(result).items():
            parquet.write_table(table, part / f"{name}.parquet", compression="zstd")
        (part / MESSAGES_FOLDER).mkdir()
        for name, messages in said_in(result.run).items():
            lines = b"".join(_encode(message) + b"\n" for message in messages)
            (part / MESSAGES_FOLDER / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines, compresslevel=4, mtime=0))
        (part / "report.html").write_text(render(result), encoding="utf-8")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place at the end of the block; on an error it is removed and `folder` is as it
    was."""
    target = folder.absolute()
    part: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        part.chmod(0o755)
        yield part
        if target.is_dir():
            old = part.with_suffix(".old")
            target.rename(old)
            part.rename(target)
            shutil.rmtree(old)
        else:
            part.rename(target)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}; nothing of the result is there") from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, indented; written aside and renamed, so that a reader finds all of it or the one before."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def read_result(folder: Path) -> dict[str, Any]:
    """`result.json` of a result folder; raises `ConfigError` where it is none."""
    found = _read_json(folder / RESULT)
    if found.get("format") != FORMAT:
        raise ConfigError(
            f"{folder / RESULT} has format {found.get('format')!r}, not {FORMAT!r}: it is no result of this version"
        )
    return found


def read_messages(folder: Path, kind: str) -> list[Message]:
    """The messages of one kind (a key of `KINDS`), in the order of saying; raises `ConfigError` naming file and line."""
    path = folder / MESSAGES_FOLDER / f"{kind}.jsonl.gz"
    decode = _decoder(KINDS[kind][0]).decode
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(decode(line))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from None
    return found


def _decoder(topic: Topic) -> msgspec.json.Decoder[Any]:
    union: Any = MESSAGES[topic][0]
    for kind in MESSAGES[topic][1:]:
        union = union | kind
    return msgspec.json.Decoder(union)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; `barque backtest --report {path.parent}` writes such a folder") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is not a result: it holds no JSON object")
    return found
