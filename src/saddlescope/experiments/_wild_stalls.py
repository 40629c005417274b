"""Planted stalls: small trainings that stand still for a reason that is known by construction, in plain PyTorch loops with a watcher in them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..watch import Recording, Watcher
from ._wild_networks import pytorch
from ._wild_training import Unhurried, batches

#: Samples and inputs of the tasks that stalls are planted in.
SAMPLES, INPUTS, CLASSES = 256, 12, 4


class Planted(NamedTuple):
    """A stall: the kind that it is by construction, a number, and the training."""

    kind: str
    number: int
    train: Callable[[], Recording]

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"


class Recipe(NamedTuple):
    """What a planted training is made of."""

    widths: tuple[int, ...] = (INPUTS, 24, CLASSES)
    activation: str = "relu"
    scale: float = 1.0
    optimiser: str = "sgd"
    rate: float = 0.05
    steps: int = 400
    batch: int = SAMPLES
    labels: str = "teacher"  # teacher | noise | linear
    change: Callable[[Any, Any], None] | None = None  # of the network and torch, before training
    schedule: Callable[[int], float] | None = None  # factor of the rate
    edge: float | None = None  # part of the largest stable rate, of a linear network
    seed: int = 0


def planted(count: int, *, held_out: bool = True) -> Iterator[Planted]:
    """`count` stalls of each kind; `held_out`: made as no stall was that rules and thresholds were set on."""
    for kind, recipe in RECIPES.items():
        for number in range(count):
            made = recipe(number)
            made = other(made) if held_out else made
            yield Planted(kind, number, lambda made=made: run(made))


def other(recipe: Recipe) -> Recipe:
    """The same cause elsewhere: twice the units in hidden layers, GELU for ReLU where no unit has to be dead, other data and weights, half as many steps again."""
    first, *hidden, last = recipe.widths
    activation = "gelu" if recipe.activation == "relu" and recipe.change is None else recipe.activation
    schedule = recipe.schedule
    return recipe._replace(
        widths=(first, *(2 * width for width in hidden), last),
        activation=activation,
        steps=recipe.steps * 3 // 2,
        schedule=None if schedule is None else lambda step: schedule(step * 2 // 3),
        seed=1000 + recipe.seed,
    )


def run(recipe: Recipe) -> Recording:
    """Trains, watched, and returns the recording."""
    torch = pytorch()
    torch.manual_seed(recipe.seed)
    x, y = _data(torch, recipe)
    net = _network(torch, recipe)
    if recipe.change is not None:
        recipe.change(net, torch)
    if recipe.edge is not None:
        # least squares with a bias: the largest eigenvalue of the mean of (x, 1)(x, 1)^T; momentum beta is stable to 2 (1 + beta) over it
        wide = torch.cat([x, torch.ones(len(x), 1)], dim=1).double()
        largest = float(torch.linalg.eigvalsh(wide.T @ wide / len(x))[-1])
        recipe = recipe._replace(rate=recipe.edge * (3.8 if recipe.optimiser == "momentum" else 2.0) / largest)
    trained = [p for p in net.parameters() if p.requires_grad] or list(net.parameters())
    if recipe.optimiser == "adam":
        optimizer = torch.optim.Adam(trained, lr=recipe.rate)
    else:
        optimizer = torch.optim.SGD(trained, lr=recipe.rate, momentum=0.9 if recipe.optimiser == "momentum" else 0.0)
    criterion = torch.nn.functional.cross_entropy if y.ndim == 1 else lambda f, t: 0.5 * ((f - t) ** 2).sum(1).mean()
    # half of the trainings are watched without targets, as a user's often are: their stalls are read off the losses handed over
    targets = {"targets": y, "criterion": criterion} if recipe.seed % 2 else {}
    watcher = Watcher(net, x, optimizer=optimizer, batches_per_epoch=len(x) // recipe.batch, **targets)
    watcher.budget.allows = Unhurried()
    for step, chosen in enumerate(batches(torch, len(x), recipe.batch, recipe.seed)):
        if step >= recipe.steps:
            break
        if recipe.schedule is not None:
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * recipe.schedule(step)
        loss = criterion(net(x[chosen]), y[chosen])
        optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
            optimizer.step()
        watcher(step, loss.detach())
        if not np.isfinite(float(loss.detach())):
            break
    return watcher.recording()


def _data(torch: Any, recipe: Recipe) -> tuple[Any, Any]:
    """Gaussian inputs; classes of a random two-layer teacher, classes without rule, or a linear map with noise that cannot be learned."""
    x = torch.randn(SAMPLES, recipe.widths[0])
    if recipe.labels == "noise":
        return x, torch.randint(0, CLASSES, (SAMPLES,))
    if recipe.labels == "linear":
        return x, x @ torch.randn(INPUTS, CLASSES) / INPUTS**0.5 + 0.5 * torch.randn(SAMPLES, CLASSES)
    teacher = torch.relu(x @ torch.randn(INPUTS, 16)) @ torch.randn(16, CLASSES)
    return x, (teacher - teacher.mean(0)).argmax(1)


def _network(torch: Any, recipe: Recipe) -> Any:
    nn = torch.nn
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[recipe.activation]
    layers: list[Any] = []
    for k, (inputs, outputs) in enumerate(zip(recipe.widths, recipe.widths[1:], strict=False)):
        layers += [nn.Linear(inputs, outputs), *([activation()] if k < len(recipe.widths) - 2 else [])]
        with torch.no_grad():
            layers[-2 if k < len(recipe.widths) - 2 else -1].weight.normal_(0.0, recipe.scale * (2 / inputs) ** 0.5)
            layers[-2 if k < len(recipe.widths) - 2 else -1].bias.zero_()
    return nn.Sequential(*layers)


def _linears(net: Any, torch: Any) -> list[Any]:
    return [m for m in net if isinstance(m, torch.nn.Linear)]


# --------------------------------------------------------------------------------------------- one recipe a kind


def _saddle(n: int) -> Recipe:
    depth = 2 + n % 3
    widths = (INPUTS, *((24,) * (depth - 1)), CLASSES)
    scale = {2: (3e-3, 1e-2), 3: (0.04, 0.08), 4: (0.12, 0.18)}[depth][n // 3 % 2]
    # every other one is still on its plateau when the recording ends
    steps = {2: (150, 700), 3: (300, 900), 4: (300, 1200)}[depth][n % 2]
    optimiser = ("sgd", "momentum", "sgd")[n % 3]
    rate = 0.1 if optimiser == "sgd" else 0.02
    return Recipe(widths, ("relu", "tanh")[n // 2 % 2], scale, optimiser, rate, steps, seed=n)


def _converged(n: int) -> Recipe:
    if n % 2:  # to zero: teacher labels with enough width; otherwise to the least squares of a linear map
        return Recipe((INPUTS, 64, CLASSES), "relu", 1.0, "adam", 0.02, 500, seed=n)
    return Recipe((INPUTS, CLASSES), "relu", 1.0, "sgd", 0.3, 500, labels="linear", seed=n)


def _small_rate(n: int) -> Recipe:
    return Recipe(
        (INPUTS, *((24,) * (1 + n % 2)), CLASSES), ("relu", "tanh")[n % 2], 1.0, ("sgd", "momentum")[n // 2 % 2], 10.0 ** -(6 + n % 2), 300,
        seed=n,
    )  # fmt: skip


def _large_rate(n: int) -> Recipe:
    """Least squares by full batches, just below the rate at which the steepest direction diverges: it swings from side to side and hardly shrinks."""
    return Recipe(
        (INPUTS, CLASSES),
        "relu",
        1.0,
        ("sgd", "momentum")[n % 2],
        0.0,
        300,
        labels="linear",
        edge=(0.9999, 0.99)[n % 2] - 1e-4 * (n % 3),
        seed=n,
    )


def _dead(n: int) -> Recipe:
    def kill(net: Any, torch: Any) -> None:
        first = _linears(net, torch)[n % 2]
        with torch.no_grad():
            first.bias.fill_(-30.0)

    return Recipe(
        (INPUTS, 24, 24, CLASSES),
        "relu",
        1.0,
        ("sgd", "adam")[n // 2 % 2],
        (0.1, 0.01)[n // 2 % 2],
        400,
        change=kill,
        seed=n,
    )


def _saturated(n: int) -> Recipe:
    def saturate(net: Any, torch: Any) -> None:
        # every unit far from 0 on every sample: the readout learns what it can from signs, and the rest passes no gradient
        for first in _linears(net, torch)[1 - n % 2 : 2]:
            with torch.no_grad():
                first.weight.mul_(1000.0)

    return Recipe(
        (INPUTS, 8, 8, CLASSES),
        "tanh",
        1.0,
        ("sgd", "momentum")[n // 2 % 2],
        (0.5, 0.05)[n // 2 % 2],
        900,
        change=saturate,
        labels="noise",
        seed=n,
    )


def _epochs(n: int) -> Recipe:
    # classes without rule and inputs at right angles, nearly: a sample's loss falls when it is seen, and is next looked at one epoch later
    return Recipe(
        (4096, CLASSES), "relu", 0.1, "sgd", (0.006, 0.01)[n % 2], 16 * (6 + n % 3), batch=16, labels="noise", seed=n
    )


def _schedule(n: int) -> Recipe:
    at = 150 + 20 * (n % 3)
    widths = (INPUTS, *((24,) * (1 + n % 2)), CLASSES)
    return Recipe(
        widths,
        ("relu", "tanh")[n // 2 % 2],
        1.0,
        ("sgd", "momentum")[n % 2],
        (0.1, 0.01)[n % 2],
        400,
        schedule=lambda s: 1e-4 if s < at else 1.0,
        seed=n,
    )


def _frozen(n: int) -> Recipe:
    def freeze(net: Any, torch: Any) -> None:
        linears = _linears(net, torch)
        for module in linears[: len(linears) - n % 2]:
            for p in module.parameters():
                p.requires_grad_(False)

    return Recipe((INPUTS, 24, 24, CLASSES), "relu", 1.0, "sgd", 0.3, 900, change=freeze, labels="noise", seed=n)


def _noise(n: int) -> Recipe:
    return Recipe(
        (INPUTS, CLASSES),
        "relu",
        1.0,
        "sgd",
        (0.05, 0.1)[n % 2],
        500,
        batch=(4, 8)[n // 2 % 2],
        labels="linear",
        seed=n,
    )


RECIPES: dict[str, Callable[[int], Recipe]] = {
    "saddle": _saddle,
    "converged": _converged,
    "small learning rate": _small_rate,
    "large learning rate": _large_rate,
    "dead units": _dead,
    "saturated units": _saturated,
    "epochs": _epochs,
    "schedule": _schedule,
    "frozen": _frozen,
    "noise": _noise,
}
