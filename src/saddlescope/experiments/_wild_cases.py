"""The trainings that are forecast: families of cases, frozen here, and which of them the forecast's constants were set on."""

from typing import NamedTuple

from ..watch.hypotheses import WIDTH

#: Scales that each case's own is multiplied by: at least three, a factor 3 apart at both ends.
SEEDS, QUICK_SEEDS = 3, 1


class Case(NamedTuple):
    """One training. `scale`: standard deviation of a weight, times sqrt(fan-in)."""

    family: str
    task: str
    kind: str
    depth: int
    activation: str
    scale: float
    optimiser: str
    learning_rate: float
    seed: int
    batch: int = 128

    @property
    def name(self) -> str:
        parts = (self.task, self.kind, self.depth, self.activation, f"{self.scale:g}", self.optimiser, self.seed)
        return "-".join(str(part) for part in parts)


class Family(NamedTuple):
    """`rows`: (task, kind, depth, activation, scales, optimiser, learning rate); `tuned`: whether constants were set on it; `asked`: whether the law should hold of it.

    `width`: of its intervals, see `hypotheses.WIDTH`: what forecasts of all other families that were looked at gave, without its own (a claim of the experiment fits it again);
    `blind`: nobody had looked at the data when this was written, and the width is that of everybody.
    """

    rows: tuple[tuple[str, str, int, str, tuple[float, ...], str, float], ...]
    tuned: bool
    asked: bool
    width: float = WIDTH
    blind: bool = False


def _rows(task: str, kind: str, optimiser: str, *rows: tuple[int, str, tuple[float, ...], float]):
    return tuple((task, kind, depth, activation, scales, optimiser, rate) for depth, activation, scales, rate in rows)


FAMILIES: dict[str, Family] = {
    "digits MLP, SGD": Family(
        _rows(
            *("digits", "mlp", "sgd"),
            (2, "relu", (0.03, 0.003, 0.0003), 0.02),
            (3, "tanh", (0.1, 0.06, 0.03), 0.05),
            (4, "relu", (0.3, 0.2, 0.14), 0.1),
            (5, "relu", (0.45, 0.35, 0.28), 0.1),
        ),
        tuned=True,
        asked=True,
        width=0.571,
    ),
    "digits MLP, momentum": Family(
        _rows(
            *("digits", "mlp", "momentum"),
            (2, "tanh", (0.03, 0.003, 0.0003), 0.003),
            (3, "relu", (0.1, 0.06, 0.04), 0.01),
            (4, "tanh", (0.3, 0.2, 0.14), 0.01),
            (5, "relu", (0.45, 0.35, 0.28), 0.01),
        ),
        tuned=True,
        asked=True,
        width=0.587,
    ),
    "digits CNN, SGD": Family(
        _rows(*("digits", "cnn", "sgd"), (3, "relu", (0.3, 0.2, 0.12), 0.1), (4, "tanh", (0.5, 0.4, 0.3), 0.1)),
        tuned=False,
        asked=True,
        width=0.571,
    ),
    "digits CNN, momentum": Family(
        _rows(*("digits", "cnn", "momentum"), (3, "tanh", (0.3, 0.2, 0.12), 0.01), (4, "relu", (0.5, 0.4, 0.3), 0.01)),
        tuned=False,
        asked=True,
        width=0.668,
    ),
    "MNIST MLP": Family(
        (
            *_rows("mnist", "mlp", "sgd", (3, "relu", (0.15, 0.1, 0.06), 0.05), (4, "tanh", (0.3, 0.2, 0.15), 0.05)),
            *_rows("mnist", "mlp", "momentum", (3, "gelu", (0.2, 0.12, 0.08), 0.01)),
        ),
        tuned=False,
        asked=True,
        width=0.571,
    ),
    "MNIST CNN": Family(
        _rows("mnist", "cnn", "sgd", (3, "relu", (0.2, 0.12, 0.08), 0.05)), tuned=False, asked=True, width=0.635
    ),
    "parity MLP": Family(
        _rows("parity", "mlp", "sgd", (2, "relu", (0.05, 0.01, 0.002), 0.03), (3, "relu", (0.3, 0.2, 0.14), 0.05)),
        tuned=False,
        asked=True,
        width=0.473,
    ),
    "modular addition MLP": Family(
        _rows("modular", "mlp", "sgd", (2, "relu", (0.05, 0.01, 0.002), 0.2)), tuned=False, asked=True, width=0.635
    ),
    "softmax attention": Family(
        _rows("regression", "attention", "sgd", (4, "softmax", (0.3, 0.22, 0.16), 0.05)),
        tuned=False,
        asked=True,
        width=0.668,
    ),
    "tables MLP, SGD": Family(
        (
            *_rows(
                *("cancer", "mlp", "sgd"),
                (2, "relu", (0.03, 0.003, 0.0003), 0.005),
                (4, "tanh", (0.3, 0.2, 0.15), 0.01),
            ),
            *_rows("wine", "mlp", "sgd", (3, "tanh", (0.15, 0.1, 0.06), 0.02)),
            *_rows("diabetes", "mlp", "sgd", (3, "relu", (0.15, 0.1, 0.06), 0.03)),
        ),
        tuned=False,
        asked=True,
        blind=True,
    ),
    "tables MLP, momentum": Family(
        (
            *_rows("cancer", "mlp", "momentum", (3, "relu", (0.1, 0.06, 0.04), 0.002)),
            *_rows("wine", "mlp", "momentum", (4, "relu", (0.3, 0.2, 0.15), 0.005)),
            *_rows("diabetes", "mlp", "momentum", (2, "tanh", (0.03, 0.003, 0.0003), 0.001)),
        ),
        tuned=False,
        asked=True,
        blind=True,
    ),
    "Adam": Family(
        (
            *_rows("digits", "mlp", "adam", (3, "relu", (0.1, 0.06, 0.03), 1e-4)),
            *_rows("digits", "cnn", "adam", (4, "relu", (0.4, 0.3, 0.2), 3e-4)),
        ),
        tuned=False,
        asked=False,
    ),
    "pre-LN residual MLP": Family(
        _rows("digits", "residual", "sgd", (6, "relu", (0.1, 0.03, 0.01), 0.02)), tuned=False, asked=False
    ),
}

#: Rows of each family in a quick run, and the scale of each.
QUICK_ROWS, QUICK_SCALE = 2, 1


def cases(family: str, quick: bool) -> list[Case]:
    """Every case of a family."""
    rows = FAMILIES[family].rows[:QUICK_ROWS] if quick else FAMILIES[family].rows
    found = []
    for task, kind, depth, activation, scales, optimiser, rate in rows:
        for scale in (scales[QUICK_SCALE],) if quick else scales:
            for seed in range(QUICK_SEEDS if quick else SEEDS):
                batch = 289 if task == "modular" else 128  # all pairs at once
                found.append(Case(family, task, kind, depth, activation, scale, optimiser, rate, seed, batch))
    return found
