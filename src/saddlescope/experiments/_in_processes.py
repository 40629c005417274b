"""Many problems in worker processes, a few dozen each, in an order in which neighbours share compiled programs.

A process that compiles thousands of programs runs out of memory mappings long before it runs out of memory (after some 100 problems of the scoreboard, on a
usual Linux), so each is given up after its share.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from ..runs import compile_quicker
from ._base import Progress
from ._side_by_side import side_by_side

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Problems of one process.
SHARE = 50


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None
) -> Iterator[list[Result]]:
    """`work` of every item, in whatever order shares get done; items of one share are neighbours in `items`.

    **Arguments:**

    - `work`: a function at the top of a module, which returns its failures.
    - `workers`: processes; as many as there are cores unless given.

    **Raises:** whatever the work raises. A script that calls this needs the usual `if __name__ == "__main__":`, because new processes read it again.
    """
    workers = workers or os.cpu_count() or 1
    share = max(1, min(SHARE, -(-len(items) // workers)))
    shares = [items[i : i + share] for i in range(0, len(items), share)]
    for _, results in side_by_side(partial(_all, work), shares, workers, compile_quicker, lambda part, text: None):
        yield results


def _all(work: Callable[[Item], Result], items: Sequence[Item], progress: Progress) -> list[Result]:
    return [work(item) for item in items]
