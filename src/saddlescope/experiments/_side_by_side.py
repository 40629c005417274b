"""Several experiments at a time, each in a process of its own, which is given up when it is done.

One experiment uses one core most of the time, and a process that has compiled the programs of many comes near the number of memory mappings that a system allows.
"""

import contextlib
import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ._base import Progress

Result = TypeVar("Result")

#: Seconds between two looks at what the processes say.
LOOK = 0.2
_told: "multiprocessing.Queue | None" = None


def side_by_side(
    work: Callable[[str, Progress], Result],
    names: Sequence[str],
    workers: int,
    begin: Callable[[], None],
    progress: Progress,
) -> Iterator[tuple[str, Result]]:
    """`work` of every name, `workers` at a time, in whatever order they are done.

    **Arguments:**

    - `work`: called as work(name, progress) in a new process; like `begin`, which is called there first, something that can be sent to it.

    **Raises:** whatever the work raises, and `MemoryError` where a process was ended from outside. What is done by then has been yielded; whatever is not done is given up. A script that calls this needs the usual
    `if __name__ == "__main__":`, because new processes read it again.
    """
    context = multiprocessing.get_context("spawn")  # a fork of a process that runs JAX may hang
    told = context.Queue()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(told, begin), max_tasks_per_child=1)
    parts, text = dict.fromkeys(names, 0.0), ""
    processes: set[int] = set()
    waiting = {pool.submit(_work, work, name): name for name in names}
    try:
        while waiting:
            done, _ = wait(waiting, LOOK, FIRST_COMPLETED)
            # what a process has said may come after its result
            text = _listen(told, parts, processes, set(waiting.values())) or text
            parts |= dict.fromkeys((waiting[future] for future in done), 1.0)
            finished = len(names) - len(waiting) + len(done)
            progress(sum(parts.values()) / len(parts), f"[{finished} of {len(names)} done] {text}")
            for future in done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool as error:
        words = "An experiment's process was ended from outside, as a system does that runs out of memory. What is done is kept; with workers = 1 the others need less."
        raise MemoryError(words) from error
    except BaseException:
        for process in processes:
            _end(process)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _listen(told, parts: dict[str, float], processes: set[int], going: set[str]) -> str | None:
    """Takes what the processes have said; the last of it."""
    text = None
    while True:
        try:
            process, name, part, text = told.get_nowait()
        except queue.Empty:
            return text
        processes.add(process)
        if name in going and part is not None:
            parts[name] = part


def _end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)


def _begin(told: "multiprocessing.Queue", begin: Callable[[], None]) -> None:
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the first one answers
    begin()


def _work(work: Callable[[str, Progress], Result], name: str) -> Result:
    def say(part: float | None, text: str) -> None:
        assert _told is not None
        _told.put((os.getpid(), name, part, text))

    say(0.0, name)
    return work(name, say)
