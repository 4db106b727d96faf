"""Work over processes: some at a time, each result as it comes, none left behind.

In:   a function to make a worker's state, a function of state and task, tasks.   Out: (place, result) as they are done.
Not:  retries. A worker that dies ends the work with an error that names its task.

Processes are spawned, so nothing of the parent leaks into them. They ignore Ctrl-C; the parent ends them, on an error, on
Ctrl-C, and when its generator is closed. Should the parent be killed, they end when they next look at their pipe.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from barque.errors import BarqueError, InvariantError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Work(Generic[S, T, R]):
    """What workers do; everything in it must be picklable."""

    begin: Callable[[], S]
    """Called once in each worker."""
    do: Callable[[S, T], R]


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection[Any, Any]
    place: int = -1
    """Of the task it is at."""


def each_of(work: Work[S, T, R], tasks: Sequence[T], processes: int) -> Iterator[tuple[int, R]]:
    """Do every task; yields (place in `tasks`, result) in the order of completion. Raises what a worker raised."""
    if processes <= 1 or len(tasks) <= 1:
        state = work.begin() if tasks else None
        for place, task in enumerate(tasks):
            yield place, work.do(state, task)  # type: ignore[arg-type]
        return
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        for _ in range(min(processes, len(tasks))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
            theirs.close()
            workers.append(_Worker(process, ours))
        yield from _collect(workers, tasks)
    finally:
        for worker in workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join(_PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _collect(workers: Sequence[_Worker], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    waiting = iter(range(len(tasks)))
    for worker in workers:
        _hand(worker, waiting, tasks)
    while busy := {worker.pipe: worker for worker in workers if worker.place >= 0}:
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            try:
                done, result = worker.pipe.recv()
            except (EOFError, OSError):
                worker.process.join(_PATIENCE_S)
                code = worker.process.exitcode
                raise InvariantError(
                    f"a worker process ended (exit code {code}) at task {worker.place + 1} of {len(tasks)}"
                ) from None
            if not done:
                raise result
            place = worker.place
            _hand(worker, waiting, tasks)
            yield place, result


def _hand(worker: _Worker, waiting: Iterator[int], tasks: Sequence[Any]) -> None:
    worker.place = next(waiting, -1)
    if worker.place >= 0:
        worker.pipe.send(tasks[worker.place])


def _serve(work: Work[Any, Any, Any], pipe: Connection[Any, Any]) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        state = work.begin()
        while True:
            task = pipe.recv()
            pipe.send((True, work.do(state, task)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BarqueError as error:
        pipe.send((False, error))
    except Exception as error:
        pipe.send((False, InvariantError(f"{type(error).__name__}: {error}")))
