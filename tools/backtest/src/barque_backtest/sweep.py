"""Many backtests of one book with different parameters, over processes, each kept as soon as it is done.

In:   jobs (a configuration and a span each), a way to open the data.   Out: one `Record` per job, in the order of jobs.
Not:  a choice; `best_of` ranks what was found.

A folder keeps `runs/<key>.json` per finished (or refused) run, written whole or not at all; the key is a digest of the
configuration and the span. A sweep that was stopped goes on where it was, and a larger grid runs only what is new. The folder
belongs to the data that it was begun with. It knows nothing of code: after a change to a strategy take a new folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from barque.errors import BarqueError, ConfigError, nearest
from barque_archive.columns import MarketColumns
from barque_archive.series import Series
from barque_backtest.blocks import blocks
from barque_backtest.engine import SECTIONS, Watch, run_backtest
from barque_backtest.feeding import Source, Span
from barque_backtest.folder import write_json
from barque_backtest.grid import Combination, fault_of
from barque_backtest.hearing import deaf
from barque_backtest.path import EquityPath, path_of
from barque_backtest.results import summarise
from barque_backtest.run import BacktestRun
from barque_backtest.statistics import Statistics
from barque_backtest.workers import Work, each_of

FORMAT = "barque-sweep-1"
PLAN = "plan.json"
HELD_ROWS = 3_000_000
"""Of one source, kept in memory by each worker between runs; a larger one is read again for each run."""
METRICS = tuple(field.name for field in msgspec.structs.fields(Statistics) if field.name not in ("name", "currency"))
LESS_IS_BETTER = frozenset(
    {"max_drawdown", "max_drawdown_money", "max_drawdown_s", "longest_drawdown_s", "volatility", "costs", "losses", "turnover"}
)

EVERYTHING = Span()

Opener = Callable[[Mapping[str, Any]], Sequence[Source]]
"""Opens the data that a configuration asks for; picklable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run to be made."""

    parameters: Combination
    config: Mapping[str, Any]
    span: Span = EVERYTHING
    with_path: bool = False
    """Keep the equity at every price, to be joined to others."""

    @property
    def key(self) -> str:
        """24 hexadecimal digits: a digest of what decides the run."""
        config = {name: self.config[name] for name in SECTIONS if name in self.config}
        blob = msgspec.json.encode((config, self.span.from_ns, self.span.to_ns, self.with_path), order="deterministic")
        return blake2b(blob, digest_size=12).hexdigest()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one job."""

    key: str
    parameters: dict[str, Any]
    status: str
    """`ok`; `invalid`: the parameters were refused; `failed`: the run ended with an error, or its figures mean nothing."""
    reason: str = ""
    statistics: Statistics | None = None
    strategies: list[Statistics] = []
    path: EquityPath | None = None

    def metric(self, name: str) -> float | None:
        """One figure of the account; None where there is none."""
        value: float | None = None if self.statistics is None else getattr(self.statistics, name)
        return value


_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


def check_metric(name: str) -> str:
    """`name`, or a `ConfigError` with the nearest one."""
    if name not in METRICS:
        raise ConfigError(f"--metric '{name}' is none; {nearest(name, list(METRICS))}")
    return name


def best_of(records: Iterable[Record], metric: str) -> list[Record]:
    """The runs that came to an end, best first; those without the figure last; equals in the order given."""
    sign = 1 if metric in LESS_IS_BETTER else -1

    def rank(record: Record) -> tuple[bool, float]:
        value = record.metric(metric)
        return value is None, 0.0 if value is None else sign * value

    return sorted((record for record in records if record.status == "ok"), key=rank)


class Store:
    """Finished runs in a folder."""

    def __init__(self, folder: Path, data: Sequence[Mapping[str, Any]]) -> None:
        """`data` says which data it is (`fingerprint`). Raises `ConfigError` where the folder is not ours, or of other data."""
        self.folder = folder
        plan = {"format": FORMAT, "data": list(data)}
        known = self._plan()
        if known is not None and known != json.loads(json.dumps(plan)):
            raise ConfigError(f"{folder} holds a sweep over other data, or data that has changed since; choose another folder")
        if known is None:
            if folder.is_dir() and any(folder.iterdir()):
                raise ConfigError(f"{folder} holds something that is not a sweep; choose another name, or empty it")
            try:
                (folder / "runs").mkdir(parents=True, exist_ok=True)
                write_json(folder / PLAN, plan)
            except OSError as error:
                raise ConfigError(f"{folder} cannot be written: {error}") from None

    def load(self, key: str) -> Record | None:
        """A finished run; None where it is not there, or cannot be read."""
        try:
            return _decode((self.folder / "runs" / f"{key}.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None

    def save(self, record: Record) -> None:
        """Keep a finished run."""
        path = self.folder / "runs" / f"{record.key}.json"
        part = path.with_suffix(".part")
        part.write_bytes(_encode(record))
        part.replace(path)

    def _plan(self) -> Any:
        try:
            return json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.folder / PLAN} cannot be read: {error}; choose another folder") from None


def fingerprint(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Which data it is: names, sizes and times of the files, of a folder those inside."""
    found: list[dict[str, Any]] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in inside:
            facts = file.stat()
            found.append({"path": str(file.absolute()), "bytes": facts.st_size, "modified_ns": facts.st_mtime_ns})
    return found


def run_jobs(
    jobs: Sequence[Job],
    opener: Opener,
    *,
    processes: int = 1,
    store: Store | None = None,
    done: Callable[[Record, bool], None] | None = None,
) -> list[Record]:
    """Make every run that the store does not have. `done(record, known)` is told each record once, in the order of completion.

    Parameters that no book can be made of give a record that says so. Raises `ConfigError` where no run at all is possible.
    """
    records: dict[str, Record] = {}
    waiting: dict[str, Job] = {}
    for job in jobs:
        key = job.key
        if key in records or key in waiting:
            continue
        known = store.load(key) if store is not None else None
        if known is None:
            waiting[key] = job
        else:
            records[key] = known
            _tell(done, known, True)
    work = Work(begin=partial(Shelf, opener), do=_run)
    for _, record in each_of(work, list(waiting.values()), processes):
        if store is not None and record.status != "failed":
            store.save(record)
        records[record.key] = record
        _tell(done, record, False)
    _refuse_if_none(records.values())
    return [records[job.key] for job in jobs]


class Held:
    """A source whose columns stay in memory after the first time, if they are not too many."""

    def __init__(self, source: Source) -> None:
        self.series: Sequence[Series] = source.series
        self._source = source
        self._kept: list[MarketColumns] | None = None

    def __iter__(self) -> Iterator[MarketColumns]:
        return iter(self._kept) if self._kept is not None else self._read()

    def _read(self) -> Iterator[MarketColumns]:
        kept: list[MarketColumns] | None = []
        rows = 0
        for columns in self._source:
            rows += len(columns)
            if rows > HELD_ROWS:
                kept = None
            if kept is not None:
                kept.append(columns)
            yield columns
        self._kept = kept


class Shelf:
    """The data as one worker has it: opened for each configuration, held where it is the same."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._held: dict[tuple[int, tuple[Series, ...]], Held] = {}

    def sources(self, config: Mapping[str, Any]) -> list[Held]:
        """What a configuration plays."""
        found = []
        for place, source in enumerate(self._opener(config)):
            key = place, tuple(source.series)
            found.append(self._held.setdefault(key, Held(source)))
        return found


def _run(shelf: Shelf, job: Job) -> Record:
    parameters = dict(job.parameters)
    try:
        sources = shelf.sources(job.config)
        run = run_backtest(job.config, sources, job.span, Watch())
        if reason := _broken(run):
            return Record(key=job.key, parameters=parameters, status="failed", reason=reason)
        result = summarise(run, blocks(sources, job.span, run.instruments), charts=False, detail=job.with_path)
    except BarqueError as error:
        fault = fault_of(job.config)
        return Record(key=job.key, parameters=parameters, status="invalid" if fault else "failed", reason=fault or str(error))
    return Record(
        key=job.key,
        parameters=parameters,
        status="ok",
        statistics=result.total,
        strategies=result.strategies,
        path=path_of(result) if job.with_path else None,
    )


def _broken(run: BacktestRun) -> str:
    """Why the figures of a run mean nothing: a strategy raised, or no strategy heard a bar; empty where they do."""
    if run.failures:
        return run.failures[0].text
    notes = deaf(run, wholly=True)
    return notes[0] if notes and len(notes) == len(run.strategies) else ""


def _refuse_if_none(records: Iterable[Record]) -> None:
    reasons = [record.reason for record in records if record.status != "ok"]
    if reasons and len(reasons) == len(list(records)):
        raise ConfigError(f"no combination can be run; the first: {reasons[0]}")


def _tell(done: Callable[[Record, bool], None] | None, record: Record, known: bool) -> None:
    if done is not None:
        done(record, known)
