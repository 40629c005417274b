"""Units that are quadratic forms: exact times of single units, and predictions of whole networks against networks simulated whole."""

from typing import ClassVar

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import small
from cases import UNITS, Cubed, ids, inputs
from reference import whole
from saddlescope import networks, objective, series
from saddlescope.flow import gradient_flow
from saddlescope.init import put
from saddlescope.tasks import InContextRegression, QuadraticTeacher, Samples
from saddlescope.theory import predict
from saddlescope.theory._base import Problem
from saddlescope.theory.crowds.chain import Chain, UnitsByForm, alone, strengths
from saddlescope.theory.crowds.escape_times import escape_times
from saddlescope.theory.crowds.motion import QuadraticForms
from saddlescope.theory.crowds.waiting import Waiting
from saddlescope.units import AbstractNeuron

# the half-drop lies kappa_3 / (2 mu (alpha / 2)^(1/3)) before the blow-up: integral from the half level of x / (1 - x^3) and its tail
KAPPA_3 = 1.253391


def with_weights(architecture, data, options, scale, seed):
    """A network with normal weights and its objective."""
    shape, outputs = (
        (data.x.shape[1:], data.y.shape[1]) if isinstance(data, Samples) else (data.input_shape, data.outputs)
    )
    empty = networks.build(architecture, tuple(shape), outputs, options)
    rng = np.random.default_rng(seed)
    network = put(empty, {name: scale * rng.normal(size=a.shape) for name, a in empty.arrays().items()})
    return network, objective.build(data, network)


def quadratic(b, scale, seed, units=6, covariance=None, samples="population"):
    b = np.asarray(b, float)
    b = np.diag(b) if b.ndim == 1 else b
    covariance = np.eye(len(b)) if covariance is None else covariance
    task = QuadraticTeacher(
        matrix=tuple(map(tuple, b.tolist())),
        covariance=tuple(map(tuple, np.asarray(covariance).tolist())),
        samples=samples,
    )
    network, loss = with_weights(
        "fully_connected", task.data("vectors"), {"activation": "quadratic", "units": units}, scale, seed
    )
    return network, loss, whole.quadratic(b, np.asarray(covariance), units)


def heads(eigenvalues, scale, seed, units=6, rank=1, context=31):
    task = InContextRegression(eigenvalues=tuple(eigenvalues), context=context)
    options = {"units": units, "rank": rank, "input": "cubic"}
    network, loss = with_weights("attention", task.data("cubic"), options, scale, seed)
    return network, loss, whole.heads(np.array(eigenvalues), context, units, rank)


def state_of(network):
    return np.concatenate([np.ravel(a) for a in (np.asarray(network.u), np.asarray(network.v))])


def simulated(network, flow, prediction):
    """The whole network, until well after what the prediction says it needs."""
    last = prediction.stages[-1]
    return whole.run(flow, state_of(network), 1.1 * last.t_end + 8 * last.width_of_drop)


# ------------------------------------------------------------------------------------------------------------ single units


def test_escape_times_are_those_of_the_single_units_motion(rng):
    # in log size as time, to a size where what is left is below 1e-10; components keep their own relative accuracy
    for trial in range(12):
        size = 1 + trial % 4
        a = rng.normal(size=(size, size))
        q = (a + a.T) / 2 if trial % 3 else a @ a.T
        u, v = rng.normal(size=(2, size)), rng.normal(size=2) * 10.0 ** -(trial % 3)
        found = escape_times(q, u, v)
        for i in range(2):

            def field(_, y, q=q, size=size):
                u, v = y[:size], y[size]
                return np.array([*(2 * v * (q @ u)), u @ q @ u, 1.0]) / np.sqrt(u @ u + v * v)

            def far(_, y, size=size):
                return float(y[: size + 1] @ y[: size + 1]) - 1e20

            far.terminal = True
            start = np.array([*u[i], v[i], 0.0])
            run = solve_ivp(field, (0, 200), start, "DOP853", rtol=1e-12, atol=1e-40, events=far)
            assert (run.status == 1) == np.isfinite(found.times[i])
            if run.status == 1:
                assert abs(found.times[i] / run.y[-1, -1] - 1) < 1e-8  # 1e-10 / smallest rate x time left out
                assert np.sign(run.y[size, -1]) == found.sides[i]


@pytest.mark.parametrize("mu", [0.5, 3.0])
@pytest.mark.parametrize("size", [1e-1, 1e-5])
def test_a_balanced_unit_along_the_top_direction_escapes_at_its_closed_form(mu, size):
    # |u|^2 = 2 v^2: v' = 2 mu v^2
    found = escape_times(np.diag([mu, 0.3 * mu]), np.array([[np.sqrt(2) * size, 0.0]]), np.array([size]))
    assert abs(found.times[0] * 2 * mu * size - 1) < 1e-11


def test_a_unit_whose_side_has_no_growing_direction_never_escapes():
    found = escape_times(np.diag([-1.0, -2.0]), np.array([[0.1, 0.1], [0.1, 0.1]]), np.array([1.0, -1.0]))
    assert np.isinf(found.times[0])
    assert np.isfinite(found.times[1])


def test_waiting_units_keep_their_escape_times(rng):
    network, loss, _ = quadratic([1.0, -0.5, 0.3], 1e-3, 3, units=20)
    motion = QuadraticForms(network.lenses()[0], loss)
    first = alone(motion, motion.target, motion.start)
    crowd, t, velocity = Waiting(motion.start), 0.0, motion.in_residual(motion.target)
    while t < 0.9 * np.min(first):
        t += crowd.advance(velocity, 0.9 * np.min(first) - t)
    left = alone(motion, motion.target, crowd.units)
    # 1e-10 a step, some 40 steps, of a time that is up to ten times the one left
    assert np.max(np.abs(t + left - first) / first) < 1e-7


# ------------------------------------------------------------------------------------------------------------ the motion

FORMS = [case for case in UNITS if case.unit.degree == 2]


@pytest.mark.parametrize("case", FORMS, ids=ids)
def test_a_unit_of_degree_two_is_read_as_its_quadratic_form(case, rng):
    x, y = inputs(case.x_shape), rng.normal(size=(7, case.outputs))
    network = networks.Layer.zeros(case.unit, 3, case.x_shape, case.outputs)
    network = put(network, {name: rng.normal(size=a.shape) for name, a in network.arrays().items()})
    loss = objective.build(Samples(x, y), network)
    lens = network.lenses()[0]
    assert QuadraticForms.refuses(lens, loss) is None
    motion = QuadraticForms(lens, loss)
    with jax.enable_x64(True):
        value, gradient = loss.loss_and_gradient(network)
    residual = motion.residual(motion.start)
    velocity = motion.in_residual(residual)(motion.start)
    expected = -np.concatenate([np.asarray(gradient.u), np.asarray(gradient.v).reshape(3, -1)], axis=1)
    assert abs(motion.loss(residual) / float(value) - 1) < 1e-12
    assert np.max(np.abs(velocity - expected)) < 1e-11 * np.max(np.abs(expected))
    # the Jacobian by differences of the velocity: their square is 1e-10
    jacobian, h = motion.jacobian(motion.start, residual), 1e-5
    for k in rng.integers(0, motion.start.size, 4):
        step = np.zeros(motion.start.size)
        step[k] = h
        ends = [motion.start + sign * step.reshape(motion.start.shape) for sign in (1, -1)]
        ahead, behind = (motion.in_residual(motion.residual(end))(end).ravel() for end in ends)
        assert np.max(np.abs((ahead - behind) / (2 * h) - jacobian[:, k])) < 1e-7 * np.max(np.abs(jacobian))


class Signed(AbstractNeuron):
    """z |z|: of degree 2, and no quadratic form."""

    degree: ClassVar[int | None] = 2
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 2
    parity: ClassVar[str] = "odd"

    def activation(self, z):
        return z * abs(z)


def test_what_is_no_quadratic_form_is_not_taken_for_one(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 1))
    for unit in (Signed(), Cubed()):
        network = networks.Layer.zeros(unit, 2, (3,), 1)
        loss = objective.build(Samples(x, y), network)
        assert "no quadratic form" in (QuadraticForms.refuses(network.lenses()[0], loss) or "")


# ---------------------------------------------------------------------------------------------------- whole networks

CASES = {
    "white": lambda scale: quadratic([1.0, 0.5], scale, 0),
    "mixed signs, coloured": lambda scale: quadratic(
        [[0.9, 0.3, 0.0], [0.3, -0.6, 0.1], [0.0, 0.1, 0.4]], scale, 1, covariance=np.diag([1.0, 0.6, 1.5])
    ),
    "heads": lambda scale: heads([1.0, 0.5], scale, 0),
    "heads of rank 2": lambda scale: heads([1.0, 0.5], scale, 1, rank=2),
    "as many heads as stages": lambda scale: heads([1.0, 0.6], scale, 2, units=2),
}


@pytest.mark.parametrize("scale", [1e-2, 1e-3])
@pytest.mark.parametrize("name", CASES)
def test_ends_heights_and_recruits_are_those_of_the_whole_network(name, scale):
    network, loss, flow = CASES[name](scale)
    prediction = predict(network, loss)
    assert prediction.predictor == "units"
    run = simulated(network, flow, prediction)
    heights = [*(stage.height for stage in prediction.stages), prediction.end.height]
    # measured on 200 random problems: 95% of errors below 4e-3 of the width of the drop (docs/theory_units.md); held units: 0.5
    held = name == "as many heads as stages"
    for k, stage in enumerate(prediction.stages):
        truth = run.crossing((heights[k] + heights[k + 1]) / 2)
        width = run.width(heights[k], heights[k + 1])
        assert abs(stage.t_end - truth) < (0.5 if held and k else 0.02) * width
        assert abs(stage.t_end - truth) < 1.5 * stage.t_end_error
        assert abs(stage.width_of_drop / width - 1) < (0.5 if held and k else 0.02)
        assert stage.cost.state_size < stage.cost.whole_size
    rest_of_it = abs(run.loss(run.steps[-1]) - prediction.end.height)
    assert rest_of_it < (prediction.end.height_error if held else 1e-6 * heights[0])
    # who is large in the end is who was recruited
    motion = QuadraticForms(network.lenses()[0], loss)
    last = run.state(run.steps[-1])
    count = len(network.u)
    split = np.concatenate(
        [last[: network.u.size].reshape(count, -1), last[network.u.size :].reshape(count, -1)], axis=1
    )
    large = set(np.flatnonzero(motion.contributions(split) > 0.05))
    recruits = [unit for stage in prediction.stages for unit in stage.recruits]
    assert set(recruits) == large or held


def test_the_comparison_can_fail():
    # a prediction for other data, off by 2% in strength, is outside of its error bars
    network, loss, _ = quadratic([1.0, 0.5], 1e-3, 0)
    _, _, other = quadratic([1.02, 0.5], 1e-3, 0)
    prediction = predict(network, loss)
    run = simulated(network, other, prediction)
    stage, after = prediction.stages[:2]
    assert abs(stage.t_end - run.crossing((stage.height + after.height) / 2)) > 10 * stage.t_end_error


@pytest.mark.parametrize("scale", [1e-3, 1e-5])
def test_the_first_half_drop_lies_the_known_offset_before_the_blow_up(scale):
    b = np.array([1.0, 0.5])
    network, loss, _ = quadratic(b, scale, 4)
    prediction = predict(network, loss)
    mu, alpha = b.sum() + 2 * b[0], b[0] + b[1] / 3  # white: top eigenvalue at the origin, strength of the saddle
    offset = KAPPA_3 / (2 * mu * (alpha / 2) ** (1 / 3))
    stage = prediction.stages[0]
    # the next direction's share of the residual is neglected by the closed form: O(scale); 5 is a spare factor
    bound = 5 * scale * stage.width_of_drop + stage.t_end_error
    assert abs(prediction.extras["blow_up"][0] - offset - stage.t_end) < bound + 1e-5 * stage.width_of_drop
    # against the blow-up time itself, a fifth of the width or more is gained
    assert prediction.extras["blow_up"][0] - stage.t_end > 0.2 * stage.width_of_drop


def test_stages_are_those_that_the_front_door_of_the_simulation_sees():
    network, loss, _ = quadratic([1.0, 0.5, 0.3], 1e-2, 2, samples=60)
    prediction = predict(network, loss)
    last = prediction.stages[-1]
    run = gradient_flow(network, loss, until=1.2 * last.t_end + 5 * last.width_of_drop, keep_states=False)
    seen = series.find_plateaus(run.t, run.loss, run.speed)
    assert len(seen) == len(prediction.stages)
    for plateau, stage in zip(seen, prediction.stages, strict=True):
        # at this scale the next unit shows on each plateau
        assert abs(plateau.loss - stage.height) < 0.02 * prediction.stages[0].height
        # at the deepest point of a wait the settled units still creep: a tenth of a decade, and a fifth where they wait long
        assert abs(plateau.persistence - stage.persistence) < 0.25


# ------------------------------------------------------------------------------------------------------ what it says


def test_white_data_leave_the_stages_to_the_initialisation_and_the_plateau_stays():
    network, loss, _ = quadratic([1.0, 1.0], 1e-3, 0)
    prediction = predict(network, loss)
    assert prediction.cause == "initialisation"
    assert [stage.effective_width for stage in prediction.stages] == [0, 1]
    assert abs(prediction.stages[1].height - 4 / 3) < 1e-9
    network, loss, _ = quadratic([1.0, 0.5], 1e-3, 0)
    assert predict(network, loss).cause == "both"
    network, loss, _ = heads([0.5, 0.5], 1e-2, 0)
    assert predict(network, loss).cause == "initialisation"


def test_strengths_are_eigenvalues_of_the_residual_form():
    network, loss, _ = quadratic([1.0, 0.5], 1e-2, 0)
    # white: S = tr B + 2 diag(b)
    np.testing.assert_allclose(strengths(QuadraticForms(network.lenses()[0], loss)), [3.5, 2.5], rtol=1e-12)


def test_permuting_units_permutes_recruits_and_nothing_else(rng):
    network, loss, _ = heads([1.0, 0.5], 1e-3, 3)
    order = rng.permutation(6)
    permuted = network.with_arrays({name: np.asarray(a)[order] for name, a in network.arrays().items()})
    one, other = predict(network, loss), predict(permuted, loss)
    for a, b in zip(one.stages, other.stages, strict=True):
        assert [order[i] for i in b.recruits] == list(a.recruits)
        # sums in another order: rounding, amplified by the length of the waits
        assert abs(a.t_end - b.t_end) < 1e-6 * a.width_of_drop + 1e-9 * a.t_end


def test_the_wait_is_the_inverse_of_the_scale():
    times = [predict(*quadratic([1.0, 0.5], scale, 5)[:2]).extras["blow_up"][0] for scale in (1e-2, 1e-4)]
    assert abs(times[1] / times[0] / 100 - 1) < 1e-9  # exact for one unit in a fixed residual


def test_merged_stages_show_at_the_scale_that_is_said():
    # two units of nearly one size and opposite signs: both drops at once, until the scale is small
    u = np.array([[1.0, 0.1], [0.1, 1.02], [0.2, 0.1], [0.1, 0.15]])
    v = np.array([[0.7], [0.7], [0.1], [0.1]])
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = x[:, :1] ** 2 + 0.98 * x[:, 1:] ** 2

    def at(scale):
        return predict(*small.neurons("quadratic", x, y, {"u": scale * u, "v": scale * v}))

    coarse = at(0.1)
    assert coarse.merged
    assert all(not stage.separable and stage.visible_scale for stage in coarse.merged)
    hidden = len(coarse.stages)
    base = float(np.sqrt(np.mean(np.concatenate([u, v], axis=1) ** 2)))
    visible = min(stage.visible_scale for stage in coarse.merged) / base
    assert len(at(visible / 5).stages) > hidden


def test_refusals_say_which_assumption_fails(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 1))
    for activation, reason in (("linear", "order 1"), ("tanh", "order 1"), ("relu", "kinks")):
        problem = Problem(*small.neurons(activation, x, y))
        assert reason in (UnitsByForm().refuses(problem) or "")
        assert reason in (Chain().refuses(problem) or "")
    deep = Problem(*small.problem("fully_connected", x, y, activation="quadratic", units=[3, 3]))
    assert "one layer" in (Chain().refuses(deep) or "")


@pytest.mark.parametrize(
    "problem",
    [
        lambda: quadratic([1.0, 0.4], 1e-2, 0, units=1)[:2],
        lambda: heads([1.0, 0.6], 5e-3, 1, units=1, rank=2)[:2],  # two drops of one head
    ],
    ids=["a quadratic neuron", "a head of rank 2"],
)
def test_a_network_of_one_unit_is_its_own_reduction(problem):
    # nothing is neglected: what is left is the flow's error at rtol 1e-9 and the reduction's at 1e-7, measured up to 6e-4 of a width
    network, loss = problem()
    prediction = predict(network, loss)
    times, plateaus, _ = small.simulated(network, loss, prediction)
    assert len(prediction.stages) == len(plateaus) > 0
    for stage, t in zip(prediction.stages, times, strict=True):
        assert abs(stage.t_end - t) <= stage.t_end_error < 2e-2 * stage.width_of_drop
        assert stage.recruits in ((0,), ())  # it is there already after the first drop
        assert stage.cost.state_size == stage.cost.whole_size


def test_one_unit_that_turns_back_for_good_has_no_stage():
    # a positive target, and an output weight of the wrong sign that its u cannot turn: the unit dies, and the run rests at the origin
    x = np.array([[1.0], [-1.0]])
    init = {"u": np.array([[1e-3]]), "v": np.array([[-1e-2]])}
    prediction = predict(*small.neurons("quadratic", x, np.ones((2, 1)), init))
    assert prediction.stages == ()
    assert prediction.end.kind == "origin"
    assert any("rests there" in note for note in prediction.notes)


def descended(b, u, v, rate, levels, most):
    """When steps of descent on a population quadratic loss, E (x^T M x)^2 / 2 with M = sum v u u^T - B, fall through the levels."""
    b, found, last = np.diag(b), [], np.inf
    for step in range(most):
        m = (u * v[:, None]).T @ u - b
        loss = 0.5 * np.trace(m) ** 2 + np.sum(m * m)
        while len(found) < len(levels) and loss <= levels[len(found)]:
            found.append(rate * (step - (levels[len(found)] - loss) / (last - loss)))
        if len(found) == len(levels):
            return found
        last, g = loss, np.trace(m) * np.eye(len(b)) + 2 * m
        u, v = u - 2 * rate * v[:, None] * (u @ g), v - rate * np.einsum("ia,ab,ib->i", u, g, u)
    raise AssertionError(f"{len(found)} of {len(levels)} levels within {most} steps")


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_the_expected_errors_for_steps_of_descent_contain_what_the_steps_change(rate):
    for seed in range(3):
        network, loss, _ = quadratic([2.0, 1.0], 1e-2, seed, units=10)
        prediction = predict(network, loss, learning_rate=rate)
        heights = np.array([*(stage.height for stage in prediction.stages), prediction.end.height])
        u, v = np.array(network.u), np.array(network.v).reshape(-1)
        most = int(2 * prediction.stages[-1].t_end / rate)
        true = descended([2.0, 1.0], u, v, rate, (heights[1:] + heights[:-1]) / 2, most)
        for stage, t in zip(prediction.stages, true, strict=True):
            assert abs(t - stage.t_end) <= stage.t_end_error
            assert stage.status == "heuristic"


def test_targets_that_no_small_unit_sees_are_refused(rng):
    x = rng.normal(size=(20, 3))
    x = np.concatenate([x, -x])
    for y in (np.zeros((40, 1)), x[:, :1]):
        prediction = predict(*small.neurons("quadratic", x, y, units=4))
        assert prediction.stages == ()
        assert any("needs something to learn" in reason for reason in prediction.outside)


def test_where_a_unit_is_held_the_expected_error_is_that_wide_and_later_plateaus_are_marked():
    # two and three heads of rank 2 from large weights: the motion of a few is nearly that of all
    parts = []
    for seed in range(6):
        network, loss, flow = heads([1.0, 0.6], 0.1, seed, units=2 + seed % 2, rank=2)
        prediction = predict(network, loss)
        if not prediction.stages or prediction.end.height is None:
            continue
        run = simulated(network, flow, prediction)
        heights = [*(stage.height for stage in prediction.stages), prediction.end.height]
        for k, stage in enumerate(prediction.stages):
            assert (stage.separable is None) == ("held" in stage.reason)
            if stage.status == "heuristic":
                truth = run.crossing((heights[k] + heights[k + 1]) / 2)
                parts.append(abs(stage.t_end - truth) / stage.t_end_error)
    # of 81 such ends 78 were within once, the worst at 1.08
    assert len(parts) > 3
    assert max(parts) < 1.2
    assert max(parts) > 0.25  # half of a width, a quarter of what is said, would not do


def test_a_crowd_that_grows_at_once_is_no_reduction_and_is_told_quickly():
    # 60 equal units: all count at once, so that holding some of them would be a guess
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2))
    u = np.array([[1.0, 0.3]]) * (1 + 1e-3 * rng.normal(size=(60, 1)))
    network, loss = small.neurons("quadratic", x, x[:, :1] ** 2, {"u": 0.2 * u, "v": np.full((60, 1), 0.2)})
    prediction = predict(network, loss)
    assert all(stage.t_end is None for stage in prediction.stages)
    assert any(
        "more units count at once" in why
        for why in (*prediction.outside, *(s.reason.lower() for s in prediction.stages))
    )
