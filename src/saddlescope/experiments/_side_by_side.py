"""Several pieces of work at a time, each in a process of its own, which is given up when it is done.

One experiment uses one core most of the time, and a process that has compiled the programs of many comes near the number of memory mappings that a system allows.
"""

import multiprocessing
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple, TypeVar

from ._base import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Said(NamedTuple):
    part: float | None
    text: str


class _Done(NamedTuple):
    result: Any


class _Failed(NamedTuple):
    error: BaseException
    where: str


#: Seconds after which the caller is told how far things are, though nothing was said: it may want to interrupt.
LOOK = 0.2
#: Seconds that a process has to end when it is asked to, before it is ended without being asked.
GRACE = 5.0


def side_by_side(
    work: Callable[[Item, Progress], Result],
    items: Sequence[Item],
    workers: int,
    begin: Callable[[], None],
    progress: Progress,
) -> Iterator[tuple[Item, Result]]:
    """`work` of every item, `workers` at a time, in whatever order they are done.

    **Arguments:**

    - `work`: called as work(item, progress) in a new process; like `begin`, which is called there first, something that can be sent to it.

    **Raises:** whatever the work raises, and `MemoryError` where a process was ended from outside. What is done by then has been yielded; whatever is not done is given up. A script that calls this needs the usual
    `if __name__ == "__main__":`, because new processes read it again.
    """
    # Each process has a pipe of its own, whose other end closes with it. The standard library's pool of processes is not used: its processes share queues and locks, and where one is ended from outside, or
    # retired after its task, the others may wait for ever (CPython issue 115634).
    todo = deque(enumerate(items))
    going: dict[Connection, tuple[int, SpawnProcess]] = {}
    parts = [0.0] * len(items)
    finished, text = 0, ""
    try:
        while todo or going:
            while todo and len(going) < workers:
                number, item = todo.popleft()
                pipe, process = _start(work, item, begin)
                going[pipe] = number, process
            progress(sum(parts) / len(parts), f"[{finished} of {len(parts)} done] {text}")
            for pipe in wait(list(going), LOOK):
                assert isinstance(pipe, Connection)
                number, process = going[pipe]
                told = _read(pipe)
                if isinstance(told, _Said):
                    parts[number] = parts[number] if told.part is None else told.part
                    text = told.text
                    continue
                process.join()
                pipe.close()
                del going[pipe]
                if isinstance(told, _Failed):
                    told.error.add_note(told.where)
                    raise told.error
                parts[number], finished = 1.0, finished + 1
                progress(sum(parts) / len(parts), f"[{finished} of {len(parts)} done] {text}")
                yield items[number], told.result
    finally:
        _end([process for _, process in going.values()])


def _start(
    work: Callable[[Item, Progress], Result], item: Item, begin: Callable[[], None]
) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")  # a fork of a process that runs JAX may hang
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, item, begin, there))
    process.start()
    there.close()  # so that the pipe ends with the process
    return here, process


def _read(pipe: Connection) -> _Said | _Done | _Failed:
    """The next thing that a process says; that it failed where it ended without a word."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        words = "An experiment's process was ended from outside, as a system does that runs out of memory. What is done is kept; with workers = 1 the others need less."
        return _Failed(MemoryError(words), "")


def _end(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(GRACE)
        if process.exitcode is None:
            process.kill()
            process.join()


def _work(work: Callable[[Item, Progress], Result], item: Item, begin: Callable[[], None], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the first one answers
    signal.signal(signal.SIGTERM, _leave)
    try:
        begin()
        told = _Done(work(item, lambda part, text: pipe.send(_Said(part, text))))
    except SystemExit:
        raise
    except BaseException as error:
        told = _failed(error)
    try:
        pipe.send(told)
    except BrokenPipeError:  # nobody waits for it any more
        return
    except Exception as error:
        pipe.send(_failed(RuntimeError(f"What a process returned cannot be sent to another: {error}")))


def _failed(error: BaseException) -> _Failed:
    """An error as it can be sent: itself, or its words where it cannot be taken apart and put together again."""
    where = f"In a process of its own:\n{traceback.format_exc()}"
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return _Failed(error, where)


def _leave(number: int, frame: object) -> None:
    """Leaves by an exception, so that whatever this process has started is ended too."""
    raise SystemExit(128 + number)
