"""Linear units on data with fewer modes than inputs or outputs: weights beside the modes act on those that grow. Steps that diverge where a mode is learned."""

from functools import cache

import numpy as np
import pytest

from reference import data
from reference.gradient_descent import gradient_descent
from reference.networks import Objective, from_spec
from reference.problems import fully_connected
from saddlescope.theory import predict
from saddlescope.theory.lines.answers import REDUCTIONS, _followed, by_formula
from saddlescope.theory.lines.beside import beside
from saddlescope.theory.lines.modes import modes_of
from saddlescope.theory.lines.moments import lines_of
from saddlescope.theory.lines.sharpness import sharpness
from saddlescope.theory.lines.stages import Saddles
from test_theory_directions import disagreements, ends, problem, slow

SEEDS = range(16)


def _neurons(samples, units, scale, seed):
    return (
        fully_connected("linear", units),
        samples,
        data.neurons(seed, scale, units, samples[0].shape[1], samples[1].shape[1]),
    )


def deficient(seed):
    """A random problem with fewer modes than inputs or outputs; 1, 2, inputs or inputs + 1 units."""
    rng = np.random.default_rng([seed, 5])
    inputs, outputs = (1, 4) if seed % 8 == 0 else (int(rng.integers(2, 9)), int(rng.integers(1, 4)))
    count = min(int(rng.integers(1, 3)), inputs, outputs)
    if count == inputs == outputs:
        outputs += 1
    values = np.exp(rng.uniform(-0.5, 0.5)) * np.cumprod([1.0, *rng.uniform(0.2, 0.8, count - 1)])
    eigenvalues = np.ones(inputs) if rng.integers(2) else np.exp(rng.uniform(-1, 1, inputs))
    units = [1, 2, inputs, inputs + 1][seed % 4]
    scale = 10.0 ** rng.uniform(-4, -1.5)
    return _neurons(data.modes(values.tolist(), eigenvalues.tolist(), outputs), units, scale, seed)


@cache
def compared(seed):
    case = deficient(seed)
    prediction = predict(*problem(case)[:2])
    return prediction, slow(case, 1.3 * prediction.stages[-1].t_end + 1.0)


def test_expected_errors_hold_on_data_with_fewer_modes_than_inputs_or_outputs():
    wrong = [(seed, d) for seed in SEEDS for d in disagreements(compared(seed)[1], compared(seed)[0])]
    count = sum(len(compared(seed)[0].stages) for seed in SEEDS)
    assert len(wrong) <= 0.05 * count, wrong
    # and they are worth something
    sizes = [stage.t_end_error / stage.t_end for seed in SEEDS for stage in compared(seed)[0].stages]
    assert np.median(sizes) < 1e-3


def test_without_what_lies_beside_the_modes_they_do_not():
    # one input, four outputs: three of them have no target, and their weights slow the only mode
    case = _neurons(data.modes([1.0], [1.0], 4), 1, 0.03, 0)
    lines = lines_of(problem(case))
    modes = modes_of(lines)
    others, saddles = beside(lines, modes), Saddles(lines, modes)
    (true,) = ends(slow(case, 40.0), predict(*problem(case)[:2]))
    without = by_formula(lines, modes, others._replace(slowing=0.0 * others.slowing), saddles)
    assert abs(without.seen[0].t_end - true) > 2 * without.errors[0]
    within = by_formula(lines, modes, others, saddles)
    assert abs(within.seen[0].t_end - true) < within.errors[0] < 0.05 * true


@pytest.mark.parametrize("eigenvalues", [[1.0] * 6, [1.0, 0.5, 2.0, 0.7, 1.3, 0.2]])
def test_gathered_rows_give_the_times_of_all_rows(eigenvalues):
    # one mode, three units, five inputs beside it: to the second order in what they change (1e-3 of the time), and far better than without them
    case = _neurons(data.modes([1.0], eigenvalues, 2), 9, 0.02, 1)
    lines = lines_of(problem(case))
    modes = modes_of(lines)
    others, saddles = beside(lines, modes), Saddles(lines, modes)
    (true,) = ends(slow(case, 40.0), predict(*problem(case)[:2]))

    def end(name, beside_them):
        reduced = REDUCTIONS[name](lines, modes, beside_them, None)
        return _followed(name, reduced, lines, modes, beside_them, saddles).seen[0].t_end

    none = others._replace(inputs=others.inputs[:, :0], sigma=others.sigma[:0], outputs=0, slowing=0.0 * others.slowing)
    assert end("every", others) == pytest.approx(true, rel=1e-8)
    assert abs(end("growing", others) - true) < 0.3 * abs(end("growing", none) - true)
    assert abs(end("growing", none) - true) > 1e-4 * true


# ---------------------------------------------------------------------------------------------------------- steps that diverge


def unstable(rate):
    case = _neurons(data.modes([1.0, 0.5], [0.1, 10.0], 2), 8, 1e-3, 0)
    network, (x, y), weights = case
    objective = Objective.build(from_spec(network), x, y, None, weights)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = [objective.loss(state) for state in gradient_descent(objective, weights, rate, int(25 / rate))]
    return predict(*problem(case)[:2], learning_rate=rate), losses


def test_no_end_is_told_where_steps_diverge():
    # the first mode, once learned, has weights of size s / lambda = 10 on which the second input, lambda = 10, acts: curvature 100
    prediction, losses = unstable(0.2)
    assert not losses[-1] < 1e6 * losses[0]
    (stage,) = prediction.stages
    assert stage.t_end is None
    assert stage.status == "outside assumptions"
    assert "learning_rate below 0.0199" in stage.reason  # 2 / (100 + 0.5), both modes learned
    assert prediction.end.height is None


def test_steps_a_little_shorter_than_the_largest_stable_ones_are_foretold():
    prediction, losses = unstable(0.0195)
    assert losses[-1] < 1e-3 * losses[0]
    (stage,) = prediction.stages
    after = int(np.argmax(np.array(losses) < 0.5 * (stage.height + prediction.end.height)))
    assert abs(stage.t_end - 0.0195 * after) < 0.0195
    assert prediction.outside == ()


def test_sharpness_is_the_largest_curvature_of_the_loss():
    case = _neurons(data.regression(4, 12, 4, 3), 5, 1e-3, 0)
    network, (x, y), weights = case
    lines = lines_of(problem(case))
    modes = modes_of(lines)
    saddles = Saddles(lines, modes)
    objective = Objective.build(from_spec(network), x, y, None, weights)
    for learned in ((), (0,), (0, 1)):
        left, size, right = np.linalg.svd(modes.into @ saddles.function(learned) @ modes.out.T)
        u, v = np.zeros((5, 4)), np.zeros((5, 3))
        for k in range(len(learned)):
            u[k], v[k] = np.sqrt(size[k]) * left[:, k], np.sqrt(size[k]) * right[k]
        here = objective.pack({"u": u, "v": v.reshape(weights["v"].shape)})
        # central differences of gradients: to 1e-9 of the largest entries
        step = 1e-5
        hessian = [
            (objective.gradient(here + step * e) - objective.gradient(here - step * e)) / (2 * step)
            for e in np.eye(here.size)
        ]
        assert np.linalg.norm(objective.gradient(here)) < 1e-12
        assert sharpness(lines, saddles, learned, modes.into, modes.out) == pytest.approx(
            np.linalg.eigvalsh(np.array(hessian))[-1], rel=1e-6
        )
