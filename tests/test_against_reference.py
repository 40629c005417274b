"""The package, through its front door, against slow twins written in another style and by hand (`reference/`).

Every problem is run once and solved once; each test then reads one claim off the pair.
"""

import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest

import saddlescope
from reference import compare, data
from reference.compare import Curve
from reference.flow import Solution
from reference.gradient_descent import gradient_descent
from reference.networks import Objective, from_spec
from reference.problems import PROBLEMS, SHORT, fully_connected

RTOL = 1e-8


# Measured at rtol 1e-8 over all problems, slides and kinks included: loss 2e-8 (quadratic units: below), Hermite reading 6e-8,
# times 4e-7 of themselves where the loss is slow and 1e-7 elsewhere, weights 1e-8 of the largest, energy 9e-7.
LOSS, TIME, WEIGHTS, ENERGY = 1e-6, 1e-6, 1e-7, 5e-6


def loss_allowed(curve: Curve) -> float:
    """In units of the first loss: what a contract of 1e-6 leaves, and what a time wrong by 1e-8 of itself makes of a steep drop."""
    return LOSS + 1e-8 * float(np.max(curve.t * curve.speed**2)) / curve.loss[0]


def run(folder, network: dict, x, y, init, weight=None, **flow):
    """A record, from arrays written into `folder`."""
    arrays = {"x": x, "y": y} | ({} if weight is None else {"weight": weight})
    np.savez(folder / "problem.npz", **arrays)
    np.savez(folder / "init.npz", **init)
    return saddlescope.run(
        {
            "network": network,
            "task": {"kind": "arrays", "file": str(folder / "problem.npz")},
            "init": {"kind": "arrays", "file": str(folder / "init.npz")},
            "flow": flow,
        }
    )


def curve_of(record) -> Curve:
    return Curve(*(record[name].values for name in ("t", "loss", "speed")))


def snapshots_of(record, names) -> dict[str, np.ndarray]:
    return {name: record[name].values for name in names}


@functools.cache
def solved(name: str) -> Solution:
    return PROBLEMS[name].solve()


def params():
    return [pytest.param(name, marks=() if name in SHORT else pytest.mark.full) for name in PROBLEMS]


@pytest.fixture(scope="module", params=params())
def case(request, tmp_path_factory):
    """One problem: its record, curve and summary, its reference solution."""
    problem = PROBLEMS[request.param]
    record = run(
        tmp_path_factory.mktemp("run"),
        problem.network,
        problem.x,
        problem.y,
        problem.init,
        problem.weight,
        method="gradient_flow",
        until=problem.t_end,
        rtol=RTOL,
    )
    return SimpleNamespace(
        problem=problem,
        network=problem.reference_network(),
        record=record,
        curve=curve_of(record),
        summary=json.loads(record.attrs["summary"]),
        solution=solved(problem.name),
    )


def test_runs_end_at_the_time_they_were_told(case):
    assert case.summary["ended"] == "time"
    assert case.curve.t[0] == 0
    assert case.curve.t[-1] == case.problem.t_end
    assert np.all(np.diff(case.curve.t) >= 0)


def test_loss_curve(case):
    assert compare.loss_error(case.curve, case.solution) <= loss_allowed(case.curve)


def test_curve_is_dense_enough_to_read_between_its_times(case):
    linear, hermite = compare.density_errors(case.curve, case.solution)
    assert linear <= 1e-4
    assert hermite <= loss_allowed(case.curve)


def test_stage_ends(case):
    ends = compare.stage_ends(case.summary, case.solution)
    assert ends, "no stage has an end, though the first drop is over"
    for end in ends:
        assert end.difference <= TIME * end.told, end
        assert end.difference <= end.told_error + 1e-9 * end.told, end


def test_final_weights(case):
    last = {name: value[-1] for name, value in snapshots_of(case.record, case.network.names).items()}
    t = float(case.record["snapshot_t"].values[-1])
    assert compare.weights_error(last, t, case.solution) <= WEIGHTS


def conserving():
    # what is conserved does not depend on how fast or where, so the names alone decide
    return [
        name
        for name in PROBLEMS
        if compare.conserved(PROBLEMS[name].reference_network(), PROBLEMS[name].init) is not None
    ]


@pytest.mark.parametrize("case", [p for p in params() if p.values[0] in conserving()], indirect=True)
def test_what_the_flow_conserves_stays(case):
    drift = compare.drift(case.network, snapshots_of(case.record, case.network.names))
    assert drift <= 10 * RTOL


def test_loss_never_rises(case):
    # rounding of a sum of squares; at the limit of stability the converged tail flickers at rtol^2
    assert compare.rise(case.curve) <= 1e-12


def test_loss_lost_is_the_integral_of_speed_squared(case):
    assert compare.energy_error(case.curve) <= ENERGY


def aligned(strengths, singular_values, input_eigenvalues):
    """Samples, weights with one balanced unit a mode, and the closed-form loss at times t."""
    a0, s, lam = (np.asarray(values, float) for values in (strengths, singular_values, input_eigenvalues))
    x, y = data.modes(s, lam, len(s), seed=1)
    right, left = x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)
    init = {"u": np.sqrt(a0)[:, None] * right, "v": np.sqrt(a0)[:, None] * left}

    def loss(t):
        strength = (s / lam) / (1 + (s / (lam * a0) - 1) * np.exp(-2 * np.outer(t, s)))
        return (lam / 2 * (s / lam - strength) ** 2).sum(axis=1)

    return x, y, init, loss


def test_aligned_linear_modes_follow_their_closed_form(tmp_path):
    x, y, init, loss = aligned([1e-8, 1e-5, 1e-12], [1.0, 0.4, 2.0], [0.5, 1.0, 3.0])
    record = run(tmp_path, fully_connected("linear", 3), x, y, init, until=40.0, rtol=1e-10)
    curve = curve_of(record)
    assert np.abs(curve.loss - loss(curve.t)).max() <= 1e-8 * curve.loss[0]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.full) for n in ("linear-wide", "tanh-two-outputs")] + ["quadratic-scale-1e-1"],
)
def test_equal_units_stay_equal(name, tmp_path):
    problem = PROBLEMS[name]
    init = {key: value.copy() for key, value in problem.init.items()}
    for value in init.values():
        value[2] = value[0]
    flow = {"until": problem.t_end, "estimate_error": False}
    record = run(tmp_path, problem.network, problem.x, problem.y, init, problem.weight, **flow)
    for key in init:
        weights = record[key].values
        # rounding, which an unstable direction may make grow
        assert np.abs(weights[:, 0] - weights[:, 2]).max() <= 1e-12 * np.abs(weights).max()
        assert np.abs(weights[:, 0] - weights[:, 1]).max() > 1e-3 * np.abs(weights).max()


@pytest.mark.parametrize(
    ("name", "learning_rate", "steps"),
    [
        ("linear-two-modes", 0.1, 250),
        pytest.param("quadratic-scale-1e-1", 0.01, 800, marks=pytest.mark.full),
        pytest.param("relu-sliding-plane", 0.05, 400, marks=pytest.mark.full),
        pytest.param("attention-tokens-separate", 0.1, 300, marks=pytest.mark.full),
    ],
)
def test_gradient_descent_step_by_step(name, learning_rate, steps, tmp_path):
    problem = PROBLEMS[name]
    flow = {"method": "gradient_descent", "learning_rate": learning_rate, "steps": steps}
    record = run(tmp_path, problem.network, problem.x, problem.y, problem.init, problem.weight, **flow)
    objective = problem.objective()
    states = gradient_descent(objective, problem.init, learning_rate, steps)
    step = np.rint(record["t"].values / learning_rate).astype(int)
    assert step[0] == 0
    assert step[-1] == steps
    np.testing.assert_allclose(record["t"].values, learning_rate * step, rtol=1e-12)
    loss = np.array([objective.loss(states[k]) for k in step])
    # rounding, grown by as much as a small start grows
    np.testing.assert_allclose(record["loss"].values, loss, rtol=0, atol=1e-10 * loss[0])
    last = objective.unpack(states[np.rint(record["snapshot_t"].values[-1] / learning_rate).astype(int)])
    for key, value in last.items():
        np.testing.assert_allclose(record[key].values[-1], value, rtol=0, atol=1e-9 * np.abs(states[-1]).max())


@pytest.mark.full
def test_the_target_of_the_query_token_is_not_seen(tmp_path):
    problem = PROBLEMS["attention-tokens-separate"]
    x = problem.x.copy()
    x[:, -1, -1] = problem.y[:, 0]
    record = run(tmp_path, problem.network, x, problem.y, problem.init, until=10.0, estimate_error=False)
    curve = curve_of(record)
    assert np.abs(curve.loss - solved(problem.name).loss(curve.t)).max() <= 1e-6 * curve.loss[0]


@pytest.fixture(scope="module")
def perfect():
    """A curve, a summary and weights read off a reference solution itself: what a run without any error would give."""
    name = "linear-two-modes"
    solution = solved(name)
    t = np.linspace(0, PROBLEMS[name].t_end, 3001)
    curve = Curve(t, solution.loss(t), solution.speed(t))
    heights = [0.625, 0.125]
    ends = [solution.crossing(level) for level in (0.375, 0.0625)]
    stages = [{"height": h, "t_end": t_end, "t_end_error": 1e-9} for h, t_end in zip(heights, ends, strict=True)]
    summary = {"stages": stages, "end": {"height": 0.0}}
    return SimpleNamespace(
        curve=curve, summary=summary, solution=solution, network=PROBLEMS[name].reference_network(), t=t[::300]
    )


def test_the_measures_pass_what_is_right(perfect):
    weights = perfect.solution.weights(perfect.t)
    assert compare.loss_error(perfect.curve, perfect.solution) == 0
    linear, hermite = compare.density_errors(perfect.curve, perfect.solution)
    assert linear < 1e-4
    assert hermite < 1e-6
    assert max(end.difference for end in compare.stage_ends(perfect.summary, perfect.solution)) == 0
    assert compare.weights_error({k: w[3] for k, w in weights.items()}, perfect.t[3], perfect.solution) == 0
    assert compare.rise(perfect.curve) <= 1e-13
    assert compare.energy_error(perfect.curve) < 1e-6
    assert compare.drift(perfect.network, weights) < 1e-10


def test_the_measures_see_what_is_wrong(perfect):
    curve, solution = perfect.curve, perfect.solution
    assert compare.loss_error(Curve(1.01 * curve.t[:2900], curve.loss[:2900], curve.speed[:2900]), solution) > 1e-3
    assert compare.loss_error(Curve(curve.t, 1.01 * curve.loss + 0.0, curve.speed), solution) > 1e-3
    assert compare.rise(Curve(curve.t, curve.loss + 1e-9 * np.sin(curve.t), curve.speed)) > 1e-12
    assert compare.energy_error(Curve(curve.t, curve.loss, 1.01 * curve.speed)) > 1e-2
    assert compare.density_errors(Curve(curve.t, curve.loss, 1.01 * curve.speed), solution)[1] > 1e-6
    sparse = Curve(*(values[::50] for values in (curve.t, curve.loss, curve.speed)))
    assert compare.density_errors(sparse, solution)[0] > 1e-2
    assert compare.density_errors(sparse, solution)[1] > 1e-4
    late = json.loads(json.dumps(perfect.summary))
    late["stages"][0]["t_end"] *= 1.01
    late["stages"][1]["height"] *= 1.01
    for end in compare.stage_ends(late, solution):
        assert end.difference > 1e-6 * end.told
        assert end.difference > end.told_error
    never = {"stages": [{"height": 0.625, "t_end": 1.0, "t_end_error": 0.0}], "end": {"height": -1.0}}
    assert compare.stage_ends(never, solution)[0].difference == np.inf
    weights = solution.weights(perfect.t)
    assert compare.weights_error({k: 1.01 * w[3] for k, w in weights.items()}, perfect.t[3], solution) > 1e-3
    assert (
        compare.drift(perfect.network, weights | {"u": weights["u"] * np.linspace(1, 1.01, 11)[:, None, None]}) > 1e-3
    )


def test_the_reference_would_see_a_wrong_network():
    # the same data and weights under another activation, another divisor, a transposed key and query
    def loss(problem, network, init):
        objective = Objective.build(from_spec(network), problem.x, problem.y, problem.weight, init)
        return objective.loss(10 * objective.pack(init))

    problem = PROBLEMS["attention-tokens-separate"]
    right = loss(problem, problem.network, problem.init)
    swapped = problem.init | {"key": problem.init["query"], "query": problem.init["key"]}
    assert abs(loss(problem, problem.network, swapped) - right) > 1e-3 * right
    assert abs(loss(problem, problem.network | {"normalise": False}, problem.init) - right) > 1e-3 * right
    problem = PROBLEMS["quadratic-scale-1e-1"]
    right = loss(problem, problem.network, problem.init)
    assert abs(loss(problem, problem.network | {"activation": "relu"}, problem.init) - right) > 1e-3 * right
