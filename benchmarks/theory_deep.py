"""Predicted against simulated stages, for units on rays and for deep linear networks: the tables of docs/theory_deep.md.

    python benchmarks/theory_deep.py rays 70
    python benchmarks/theory_deep.py deep 40
    python benchmarks/theory_deep.py narrow 40
    python benchmarks/theory_deep.py skip 40

Problems are drawn from a generator of this file's own; a line a problem, then quantiles. Shapes are few, because each is compiled once.
"""

import sys
import time
from itertools import pairwise

import numpy as np

from saddlescope.flow import gradient_flow
from saddlescope.networks import Deep, Skip
from saddlescope.objective import Objective
from saddlescope.runs import prepare
from saddlescope.series import crossing_time, find_plateaus
from saddlescope.specs import read_spec
from saddlescope.theory import predict
from saddlescope.units import Linear

RAYS = [("neurons", 3, 20), ("neurons", 4, 100), ("neurons", 6, 40), ("kernels", 2, 40), ("kernels", 3, 80)]
DEEP = [(3, 3, [20, 20]), (4, 2, [30, 30]), (3, 3, [30, 20]), (2, 2, [20, 20, 20])]
NARROW = [(3, 3, [5, 5]), (2, 2, [5, 5]), (4, 3, [10, 10]), (4, 2, [3, 4]), (2, 3, [5, 4, 5])]
SKIPS = [(3, 3, [30, 30], 1), (2, 2, [20, 20, 20], 1), (2, 3, [30, 20, 30], 2), (2, 2, [10, 10, 10], 1)]


def rays(draw):
    """Orthogonal inputs with log-uniform lengths (a factor 2.2) and normal targets, or kernels on a teacher with rates in ratios .2 to .85; scales 1e-8 to 1e-1."""
    kind, size, units = RAYS[draw.integers(len(RAYS))]
    scale, seed = 10 ** draw.uniform(-8, -1), int(draw.integers(10**6))
    if kind == "neurons":
        norms, targets = np.exp(draw.uniform(-0.4, 0.4, size)), draw.normal(size=size)
        task = {
            "kind": "orthogonal_relu",
            "norms": norms.tolist(),
            "targets": targets.tolist(),
            "rotate": True,
            "seed": seed,
        }
        network = {"architecture": "fully_connected", "activation": "relu", "units": units}
    else:
        rates = np.cumprod(np.append(1.5, draw.uniform(0.2, 0.85, size - 1)))
        task = {"kind": "convolutional_teacher", "kernel_size": size, "positions": size}
        task |= {"singular_values": rates.tolist(), "input_eigenvalues": draw.uniform(0.5, 2, size).tolist()}
        network = {"architecture": "convolutional", "activation": "relu", "units": units, "kernel_size": size}
    problem = prepare(read_spec({"network": network, "task": task, "init": {"scale": scale, "seed": seed}}))
    return f"{kind} {size} {units}", scale, problem.network, problem.objective


def deep(draw, shapes=DEEP):
    """Singular values in ratios .2 to .85, input eigenvalues within a factor 5, in the same basis or another; scales 1e-4 (1e-2.5 with four layers) to 1e-1."""
    inputs, outputs, widths = shapes[draw.integers(len(shapes))]
    scale = 10 ** draw.uniform(-4 if len(widths) == 2 else -2.5, -1)
    objective = linear(draw, inputs, outputs)
    dims = [inputs, *widths, outputs]
    weights = tuple(scale * draw.normal(size=(b, a)) for a, b in pairwise(dims))
    return f"{len(dims) - 1} layers {widths}", scale, Deep(Linear(), weights), objective


def narrow(draw):
    """The problems of `deep` in layers no wider, or hardly wider, than inputs and outputs together."""
    return deep(draw, NARROW)


def skip(draw):
    """The data of `deep`; scales 1e-6 to 1e-1, where the connection leaves two small factors, and 1e-3 to 1e-1 with three."""
    inputs, outputs, widths, jumps = SKIPS[draw.integers(len(SKIPS))]
    scale = 10 ** draw.uniform(-6 if len(widths) - jumps == 1 else -3, -1)
    objective = linear(draw, inputs, outputs)
    weights = tuple(scale * draw.normal(size=(b, a)) for a, b in pairwise([inputs, *widths, outputs]))
    return f"skip {jumps}, {len(widths) + 1} layers {widths}", scale, Skip(Linear(), weights, jumps), objective


def linear(draw, inputs, outputs):
    rank = min(inputs, outputs)
    singular = np.cumprod(np.append(1.5, draw.uniform(0.2, 0.85, rank - 1)))
    variances = np.exp(draw.uniform(-0.5, 0.5, inputs) * np.log(5))
    right, left, other = (np.linalg.qr(draw.normal(size=(n, n)))[0] for n in (inputs, outputs, inputs))
    x = np.sqrt(variances)[:, None] * (right if draw.random() < 0.6 else other).T
    yx = (left[:, :rank] * singular) @ right[:, :rank].T
    y = x @ np.linalg.solve(x.T @ x, yx.T)
    return Objective(x, y, np.ones(inputs), np.float64(0.0), lifted=True, psi_name="inputs")


def main(which: str, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows, counted = [], []
    for number in range(count):
        name, scale, network, objective = {"rays": rays, "deep": deep, "narrow": narrow, "skip": skip}[which](draw)
        began = time.monotonic()
        prediction = predict(network, objective)
        predicted = time.monotonic() - began
        stages = prediction.stages
        until = 1.5 * max([s.t_end or 0.0 for s in stages], default=10.0) + 20
        began = time.monotonic()
        run = gradient_flow(network, objective, until=until, rtol=1e-10, throw=False)
        simulated = time.monotonic() - began
        plateaus = find_plateaus(run.t, run.loss, run.speed)
        counted.append((scale, len(plateaus) == len(stages)))
        print(
            f"{number} {name} {scale:.1e}: {len(stages)} stages, seen {len(plateaus)}; {predicted:.1f} s, simulated in {simulated:.1f} s"
        )
        heights = [s.height for s in stages] + [prediction.end.height]
        for stage, (above, below) in zip(stages, pairwise(heights), strict=True):
            t = crossing_time(run.t, run.loss, run.speed, 0.5 * (above + below))
            if t is None or stage.t_end is None:
                print("   no end:", stage.t_end, t)
                continue
            error = abs(stage.t_end - t)
            group = f"scale 1e{np.floor(np.log10(scale)):.0f}" if which == "rays" else name
            rows.append((group, error / t, error / stage.t_end_error))
            print(f"   until {t:.6g}: off by {error / t:.1e}, {error / stage.t_end_error:.2f} of what is expected")
    print("\ngroup | stages | median | 95% | largest | covered")
    for group in sorted({row[0] for row in rows}):
        error = np.array([row[1:] for row in rows if row[0] == group])
        low, high = np.quantile(error[:, 0], [0.5, 0.95])
        print(
            f"{group} | {len(error)} | {low:.1e} | {high:.1e} | {error[:, 0].max():.1e} | {np.mean(error[:, 1] <= 1):.0%}"
        )
    for limit in (1e-4, 1e-2, 1.0):
        right = [ok for scale, ok in counted if scale < limit]
        print(f"number of plateaus right below scale {limit}: {sum(right)} of {len(right)}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
