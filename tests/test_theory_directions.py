"""Linear units: stages foretold from data and initial weights, against flows solved independently (hand-made gradients, DOP853 at rtol 1e-12)."""

import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import saddlescope
import small
from reference import data
from reference.diagonal import Diagonal
from reference.flow import Solution, gradient_flow
from reference.gradient_descent import gradient_descent
from reference.networks import Objective, from_spec
from reference.problems import convolutional, fully_connected
from saddlescope.series import find_plateaus
from saddlescope.theory import Problem, predict
from saddlescope.theory.lines import stages as lines_stages
from saddlescope.theory.lines.answers import REDUCTIONS, _followed
from saddlescope.theory.lines.beside import beside
from saddlescope.theory.lines.directions import Directions
from saddlescope.theory.lines.formula import Logistic
from saddlescope.theory.lines.modes import modes_of
from saddlescope.theory.lines.moments import lines_of
from saddlescope.theory.lines.stages import Saddles

MERGED = {"architecture": "attention", "units": 4, "merged": True, "input": "cubic"}


def _neurons(samples, units, scale, seed=0):
    return (
        fully_connected("linear", units),
        samples,
        data.neurons(seed, scale, units, samples[0].shape[1], samples[1].shape[1]),
    )


def _kernels(samples, units, size, scale, stride, seed=0):
    positions = (samples[0].shape[1] - size) // stride + 1
    weights = data.gaussian(seed, scale, u=(units, size), v=(units, positions, samples[1].shape[1]))
    return convolutional("linear", units, size, stride), samples, weights


#: name -> (network, samples, initial weights), what the stages are found from, and effective widths.
CASES = {
    "far-apart": (_neurons(data.modes([2.0, 0.9, 0.3], [1.0, 0.5, 2.0, 1.0], 3), 12, 1e-5), "closed form", [0, 1, 2]),
    "close": (_neurons(data.modes([1.0, 0.8, 0.3], [1.0, 2.0, 1.0], 3), 20, 1e-4), "reduced ODE", [0, 2]),
    "equal-pair": (_neurons(data.modes([1.0, 1.0, 0.3], [1.0, 2.0, 0.7], 4), 9, 1e-5), "reduced ODE", [0, 2]),
    "does-not-commute": (_neurons(data.regression(3, 12, 4, 3), 15, 1e-5), "reduced ODE", [0, 1, 2]),
    "as-many-units-as-modes": (_neurons(data.modes([1.0, 0.4], [1.0, 1.5], 2), 2, 1e-6), "closed form", [0, 1]),
    "fewer-units-than-modes": (
        _neurons(data.modes([1.0, 0.5, 0.2], [1.0, 1.0, 1.0, 1.0], 4), 2, 1e-6),
        "closed form",
        [0, 1],
    ),
    "learned-first-is-not-worth-most": (
        _neurons(data.modes([1.0, 0.8], [3.0, 0.2], 2), 20, 1e-6),
        "reduced ODE",
        [0, 1],
    ),
    "kernels": (_kernels(data.white_patches(np.sqrt([0.6, 1.6]), [2.0, 0.5]), 6, 2, 1e-5, 2), "closed form", [0, 1]),
    "merged-heads": (
        (MERGED, data.cubic_population([1.0, 0.5], 8), data.merged_heads(2, 1e-4, 4, 2, (1, 1))),
        "reduced ODE",
        [0],
    ),
}


def problem(case):
    network, (x, y), weights = case
    options = {key: value for key, value in network.items() if key != "architecture"}
    return Problem(*small.problem(network["architecture"], x, y, weights, **options))


def slow(case, until) -> Solution:
    network, (x, y), weights = case
    return gradient_flow(Objective.build(from_spec(network), x, y, None, weights), weights, until)


@cache
def foretold(name):
    return predict(*problem(CASES[name][0])[:2])


@cache
def solved(name):
    return slow(CASES[name][0], 1.5 * foretold(name).stages[-1].t_end)


def ends(solution, prediction):
    heights = [*(stage.height for stage in prediction.stages), prediction.end.height]
    return [solution.crossing(0.5 * (a + b)) for a, b in pairwise(heights)]


def disagreements(solution, prediction, floor=0.0):
    """The stages whose true end lies farther from the predicted one than its expected error."""
    return [
        (true, stage.t_end, stage.t_end_error)
        for true, stage in zip(ends(solution, prediction), prediction.stages, strict=True)
        if true is None or abs(true - stage.t_end) > stage.t_end_error + floor
    ]


# ------------------------------------------------------------------------------------------------------------- the stages


@pytest.mark.parametrize("name", CASES)
def test_stages_end_when_theory_says_within_its_expected_error(name):
    prediction = foretold(name)
    assert disagreements(solved(name), prediction) == []
    # and that error is worth something: the issue of a prediction is a thousandth
    assert all(stage.t_end_error < 1e-3 * stage.t_end for stage in prediction.stages)


@pytest.mark.parametrize("name", CASES)
def test_widths_kinds_and_sources_are_those_of_the_saddles(name):
    _, source, widths = CASES[name]
    stages = foretold(name).stages
    assert [stage.effective_width for stage in stages] == widths
    assert [stage.kind for stage in stages] == ["origin", *["rank"] * (len(widths) - 1)]
    assert {stage.source for stage in stages} == {source}


def test_a_prediction_for_other_weights_is_found_out():
    case = CASES["far-apart"][0]
    other = (case[0], case[1], {key: 1.01 * a for key, a in case[2].items()})
    assert len(disagreements(solved("far-apart"), predict(*problem(other)[:2]))) == 3


@pytest.mark.parametrize("name", ["far-apart", "close", "equal-pair", "learned-first-is-not-worth-most"])
def test_as_many_plateaus_are_seen_as_foretold(name):
    solution = solved(name)
    t = np.unique(np.concatenate([np.linspace(a, b, 5) for a, b in pairwise(solution.steps)]))
    seen = find_plateaus(t, solution.loss(t), solution.speed(t))
    assert len(seen) == len(foretold(name).stages)
    for plateau, stage in zip(seen[1:], foretold(name).stages[1:], strict=True):
        # persistence is read off curves sampled differently
        assert plateau.persistence == pytest.approx(stage.persistence, abs=0.02)


def test_heights_are_losses_of_the_best_functions_of_each_rank():
    _, (x, y), _ = CASES["does-not-commute"][0]
    rng = np.random.default_rng(1)
    for stage in foretold("does-not-commute").stages[1:]:
        u, v = rng.normal(size=(stage.effective_width, x.shape[1])), None
        for _ in range(3000):  # alternating least squares, which knows no formula
            v = np.linalg.lstsq(x @ u.T, y, rcond=None)[0]
            u = np.linalg.lstsq(x, y @ np.linalg.pinv(v), rcond=None)[0].T
        loss = 0.5 * np.mean(np.sum((y - x @ u.T @ v) ** 2, axis=1))
        assert stage.height == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("name", ["far-apart", "does-not-commute", "learned-first-is-not-worth-most"])
def test_index_and_escape_rate_are_the_hessians(name):
    case = CASES[name][0]
    network, (x, y), weights = case
    lines = lines_of(problem(case))
    modes = modes_of(lines)
    saddles = Saddles(lines, modes)
    objective = Objective.build(from_spec(network), x, y, None, weights)
    for stage, learned in zip(foretold(name).stages, [(), (0,), (0, 1)], strict=False):
        size = np.sqrt(saddles.tau[list(learned)])
        u = np.zeros_like(lines.u)
        v = np.zeros_like(lines.v)
        left = modes.into @ (saddles.left[:, list(learned)] / np.sqrt(modes.sigma)[:, None])
        u[:, : len(learned)] = left * size
        v[:, : len(learned)] = modes.out @ saddles.right[:, list(learned)] * size
        at = objective.pack({"u": u.T, "v": v.T.reshape(weights["v"].shape)})
        assert np.linalg.norm(objective.gradient(at)) < 1e-10
        assert objective.loss(at) == pytest.approx(stage.height, rel=1e-10)
        step = 1e-4
        hessian = np.array(
            [
                (objective.gradient(at + step * e) - objective.gradient(at - step * e)) / (2 * step)
                for e in np.eye(at.size)
            ]
        )
        values = np.linalg.eigvalsh(0.5 * (hessian + hessian.T))
        assert np.sum(values < -1e-6 * values[-1]) == stage.index
        assert -values[0] >= stage.escape_rate * (1 - 1e-6)  # one of its eigenvalues, for a silent unit
        assert np.min(np.abs(values + stage.escape_rate)) < 1e-5


# ------------------------------------------------------------------------------------------------------------ the formulas


@pytest.mark.parametrize(("s", "lam", "a0"), [(1.0, 1.0, 1e-6), (0.5, 2.0, 1e-4), (3.0, 0.4, 1e-9)])
def test_one_balanced_mode_is_the_logistic_curve_of_saxe(s, lam, a0):
    # Saxe, McClelland & Ganguli (2014): half of a mode's loss is gone at [ln(s / (lam a0) - 1) + ln(sqrt 2 - 1)] / (2 s)
    logistic = Logistic(np.array([s]), np.array([lam]), np.log(np.array([s / (lam * a0) - 1])), 0.0)
    half = (np.log(s / (lam * a0) - 1) + np.log(np.sqrt(2) - 1)) / (2 * s)
    assert logistic.half_drops()[0] == pytest.approx(half, rel=1e-14)
    assert logistic.crossing(0.25 * s**2 / lam) == pytest.approx(half, rel=1e-12)
    t = np.linspace(0, 2 * half, 2001)
    slope = np.gradient(logistic.loss(t), t)
    # dL/dt = -speed^2; second differences of 2001 samples are good to 1e-4 of the largest slope
    np.testing.assert_allclose(slope[1:-1], -(logistic.speed(t) ** 2)[1:-1], atol=1e-4 * np.abs(slope).max())


def test_without_the_projection_in_unit_space_later_ends_are_wrong():
    case = _neurons(data.modes([1.0, 0.4], [1.0, 1.5], 2), 3, 1e-6, seed=4)
    prediction = predict(*problem(case)[:2])
    solution = slow(case, 1.5 * prediction.stages[-1].t_end)
    assert disagreements(solution, prediction) == []
    modes = modes_of(lines_of(problem(case)))
    raw = modes._replace(perpendicular=np.linalg.norm(modes.plus, axis=1))
    wrong = Logistic.of(raw, 0.0).half_drops()[1]
    true = ends(solution, prediction)[1]
    assert abs(wrong - true) > 1e3 * abs(prediction.stages[1].t_end - true)


@pytest.mark.parametrize("name", ["close", "does-not-commute"])
def test_the_exact_reduction_has_the_loss_and_speed_of_the_network(name):
    case = CASES[name][0]
    network, (x, y), weights = case
    lines = lines_of(problem(case))
    reduced = REDUCTIONS["every"](lines, modes_of(lines), beside(lines, modes_of(lines)), None)
    objective = Objective.build(from_spec(network), x, y, None, weights)
    start = objective.pack(weights)
    assert reduced.loss(reduced.state) == pytest.approx(objective.loss(start), rel=1e-12)
    assert reduced.speed(reduced.state) == pytest.approx(np.linalg.norm(objective.gradient(start)), rel=1e-10)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_reduction_gives_the_same_times(reduction):
    # 15 units, 4 inputs, 3 outputs, scale 1e-5: what smaller reductions leave out is of the order of the scale squared, or has decayed
    lines = lines_of(problem(CASES["does-not-commute"][0]))
    modes = modes_of(lines)
    others = beside(lines, modes)
    followed = _followed(
        reduction, REDUCTIONS[reduction](lines, modes, others, None), lines, modes, others, Saddles(lines, modes)
    )
    for one, stage in zip(followed.seen, foretold("does-not-commute").stages, strict=True):
        assert one.t_end == pytest.approx(stage.t_end, rel=1e-5)


def test_the_cost_does_not_depend_on_the_width():
    samples = data.modes([1.0, 0.8, 0.3], [1.0, 2.0, 1.0], 3)
    costs = [predict(*problem(_neurons(samples, units, 1e-5))[:2]).stages[0].cost for units in (30, 3000)]
    assert costs[0].state_size == costs[1].state_size == 18
    assert [cost.whole_size for cost in costs] == [30 * 6, 3000 * 6]
    assert costs[1].evaluations == pytest.approx(costs[0].evaluations, rel=0.3)


# ---------------------------------------------------------------------------------------------------- no plateau, and why


def test_white_data_have_no_plateau_at_any_scale():
    prediction = predict(*problem(_neurons(data.modes([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 3), 20, 1e-6))[:2])
    assert len(prediction.stages) == 1
    assert prediction.cause == "none"
    assert [stage.visible_scale for stage in prediction.merged] == [None, None]
    assert any("one rate" in note for note in prediction.notes)


def test_a_merged_plateau_becomes_visible_at_the_scale_that_is_told():
    samples = data.modes([1.0, 0.8], [1.0, 1.0], 2)
    (merged,) = predict(*problem(_neurons(samples, 30, 1e-3))[:2]).merged
    assert not merged.separable
    for factor, count in (
        (4.0, 1),
        (0.25, 2),
    ):  # the scale is estimated from modes that grow alone; a factor 2 is what it is good for
        # other scales of the same weights: its root mean square is what the scale means
        network, _, weights = case = _neurons(samples, 30, 1.0)
        rms = np.sqrt(np.mean(np.concatenate([a.ravel() for a in weights.values()]) ** 2))
        case = (network, samples, {key: factor * merged.visible_scale / rms * a for key, a in weights.items()})
        prediction = predict(*problem(case)[:2])
        solution = slow(case, 1.5 * prediction.stages[-1].t_end)
        t = np.unique(np.concatenate([np.linspace(a, b, 5) for a, b in pairwise(solution.steps)]))
        assert len(find_plateaus(t, solution.loss(t), solution.speed(t))) == len(prediction.stages) == count


def test_weights_of_low_rank_never_leave_their_manifold_but_by_rounding():
    samples = data.modes([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], 3)
    rng = np.random.default_rng(2)
    units = rng.normal(size=(12, 1))
    weights = {"u": 1e-3 * units @ rng.normal(size=(1, 3)), "v": 1e-3 * units @ rng.normal(size=(1, 3))}
    prediction = predict(*problem((fully_connected("linear", 12), samples, weights))[:2])
    assert [stage.effective_width for stage in prediction.stages] == [0, 1]
    last = prediction.stages[-1]
    assert last.t_end is None
    assert last.status == "outside assumptions"
    assert "rounding" in last.reason
    assert prediction.end.height is None


# ----------------------------------------------------------------------------------------------------------- descent, refusals


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_steps_of_descent_are_later_than_the_flow_by_what_is_foretold(rate):
    case = _neurons(data.modes([1.0, 0.5], [1.0, 1.5], 2), 12, 1e-4)
    network, (x, y), weights = case
    flow, descent = (predict(*problem(case)[:2], learning_rate=r) for r in (None, rate))
    objective = Objective.build(from_spec(network), x, y, None, weights)
    steps = int(1.2 * descent.stages[-1].t_end / rate)
    losses = np.array([objective.loss(state) for state in gradient_descent(objective, weights, rate, steps)])
    heights = [*(stage.height for stage in descent.stages), descent.end.height]
    for stage, level, early in zip(descent.stages, np.add(heights[:-1], heights[1:]) / 2, flow.stages, strict=True):
        after = int(np.argmax(losses < level))
        true = rate * (after - 1 + np.interp(0, [level - losses[after - 1], level - losses[after]], [0, 1]))
        # between two steps the loss is read off a line, which a curve leaves by an eighth of its second difference
        bend = (
            abs(losses[after + 1] - 2 * losses[after] + losses[after - 1]) / 8 / abs(losses[after] - losses[after - 1])
        )
        assert abs(stage.t_end - true) <= stage.t_end_error + rate * bend
        assert abs(early.t_end - true) > 5 * abs(stage.t_end - true)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ((fully_connected("quadratic", 4), data.regression(1, 9, 3), data.neurons(0, 1e-2, 4, 3, 1)), "linear"),
        ((fully_connected("linear", [3, 4]), data.regression(1, 9, 3), data.layers(0, 0.1, 3, 3, 4, 1)), "one layer"),
        (_kernels(data.regression(6, 12, 6, 2), 4, 3, 1e-3, 1), "overlap"),
        (_neurons((np.eye(3), np.zeros((3, 2))), 4, 1e-3), "nothing|something"),
    ],
)
def test_what_is_outside_its_assumptions_is_refused_with_the_one_that_fails(case, reason):
    told = Directions().refuses(problem(case))
    assert told is not None
    assert re.search(reason, told)


def test_a_refusal_speaks_of_tokens_where_units_read_tokens():
    x, y = data.in_context(2, 20, 5, 2)
    told = Directions().refuses(Problem(*small.problem("attention", x, y, units=3, merged=True)))
    assert "tokens of a prompt" in told
    assert "patches" not in told


def test_steps_too_long_for_the_flow_are_refused():
    given = problem(CASES["far-apart"][0])
    assert Directions().refuses(given._replace(learning_rate=0.4)) is None
    assert "learning_rate" in Directions().refuses(given._replace(learning_rate=0.6))


def test_a_mode_that_takes_the_place_of_one_learned_before_is_in_the_expected_error():
    # each mode is worth more than the one before (s^2 / lambda): its part along that one keeps growing once it is learned
    for values, eigenvalues, units, scale in (
        ([1.0, 0.5, 0.1667], [1.667, 0.1667, 0.01667], 20, 1e-4),
        ([1.0, 0.515], [1.859, 0.12], 5, 1.3e-4),
        ([1.0, 0.684, 0.497], [2.505, 1.093, 0.589], 3, 7.2e-5),
    ):
        for seed in range(4):
            case = _neurons(data.modes(values, eigenvalues, len(values)), units, scale, seed)
            prediction = predict(*problem(case)[:2])
            true = ends(slow(case, 1.2 * prediction.stages[-1].t_end), prediction)
            for stage, t in zip(prediction.stages, true, strict=True):
                assert abs(t - stage.t_end) <= 2 * stage.t_end_error  # 95 of 100 are within once


@pytest.mark.parametrize("units", [4, 40])
@pytest.mark.parametrize(("scale", "unbalanced"), [(1e-6, 1.0), (1e-4, 0.3), (1e-2, 1.6)])
def test_modes_that_do_not_meet_end_as_those_of_a_diagonal_network(units, scale, unbalanced):
    # an exact oracle at any scale: weights on one unit of its own for each mode (turned in the space of units) are a diagonal network's
    s, lam = np.array([1.6, 0.9, 0.35]), np.array([1.2, 0.6, 1.0])
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
    own = np.linalg.qr(rng.normal(size=(units, 3)))[0]
    u, v = scale * np.array([1.0, 1.3, 0.8]), scale * unbalanced * np.array([0.9, -0.4, 1.1])
    x = np.sqrt(3 * lam)[:, None] * right.T
    y = np.sqrt(3 / lam)[:, None] * s[:, None] * left.T
    weights = {"u": own @ (u[:, None] * right.T), "v": (own @ (v[:, None] * left.T))[:, None, :]}
    network, loss = small.neurons("linear", x, y, {name: w.reshape(units, -1) for name, w in weights.items()})
    exact = Diagonal(s, lam, u, v)
    prediction = predict(network, loss)
    assert prediction.predictor == Directions.name
    assert len(prediction.stages) == (3 if scale < 1e-3 else 2)
    for stage, below in zip(
        prediction.stages, [*(s.height for s in prediction.stages[1:]), prediction.end.height], strict=True
    ):
        t = exact.crossing(0.5 * (stage.height + below), 200.0)
        assert 0 < stage.t_end_error < 0.2 * t
        assert abs(stage.t_end - t) <= stage.t_end_error
        # docs/theory.md: 1e-6 of t at small scales, 1.6e-3 at worst at larger ones
        assert abs(stage.t_end - t) <= (1e-5 if scale < 1e-3 else 2e-3) * t


def test_the_diagonal_oracle_is_the_flow():
    s, lam = np.array([1.6, 0.9]), np.array([1.2, 0.6])
    u, v = np.array([0.3, 0.05]), np.array([-0.1, 0.2])
    exact = Diagonal(s, lam, u, v)

    def velocity(t, state):
        u, v = np.split(state, 2)
        pull = s - lam * u * v
        return np.concatenate([v * pull, u * pull])

    run = solve_ivp(velocity, (0, 8), np.concatenate([u, v]), "DOP853", rtol=1e-12, atol=1e-14, dense_output=True)
    for t in (0.0, 0.5, 2.0, 8.0):
        assert np.prod(np.split(run.sol(t), 2), axis=0) == pytest.approx(exact.strengths(t), rel=1e-9)
    # and it notices another start
    assert not np.allclose(Diagonal(s, lam, 1.01 * u, v).strengths(2.0), exact.strengths(2.0), rtol=1e-3)


def _slow_away_from_saddles():
    """Strongly correlated inputs with generic targets: the loss is slow twice where no saddle is near."""
    rng = np.random.default_rng(1002)
    inputs = rng.normal(size=(60, 4))
    x = inputs @ np.diag([1.0, 0.5, 2.0, 1.0]) @ rng.normal(size=(4, 4))
    return x, inputs @ rng.normal(size=(4, 2))


def test_a_slow_place_away_from_any_saddle_has_the_height_of_its_curve_as_in_a_run(tmp_path, monkeypatch):
    x, y = _slow_away_from_saddles()
    np.savez(tmp_path / "own.npz", x=x, y=y)
    spec = {
        "network": {"architecture": "fully_connected", "activation": "linear", "units": 20},
        "task": {"kind": "arrays", "file": str(tmp_path / "own.npz")},
        "init": {"scale": 1e-6},
        "flow": {"until": "settled"},
    }
    seen = saddlescope.summarize(saddlescope.run(spec))["stages"]
    stages = saddlescope.predict(spec).stages
    assert [s["height_source"] for s in seen] == ["fixed_point", "curve", "fixed_point", "curve"]
    assert [(s.kind, s.effective_width) for s in stages] == [(s["kind"], s["effective_width"]) for s in seen]
    assert [s.status for s in stages] == ["heuristic"] * 4
    assert [s.index is None for s in stages] == [False, True, False, True]
    for stage, one in zip(stages, seen, strict=True):
        assert abs(stage.height - one["height"]) <= stage.height_error < 0.01 * seen[0]["height"]
        assert abs(stage.t_end - one["t_end"]) <= stage.t_end_error + one["t_end_error"]
        assert stage.t_end_error < 0.01 * stage.t_end
    # shown the nearest saddle whatever the distance, as a height it is wrong: the origin twice
    monkeypatch.setattr(lines_stages, "REACH", 1e6)
    monkeypatch.setattr(lines_stages, "FARTHEST", 1e6)
    wrong = saddlescope.predict(spec).stages
    assert wrong[0].height == pytest.approx(wrong[1].height, rel=1e-9)
    assert abs(wrong[0].t_end - seen[0]["t_end"]) > 100 * wrong[0].t_end_error
