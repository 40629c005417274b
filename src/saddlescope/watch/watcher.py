"""Three lines in anybody's training loop: make a watcher, hand it step and loss, ask for the report."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .adapters import adapter, changes, first_line, wait_for
from .heard import Heard
from .recorded import MOST_BACK, recorded
from .recording import Recording
from .resume import resumed, taken_up
from .schedule import Budget, Schedule
from .seen import CannotLook, Seen
from .snapshots import Snapshots
from .summary import summary

#: The recording in `out` is written again at most so often, in seconds.
SAVE_EVERY = 60.0
FILE = "recording.npz"
#: Steps are kept in 64 bits.
MOST_STEP = 2**63 - 1


class Watcher:
    r"""Watches a training from inside its loop, without changing it.

        watcher = saddlescope.Watcher(model, probe=x)     # PyTorch
        for step in range(steps):
            ...
            watcher(step, loss)
        print(watcher.report())

    In JAX `model` is a pure function apply(params, x), and the weights are handed over: `watcher(step, loss, params)`.

    **Arguments:**

    - `model`: a `torch.nn.Module`, or apply(params, x) -> outputs [probe, ...] for a whole batch.
    - `probe`: a fixed batch of inputs, of 64 to some hundreds of samples that look like the training's. For several arguments a tuple or a dictionary.
    - `targets`: of the probe; whole numbers are classes. With them the probe's loss is recorded, and outputs that are small against them count as zero.
    - `optimizer`: anything with `param_groups`; learning rate and momentum are read from it, and nothing is written. In JAX its name: "sgd", "adam", "adamw".
    - `budget`: the most that watching may take, as a part of the training's own time. Kept by looking less often. None: whatever it takes. (Calls, some 3 µs each, cannot be
        left out: where they take more than two thirds of it, looks still have a third.)
    - `out`: a folder; the recording is kept there as recording.npz, written whole, once a minute at most and at the report. One that is there is gone on with
        where the steps go on, and put aside (recording-1.npz) where they begin anew.
    - `every`: snapshots are log-spaced until their distance is this many steps.
    - `criterion`: (outputs, targets) -> loss of the probe. Cross-entropy or half the mean square if left out.
    - `batches_per_epoch`, `learning_rate`, `momentum`: for the record, where nobody else knows (JAX).
    - `params`: JAX, the initial weights, so that the first look is taken, and compiled, before the training begins.

    **Holds** exactly: parameters, gradients, optimiser state, buffers, modes, random states and whatever else the modules hold are bit for bit those of the training without a
    watcher (docs/watch.md says what is out of reach). A model that holds something that cannot be put back is not looked at, and the recording says why. The model
    is called in evaluation mode on the probe; hooks that users put on modules run then too.

    The first look is taken when the watcher is made (so make it after loading weights) and stands at the first step handed over; its time is set-up, not watching.

    **Raises:** `ValueError` at once where the model cannot compute the probe, or targets, criterion and optimiser do not fit it. Later nothing: a watcher that fails says so in one warning, and training goes on.
    """

    def __init__(
        self,
        model: Any,
        probe: Any,
        *,
        targets: Any = None,
        optimizer: Any = None,
        budget: float | None = 0.03,
        out: "str | os.PathLike[str] | None" = None,
        every: int = 25,
        criterion: Callable[[Any, Any], Any] | None = None,
        batches_per_epoch: int | None = None,
        learning_rate: float | None = None,
        momentum: float | None = None,
        params: Any = None,
    ):
        if budget is not None and not 0 < budget <= 1:
            raise ValueError(
                f"budget needs a part of the training's time, above 0 and at most 1, or None: found {budget}."
            )
        if not (isinstance(every, int) and every >= 1):
            raise ValueError(f"every needs a number of steps, at least 1: found {every!r}.")
        self.model = adapter(model, probe, targets, optimizer, criterion)
        self.heard, self.snapshots = Heard(), Snapshots()
        self.schedule, self.budget = Schedule(every), Budget(np.inf if budget is None else budget)
        self.out = None if out is None else Path(out)
        self.batches_per_epoch, self.learning_rate = batches_per_epoch, learning_rate
        if momentum is not None:
            self.model.facts["momentum"] = float(momentum)
        self.failed: str | None = None
        self.gaps: list[str] = []
        self.setup_seconds = 0.0
        self.saved_at = time.monotonic()
        self.late, self.num_late = False, 0
        self.not_before = -np.inf
        self.num_back = 0
        self.last_step: int | None = None
        self.first: Seen | None = None
        if self.out is not None and self.out.exists() and not self.out.is_dir():
            raise ValueError(f"out needs a folder: {os.fspath(self.out)!r} is a file.")
        if params is not None or self.model.facts.get("framework") == "torch":
            self._set_up(params)

    def __call__(self, step: int, loss: Any = None, params: Any = None) -> None:
        """Hands over a step and its loss (a number, or a tensor or array of one), in JAX the weights too. Costs about a microsecond where nothing is due."""
        if self.failed is not None:
            return
        begin = self.budget.clock()
        try:
            step = int(step)
            if abs(step) > MOST_STEP:
                raise ValueError(f"a step needs to be less than 2**63: found {step}")
            if self.last_step is None:
                self._begin(step, params)
            elif step < self.last_step:
                self._go_back(step)
            self.last_step = step
            if loss is not None:
                self.heard.hear(step, loss)
            if self.schedule.due(step) and (begin >= self.not_before or step >= self.schedule.floor):
                self._consider(step, params, begin)
        except Exception as error:
            self._give_up(error)
        finally:
            if self.budget.started is None:
                self.budget.start()
            else:
                self.budget.called(self.budget.clock() - begin)

    def _consider(self, step: int, params: Any, now: float) -> None:
        """Looks, at as much as the budget allows, or remembers until when it does not allow anything."""
        kind = next((k for k in ("layers", "probe") if self.budget.allows(k)), None)
        if kind is None and step >= self.schedule.floor:
            self.schedule.passed(step)
            kind = "probe" if self.budget.allows_floor() else None
        if kind is None:
            self.num_late += not self.late
            self.late = True
            self.not_before = now + self.budget.wait("probe")
            return
        self.late = False
        if (reason := self.model.waiting()) is not None:
            self._gap(reason)
            self.schedule.looked(step)
            return
        self._settle(params)
        begin = self.budget.clock()
        names, shapes = self.model.names, self.model.shapes
        try:
            seen = self._look(params, layers=kind == "layers")
        except CannotLook as reason:
            self._gap(str(reason))
            self.schedule.looked(step)
            return
        finally:
            self.budget.paid(kind, self.budget.clock() - begin)
        self._compare(step, names, shapes)
        self.snapshots.add(step, seen)
        self.schedule.looked(step)
        if self.out is not None and time.monotonic() - self.saved_at > SAVE_EVERY and self.budget.allows("save"):
            begin = self.budget.clock()
            self.save_to_folder()
            self.budget.paid("save", self.budget.clock() - begin)

    def _compare(self, step: int, names: tuple[str, ...], shapes: tuple[tuple[int, ...], ...]) -> None:
        """Says which weights are others than at the look before, and has what was seen of the old ones stand where its names are now."""
        for sentence in changes(self.model, step, names, shapes):
            self._gap(sentence)
        if names and (self.model.names, self.model.shapes) != (names, shapes):
            self.snapshots.rename(names, self.model.names)

    def _look(self, params: Any, *, layers: bool) -> Seen:
        seen = self.model.observe(params, layers=layers)
        seen.asked = layers
        if self.learning_rate is not None and np.isnan(seen.learning_rate):
            seen.learning_rate = float(self.learning_rate)
        return seen

    def _settle(self, params: Any) -> None:
        """Waits for what the training has asked of an accelerator and not got: that is its time, not the watcher's."""
        begin = self.budget.clock()
        wait_for(params)
        waited = self.budget.clock() - begin
        self.budget.spent -= waited
        self.budget.looking += waited

    def _set_up(self, params: Any) -> None:
        """The first look, twice: the quicker one tells what it costs once everything is loaded and compiled."""
        begin = time.perf_counter()
        if self.model.waiting() is None:
            for layers in (True, False, True, False):
                start, kind = time.perf_counter(), "layers" if layers else "probe"
                try:
                    seen = self._look(params, layers=layers)
                except CannotLook as reason:
                    self._gap(str(reason))
                    break
                self.budget.costs[kind] = min(time.perf_counter() - start, self.budget.costs.get(kind, np.inf))
                self.first = seen if layers else self.first
        self.setup_seconds += time.perf_counter() - begin

    def _begin(self, step: int, params: Any) -> None:
        if self.first is None and self.model.waiting() is None:
            self._set_up(params)
        self._go_on(step)
        if self.first is not None:
            self.schedule.due(step)
            self.snapshots.add(step, self.first)
            self.schedule.looked(step)

    def _go_back(self, step: int) -> None:
        self.heard.take(0)
        assert self.last_step is not None
        self.num_back += 1
        if self.num_back <= MOST_BACK:  # the others are counted
            self._gap(
                f"steps went back from {self.last_step} to {step}: what was seen of {step} to {self.last_step} before is replaced by what came after"
            )
        self.heard.losses.go_back(step)
        self.snapshots.go_back(step)
        self.schedule.go_back(step)

    def _gap(self, sentence: str) -> None:
        if sentence not in self.gaps and len(self.gaps) < 100:
            self.gaps.append(sentence)

    def _give_up(self, error: Exception) -> None:
        self.failed = f"watching stopped after step {self.last_step}: {type(error).__name__}: {first_line(error)}"
        self._gap(self.failed)
        warnings.warn(f"saddlescope: {self.failed}. Training goes on.", RuntimeWarning, stacklevel=4)

    def recording(self) -> Recording:
        """What was seen so far."""
        return recorded(self)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Writes the recording, whole.

        **Raises:** `OSError` where that is not possible.
        """
        self.recording().save(path)

    def report(self) -> Any:
        """What was seen and what it means; the recording is saved first where `out` was given. `print` it."""
        recording = None
        try:  # after a long training the last thing to do is to fail
            recording = self.recording()
            if self.out is not None:
                try:
                    recording.save(self.out / FILE)
                except OSError as error:
                    warnings.warn(
                        f"saddlescope: the recording could not be saved: {error}", RuntimeWarning, stacklevel=2
                    )
            from .report import report

            return report(recording, self.out)
        except Exception as error:
            warnings.warn(
                f"saddlescope: no report could be made of what was seen: {type(error).__name__}: {first_line(error)}. Here is a summary.",
                RuntimeWarning,
                stacklevel=2,
            )
            return "\n".join(self.gaps) or "nothing was seen" if recording is None else summary(recording)

    def lightning(self) -> Any:
        """A callback for Lightning's Trainer(callbacks=[...])."""
        from .callbacks import LightningCallback

        return LightningCallback(self)

    def hugging_face(self) -> Any:
        """A callback for Hugging Face's Trainer(callbacks=[...])."""
        from .callbacks import HuggingFaceCallback

        return HuggingFaceCallback(self)

    def save_to_folder(self) -> None:
        """Writes the recording into `out`; where that fails, the record says so."""
        assert self.out is not None
        self.saved_at = time.monotonic()
        try:
            self.save(self.out / FILE)
        except OSError as error:
            self._gap(f"the recording could not be saved: {error}")

    def _go_on(self, step: int) -> None:
        """Takes up the recording in `out` where the steps go on from it, and puts it aside where they do not."""
        before = None if self.out is None else taken_up(self.out / FILE, step, self.model.names)
        if before is not None:
            self.gaps += resumed(before, step, self.heard.losses, self.snapshots)
            self.schedule.first = int(before.loss_step[0])
