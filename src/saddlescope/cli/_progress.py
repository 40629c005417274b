"""How far a computation is, on stderr: a bar on a terminal, now and then a line where stderr is a file."""

import signal
import sys
import threading
import time
from types import TracebackType
from typing import Any

SECONDS_BETWEEN_LINES = 5.0  # a log of an hour stays readable


class Progress:
    """A context in which `progress(fraction, text)` shows how far things are.

    **Arguments of the call:**

    - `fraction`: from 0 to 1, or None where nobody knows.
    - `text`: what is being done, a few words.
    """

    def __init__(self):
        self._bar = None
        self._last_line = -float("inf")
        self._last_text = None
        self._interrupts = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Progress":
        if threading.current_thread() is threading.main_thread():
            # a scheduler's TERM is answered as Ctrl-C is
            self._handlers = {kind: signal.signal(kind, self._interrupt) for kind in (signal.SIGINT, signal.SIGTERM)}
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}", markup=False)
            columns = (SpinnerColumn(), BarColumn(bar_width=24), TimeElapsedColumn(), text)
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._bar is not None:
            self._bar.stop()

    def _interrupt(self, number: int, frame: object) -> None:
        """The first Ctrl-C waits for the next call, where what is being computed is whole; the second does not wait."""
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt
        print("saddlescope: stopping; what exists will be saved (Ctrl-C again: at once)", file=sys.stderr, flush=True)

    def __call__(self, fraction: float | None, text: str) -> None:
        if self._interrupts == 1:
            self._interrupts += 1
            raise KeyboardInterrupt
        if self._bar is not None:
            self._bar.update(
                self._task, total=None if fraction is None else 1.0, completed=fraction or 0.0, description=text
            )
            return
        now = time.monotonic()
        if text == self._last_text or now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line, self._last_text = now, text
        done = "" if fraction is None else f"{100 * fraction:3.0f} %  "
        print(f"{done}{text}", file=sys.stderr, flush=True)
