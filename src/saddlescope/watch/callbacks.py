"""Watching from inside other people's trainers, whose classes are never imported: objects with the methods that they call."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .watcher import Watcher


class _Callback:
    """Whatever else a trainer calls at its events does nothing."""

    def __init__(self, watcher: "Watcher"):
        self.watcher = watcher

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _learn(self, optimizers: Any, batches: Any) -> None:
        model = self.watcher.model
        if getattr(model, "optimizer", "none") is None and optimizers:
            model.optimizer = optimizers[0]  # pyright: ignore[reportAttributeAccessIssue]
        if self.watcher.batches_per_epoch is None and isinstance(batches, int) and batches > 0:
            self.watcher.batches_per_epoch = batches


class LightningCallback(_Callback):
    """For Lightning: `Trainer(callbacks=[watcher.lightning()])`. Steps are those of the trainer, losses what `training_step` returns."""

    state_key = "saddlescope.Watcher"

    def setup(self, trainer: Any, pl_module: Any, stage: str | None = None) -> None:
        """Nothing is set up."""

    def teardown(self, trainer: Any, pl_module: Any, stage: str | None = None) -> None:
        """Nothing is torn down."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a watcher's state is in its own folder."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Learns which optimiser is used, and how many batches an epoch has."""
        self._learn(getattr(trainer, "optimizers", None), getattr(trainer, "num_training_batches", None))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Hands step and loss to the watcher."""
        loss = outputs.get("loss") if hasattr(outputs, "get") else outputs
        self.watcher(int(trainer.global_step), loss)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Keeps the recording."""
        _keep(self.watcher)


class HuggingFaceCallback(_Callback):
    """For Hugging Face: `Trainer(callbacks=[watcher.hugging_face()])`. The probe is looked at after each step, losses come as often as they are logged."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Learns which optimiser is used, and how many batches an epoch has."""
        loader = kwargs.get("train_dataloader")
        batches = len(loader) if hasattr(loader, "__len__") else None
        self._learn([kwargs["optimizer"]] if kwargs.get("optimizer") is not None else None, batches)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Looks while gradients are there: the trainer counts the step, and zeroes them, after this."""
        self.watcher(int(state.global_step) + 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Looks, where an older trainer has no event of the optimiser."""
        self.watcher(int(state.global_step))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Hands the loss over that the trainer logs: the mean since it logged last."""
        if logs and "loss" in logs:
            self.watcher(int(state.global_step), float(logs["loss"]))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keeps the recording."""
        _keep(self.watcher)


def _keep(watcher: "Watcher") -> None:
    if watcher.out is not None:
        watcher.save_to_folder()


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None
