"""How weights move: against closed forms, against what gradient flow cannot change, and against plain loops."""

import sys
import threading
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

import small
from reference import data
from reference.gradient_descent import gradient_descent as plain_descent
from reference.networks import FullyConnected
from reference.networks import Objective as PlainObjective
from saddlescope.flow import error_scale, gradient_descent, gradient_flow, weights_of
from saddlescope.flow.trajectory import Keeper
from saddlescope.results import RESULTS, ComputationError
from saddlescope.series import crossing_time
from saddlescope.units import AbstractNeuron

# the room's `gradient_flow` is both a module and the function in it
flow_module = sys.modules["saddlescope.flow.gradient_flow"]


def follow(network, loss, until, rtol=1e-8, **options):
    return gradient_flow(network, loss, until=until, rtol=rtol, **options)


def to_rest(network, loss, **options):
    return gradient_flow(network, loss, until="converged", can_rest=small.rests_on(loss), **options)


# ------------------------------------------------------------------------------------------------------- closed forms


def aligned(a0, s, lam):
    """Data with modes (s, lam), and one balanced unit a mode with strength a0."""
    a0 = np.asarray(a0, float)
    x, y = small.modes(s, lam)
    return small.neurons("linear", x, y, {"u": np.diag(np.sqrt(a0)), "v": np.diag(np.sqrt(a0))})


def strengths(t, a0, s, lam):
    a0, s, lam = (np.asarray(a, float) for a in (a0, s, lam))
    return (s / lam) / (1 + (s / (lam * a0) - 1) * np.exp(-2 * np.outer(t, s)))


@pytest.mark.parametrize("a0", [(1e-2, 1e-4), (1e-8, 1e-5), (1e-16, 1e-24)])
def test_aligned_linear_modes_follow_their_closed_form(a0):
    # a' = 2 a (s - lam a), THEORY 1.1
    s, lam = (1.0, 0.4), (0.5, 1.0)
    run = follow(*aligned(a0, s, lam), 40.0 + 70.0 * (a0[0] < 1e-9), rtol=1e-10)
    found = strengths(run.t, a0, s, lam)
    loss = (np.asarray(lam) / 2 * (np.divide(s, lam) - found) ** 2).sum(axis=1)
    assert np.abs(run.loss - loss).max() < 1e-8 * run.loss[0]
    for i, position in enumerate(run.state_index):
        weights = small.arrays(run.network(i))
        np.testing.assert_allclose(weights["u"] * weights["v"], np.diag(found[position]), rtol=0, atol=1e-8)
    assert found[0, 0] < 0.1 * found[-1, 0]  # it has gone somewhere


def crossing(level, a0, s, lam):
    """When the loss in closed form falls through a level."""
    loss = lambda t: float(np.sum(np.divide(lam, 2) * (np.divide(s, lam) - strengths([t], a0, s, lam)[0]) ** 2))  # noqa: E731
    return brentq(lambda t: loss(t) - level, 0, 200, xtol=1e-13, rtol=1e-14)


def test_the_closed_form_of_a_crossing_is_that_of_a_single_mode():
    # half of the loss is lost earlier than half of the strength is reached
    expected = (np.log(2.0 / 1e-6 - 1) + np.log(np.sqrt(2) - 1)) / (2 * 3.0)
    assert crossing(1.5, [1e-6], [3.0], [1.5]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1e-6, 1e-12, 1e-20])
def test_drop_times_converge_with_rtol_because_atol_follows_the_weights(scale):
    # an absolute tolerance above the weights moves these times by up to 77%; ours is bound to them
    s, lam, a0 = (4.0, 1.0), (1.0, 1.0), (scale**2, 2 * scale**2)
    errors = []
    for rtol in (1e-3, 1e-6, 1e-9):
        run = follow(*aligned(a0, s, lam), 60.0, rtol=rtol)
        times = [crossing_time(run.t, run.loss, run.speed, level) for level in (4.5, 0.25)]
        true = [crossing(level, a0, s, lam) for level in (4.5, 0.25)]
        errors.append(np.abs(np.divide(times, true) - 1).max())
    assert errors[0] < 1e-2
    assert errors[1] < 1e-5
    assert errors[2] < 1e-7
    assert errors[0] > errors[2]


def test_the_scale_of_errors_is_each_blocks_own():
    x, y = small.modes((1.0, 0.4), (1.0, 1.0))
    rng = np.random.default_rng(0)
    u, v = 1e-6 * rng.normal(size=(3, 2)), 10.0 * rng.normal(size=(3, 2))
    network, _ = small.neurons("linear", x, y, {"u": u, "v": v})
    of = error_scale(network)
    np.testing.assert_allclose(of[:6], np.sqrt(np.mean(u**2)))
    np.testing.assert_allclose(of[6:], np.sqrt(np.mean(v**2)))
    network, _ = small.neurons("linear", x, y, {"u": u, "v": 0 * v})
    np.testing.assert_allclose(error_scale(network)[6:], np.sqrt(np.mean(u**2) / 2))


# --------------------------------------------------------------------------------------------- what a flow cannot change

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 2))


@pytest.fixture(scope="module")
def linear():
    network, loss = small.neurons("linear", X, Y, units=4, scale=1e-2)
    return network, loss, follow(network, loss, 60.0)


@pytest.fixture(scope="module")
def quadratic():
    network, loss = small.neurons("quadratic", X, Y, units=4, scale=1e-1)
    return network, loss, follow(network, loss, 20.0)


@pytest.fixture(scope="module")
def tanh():
    network, loss = small.neurons("tanh", X, Y, units=4, scale=1e-1)
    return network, loss, follow(network, loss, 30.0)


@pytest.fixture(params=["linear", "quadratic", "tanh"])
def smooth(request):
    return request.getfixturevalue(request.param)


CONSERVED = {
    "linear": lambda u, v: u @ u.T - v @ v.T,
    "quadratic": lambda u, v: (u**2).sum(axis=1) - 2 * (v**2).sum(axis=1),
}


@pytest.mark.parametrize("activation", CONSERVED)
def test_conserved_quantities_stay_within_the_tolerance(activation, request):
    _, _, run = request.getfixturevalue(activation)
    weights = [small.arrays(run.network(i)) for i in range(len(run.states))]
    of = [CONSERVED[activation](w["u"], w["v"]) for w in weights]
    size = max(np.sum(w["u"] ** 2) + np.sum(w["v"] ** 2) for w in weights)
    drift = max(np.abs(q - of[0]).max() for q in of)
    assert drift < 10 * 1e-8 * size
    wrong = [CONSERVED[activation](w["u"], 1.01 * w["v"]) for w in weights]  # and other quantities are not conserved
    assert max(np.abs(q - wrong[0]).max() for q in wrong) > 1e-4 * size


def test_the_loss_never_rises(smooth):
    _, _, run = smooth
    assert np.diff(run.loss).max() <= 1e-13 * run.loss[0]
    assert run.loss[-1] < 0.9 * run.loss[0]


def test_what_the_loss_loses_is_the_integral_of_speed_squared(smooth):
    _, _, run = smooth
    lost = run.loss[0] - run.loss[-1]
    assert CubicSpline(run.t, run.speed**2).integrate(0, run.t[-1]) == pytest.approx(lost, rel=1e-5)
    assert CubicSpline(run.t, (1.01 * run.speed) ** 2).integrate(0, run.t[-1]) != pytest.approx(lost, rel=1e-3)


def test_speed_and_loss_are_those_of_the_kept_weights(smooth):
    network, loss, run = smooth
    with jax.enable_x64(True):
        for i, position in enumerate(run.state_index):
            value, gradient = loss.loss_and_gradient(jax.tree.map(jnp.asarray, run.network(i)))
            assert float(value) == pytest.approx(run.loss[position], rel=1e-12)
            speed = np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(gradient)))
            assert speed == pytest.approx(run.speed[position], rel=1e-9, abs=1e-14)
    np.testing.assert_array_equal(run.states[0], weights_of(network))
    assert run.state_index[0] == 0
    assert run.state_index[-1] == len(run.t) - 1


def last(run):
    return small.arrays(run.network(-1))


def near(found, expected, rtol=1e-6):
    """Two runs of one motion in other coordinates take other steps: they agree to their tolerances, grown."""
    size = max(np.abs(a).max() for a in expected.values())
    return all(np.abs(found[name] - expected[name]).max() < rtol * size for name in expected)


def test_equal_units_stay_equal(smooth):
    network, loss, run = smooth
    weights = {name: a.copy() for name, a in small.arrays(network).items()}
    for a in weights.values():
        a[2] = a[0]
    twin = follow(network.with_arrays(weights), loss, run.t[-1])
    for a in last(twin).values():
        np.testing.assert_allclose(a[2], a[0], rtol=0, atol=1e-12 * np.abs(a).max())
        assert np.abs(a[1] - a[0]).max() > 1e-3 * np.abs(a).max()


def test_permuted_units_move_alike(smooth):
    network, loss, run = smooth
    order = np.array([2, 0, 3, 1])
    permuted = follow(network.with_arrays({k: a[order] for k, a in small.arrays(network).items()}), loss, run.t[-1])
    assert near(last(permuted), {k: a[order] for k, a in last(run).items()})
    assert not near(last(permuted), last(run))


def test_rotated_inputs_rotate_the_input_weights(smooth):
    network, _loss, run = smooth
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    start = small.arrays(network)
    other, turned_loss = small.neurons(
        network.name.split(",")[0], X @ turn.T, Y, {"u": start["u"] @ turn.T, "v": start["v"]}
    )
    turned = follow(other, turned_loss, run.t[-1])
    assert near(last(turned), {"u": last(run)["u"] @ turn.T, "v": last(run)["v"]})
    assert abs(turned.loss[-1] - run.loss[-1]) < 1e-9 * run.loss[0]


def test_rotated_outputs_rotate_the_output_weights(smooth):
    network, _loss, run = smooth
    turn = np.linalg.qr(RNG.normal(size=(2, 2)))[0]
    start = small.arrays(network)
    other, turned_loss = small.neurons(
        network.name.split(",")[0], X, Y @ turn.T, {"u": start["u"], "v": start["v"] @ turn.T}
    )
    assert near(last(follow(other, turned_loss, run.t[-1])), {"u": last(run)["u"], "v": last(run)["v"] @ turn.T})


def test_rotated_hidden_units_rotate_only_where_units_are_linear(linear, quadratic):
    turn = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    for (network, loss, run), same in ((linear, True), (quadratic, False)):
        mixed = {name: turn @ a for name, a in small.arrays(network).items()}
        turned = follow(network.with_arrays(mixed), loss, run.t[-1])
        assert near(last(turned), {name: turn @ a for name, a in last(run).items()}) is same


@pytest.mark.parametrize(("activation", "power"), [("linear", 1 / 2), ("quadratic", 1 / 3)])
def test_scaled_targets_are_the_same_motion_in_other_units(activation, power, request):
    # f has degree 2 (3) in the weights: y -> c y with weights -> c^power weights leaves L / c^2 and the path as they were
    network, _, run = request.getfixturevalue(activation)
    c = 7.0
    start = {k: c**power * a for k, a in small.arrays(network).items()}
    other, loss = small.neurons(activation, X, c * Y, start)
    scaled = follow(other, loss, run.t[-1] * c ** (2 * power - 2))
    assert near(last(scaled), {k: c**power * a for k, a in last(run).items()})
    assert scaled.loss[-1] == pytest.approx(c**2 * run.loss[-1], rel=1e-7)


def test_a_saddle_passed_is_passed_the_same_by_both_methods(linear):
    network, loss, run = linear
    fifth = follow(network, loss, run.t[-1], order=5, rtol=1e-10)
    for level in (0.9, 0.6):
        times = [
            crossing_time(r.t, r.loss, r.speed, level * r.loss[0] + (1 - level) * r.loss[-1]) for r in (run, fifth)
        ]
        assert times[0] == pytest.approx(times[1], rel=1e-6)


# ----------------------------------------------------------------------------------------------------- how a run ends


def test_a_time_is_reached_exactly(linear):
    assert linear[2].ended == "time"
    assert linear[2].t[-1] == 60.0
    assert linear[2].result is RESULTS.successful


def test_a_minimum_is_told_from_a_plateau():
    # scale 1e-8: at t = 0 the gradient is 3e-15 and the lowest eigenvalue of the Hessian -2e-7
    x, y = np.sqrt(3) * np.eye(3), np.array([[3.0], [0.0], [0.0]])  # one unit is enough
    network, loss = small.neurons("quadratic", x, y, units=4, scale=1e-8, seed=1)
    run = to_rest(network, loss)
    assert run.ended == "converged"
    assert run.t[-1] > 1e5  # the first plateau alone
    assert run.loss[-1] < 1e-6 * run.loss[0]
    assert run.speed[-1] < 1e-6 * run.speed.max()
    early = to_rest(network, loss, max_steps=3, throw=False)
    assert early.ended == "max_steps"
    assert early.loss[-1] == pytest.approx(early.loss[0], rel=1e-6)


def saddle_start(push=0.0):
    """Linear modes (1, 0.4) with the first learned, the second at strength `push`; axes keep exact zeros exact."""
    weights = np.diag([1.0, push])
    x, y = small.modes((1.0, 0.4), (1.0, 1.0))
    return small.neurons("linear", x, y, {"u": weights, "v": weights})


@pytest.mark.parametrize("push", [1e-3, 1e-7, 1e-12])
def test_a_saddle_pushed_a_little_is_left(push):
    run = to_rest(*saddle_start(push))
    assert run.ended == "converged"
    assert run.loss[-1] < 1e-9
    assert run.t[-1] > np.log(1 / push) / 0.4  # it waited as long as it had to


def test_an_exact_saddle_is_not_called_converged():
    run = to_rest(*saddle_start(0.0), throw=False)
    assert run.ended == "on_plateau"
    assert run.loss[-1] == pytest.approx(0.08, rel=1e-12)


def test_on_an_invariant_manifold_the_flow_ends_at_its_minimum_which_only_the_narrow_network_rests_at():
    # rank 1 to rounding: on the axes it stays rank 1 for ever and ends at L_1 = 1/2 s_2^2 / lam_2 (THEORY 8.3)
    x, y = small.modes((1.0, 0.4), (1.0, 1.0))
    wide = {"u": np.array([[0.01, 0.0], [0.02, 0.0]]), "v": np.array([[0.02, 0.0], [0.01, 0.0]])}
    run = to_rest(*small.neurons("linear", x, y, wide), max_steps=600, throw=False)
    assert run.ended == "on_plateau"  # stiff steps reach the horizon; explicit ones would use up their steps
    explicit = to_rest(*small.neurons("linear", x, y, wide), max_steps=600, stiff=False, throw=False)
    assert explicit.ended == "max_steps"
    assert run.loss[-1] == pytest.approx(0.08, rel=1e-12)
    np.testing.assert_array_equal(last(run)["u"][:, 1], 0)
    narrow = {name: a[:1] for name, a in wide.items()}
    run = to_rest(*small.neurons("linear", x, y, narrow))
    assert run.ended == "converged"
    assert run.loss[-1] == pytest.approx(0.08, rel=1e-10)


def test_dead_relu_units_rest_and_are_told_so():
    x, y = np.array([[1.0, 0.2], [0.3, 1.0]]), np.ones((2, 1))
    run = to_rest(*small.neurons("relu", x, y, {"u": -np.ones((3, 2)), "v": np.ones((3, 1))}))
    assert run.ended == "converged"
    np.testing.assert_array_equal(run.states[-1], run.states[0])


def test_settled_is_within_a_millionth_of_the_optimum_known():
    network, loss = small.neurons("linear", X, Y, units=4, scale=1e-2, compress=True)
    best = Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    optimum = 0.5 * np.sum(best**2) / len(X)
    run = gradient_flow(network, loss, until="settled")
    assert run.ended == "settled"
    assert 0 <= run.loss[-1] - optimum <= 1e-6 * run.loss[0]
    assert run.loss[-2] - optimum > 1e-6 * run.loss[0] or run.t[-1] < 1e3


def test_used_up_steps_are_an_error_unless_told_otherwise_and_nothing_is_lost(linear):
    network, loss, whole = linear
    with pytest.raises(ComputationError) as error:
        follow(network, loss, 60.0, max_steps=10)
    assert error.value.result is RESULTS.max_steps
    part = follow(network, loss, 60.0, max_steps=10, throw=False)
    assert part.ended == "max_steps"
    assert part.cost["steps"] == 10
    np.testing.assert_array_equal(part.loss, whole.loss[: len(part.loss)])


def test_a_loss_to_stop_at_is_the_first_step_at_or_below(linear):
    network, loss, whole = linear
    level = 0.5 * (whole.loss[0] + whole.loss[-1])
    run = follow(network, loss, 60.0, loss_stop=level)
    assert run.ended == "loss"
    assert run.loss[-1] <= level
    np.testing.assert_array_equal(run.loss, whole.loss[: len(run.loss)])


class Bounded(AbstractNeuron):
    """z + z^2 / 8, not defined beyond z = 4."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 1
    parity: ClassVar[str] = "none"

    def activation(self, z):
        return jnp.where(z < 4, z + z**2 / 8, jnp.nan)


def test_where_a_network_is_not_defined_the_run_ends_with_what_was_finite():
    x, y = np.array([[1.0]]), np.array([[200.0]])
    network, loss = small.neurons(f"{__name__}:Bounded", x, y, {"u": np.full((2, 1), 0.1), "v": np.full((2, 1), 0.1)})
    run = follow(network, loss, 100.0, throw=False)
    assert run.ended == "nonfinite"
    assert run.result is RESULTS.nonfinite
    assert np.all(np.isfinite(run.states))
    assert np.all(np.isfinite(run.loss[:-1]))
    assert run.cost["rejected"] < 300
    with pytest.raises(ComputationError, match="no longer finite"):
        follow(network, loss, 100.0)


def test_a_slide_that_cannot_be_followed_is_said(monkeypatch):
    # what happens to layers with too many kinks for exact sliding, and to deep ReLU networks
    monkeypatch.setattr("saddlescope.flow.field.LARGEST_PATTERN", 0)
    monkeypatch.setattr(
        sys.modules["saddlescope.flow.motion"], "SLIDING_ADVANCE", 1e-3
    )  # sooner: at rtol 1e-8 it creeps, at 1e-8 of t a segment it stands
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(5, 2)), 1.5 * rng.normal(size=(5, 1))
    network, loss = small.neurons("relu", x, y, data.neurons(11, 1e-2, 6, 2, 1))
    run = follow(network, loss, 40.0, rtol=1e-11, throw=False)
    assert run.ended == "sliding_failed"
    assert run.result is RESULTS.stalled
    assert 0 < run.t[-1] < 40
    assert np.all(np.isfinite(run.states))
    assert run.loss[-1] < run.loss[0]


@pytest.mark.parametrize(("weights", "told"), [(0.0, "zero"), (1e-200, "smallest"), (1e-160, "smallest")])
def test_weights_that_cannot_move_are_refused_in_one_line(weights, told):
    x, y = small.modes((1.0, 0.4), (1.0, 1.0))
    network, loss = small.neurons("linear", x, y, {"u": np.full((2, 2), weights), "v": np.full((2, 2), weights)})
    with pytest.raises(ValueError, match=told) as error:
        follow(network, loss, 1.0)
    assert "\n" not in str(error.value)
    fine = {"u": np.full((2, 2), 1e-140), "v": np.full((2, 2), 1e-140)}
    assert follow(network.with_arrays(fine), loss, 1.0).ended == "time"


def test_losses_that_overflow_are_refused(linear):
    network, loss, _ = linear
    with pytest.raises(ValueError, match="too large"):
        follow(network.with_arrays({k: 1e120 + a for k, a in small.arrays(network).items()}), loss, 1.0)


@pytest.mark.parametrize("until", ["tomorrow", "converged"])
def test_an_end_that_makes_no_sense_is_refused(until, linear):
    with pytest.raises(ValueError, match="until"):
        follow(linear[0], linear[1], until)


# --------------------------------------------------------------------------------------------------- gradient descent


def plain(activation, start):
    of = PlainObjective.build(FullyConnected(activation), X, Y, None, start)
    return of, of.pack(start)


@pytest.mark.parametrize("activation", ["linear", "quadratic", "relu", "tanh"])
def test_gradient_descent_is_the_plain_loop(activation):
    network, loss = small.neurons(activation, X, Y, units=4, scale=0.3)
    run = gradient_descent(network, loss, learning_rate=0.02, steps=150)
    of, _ = plain(activation, small.arrays(network))
    states = plain_descent(of, small.arrays(network), 0.02, 150)
    assert run.ended == "steps"
    assert len(run.t) == 151
    np.testing.assert_allclose(run.t, 0.02 * np.arange(151), rtol=1e-14)
    np.testing.assert_allclose(run.loss, [of.loss(s) for s in states], rtol=1e-11)
    np.testing.assert_allclose(run.speed, [np.linalg.norm(of.gradient(s)) for s in states], rtol=1e-9, atol=1e-12)
    for state, position in zip(run.states, run.state_index, strict=True):
        np.testing.assert_allclose(state, states[position], rtol=0, atol=1e-11)


def test_small_steps_of_gradient_descent_approach_the_flow_at_first_order(linear):
    network, loss, _ = linear
    at = follow(network, loss, 8.0, rtol=1e-11).states[-1]
    errors = []
    for steps in (400, 800, 1600):
        end = gradient_descent(network, loss, learning_rate=8.0 / steps, steps=steps).states[-1]
        errors.append(np.linalg.norm(end - at))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.03)


def test_descent_that_diverges_keeps_what_was_computed(linear):
    network, loss, _ = linear
    with pytest.raises(ComputationError, match="learning rate"):
        gradient_descent(network, loss, learning_rate=30.0, steps=500)
    run = gradient_descent(network, loss, learning_rate=30.0, steps=500, throw=False)
    assert run.ended == "diverged"
    assert run.result is RESULTS.diverged
    assert 2 < len(run.t) < 501
    assert np.all(np.isfinite(run.loss))
    assert np.all(np.isfinite(run.states))
    assert run.loss.max() <= 1e6 * run.loss[0]
    of, _ = plain("linear", small.arrays(network))
    states = plain_descent(of, small.arrays(network), 30.0, len(run.t) - 1)
    np.testing.assert_allclose(run.loss, [of.loss(s) for s in states], rtol=1e-9)


# ------------------------------------------------------------------------------------- interruptions, threads and bits


def same(a, b):
    for name in ("t", "loss", "speed", "states", "state_index"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.ended == b.ended
    costs = [{k: v for k, v in run.cost.items() if k != "seconds"} for run in (a, b)]
    assert costs[0] == costs[1]


@pytest.fixture(scope="module")
def long_run(linear):
    """So many steps that they come in several segments."""
    network, loss, _ = linear
    options = {"rtol": 1e-12, "order": 5}
    whole = to_rest(network, loss, **options)
    assert whole.ended == "converged"
    assert whole.cost["steps"] > 4 * 256
    return network, loss, options, whole


class Interrupt:
    """Passes calls on, and raises Ctrl-C in place of the k-th."""

    def __init__(self, function, at):
        self.function, self.left = function, at

    def __call__(self, *args, **options):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.function(*args, **options)


@pytest.mark.parametrize("where", ["between", "in advance", "in keeping", "in certify"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_run_interrupted_anywhere_goes_on_bit_for_bit(where, k, long_run, monkeypatch):
    network, loss, options, whole = long_run
    can_rest, progress = small.rests_on(loss), None
    with monkeypatch.context() as patch:
        if where == "between":
            progress = Interrupt(lambda *_: None, k)
        elif where == "in advance":
            patch.setattr(flow_module, "advance", Interrupt(flow_module.advance, k))
        elif where == "in keeping":
            patch.setattr(Keeper, "add", Interrupted.add(100 * k))
        else:
            can_rest = Interrupt(can_rest, 1)
        part = gradient_flow(network, loss, can_rest=can_rest, progress=progress, **options)
    assert part.ended == "interrupted"
    assert part.checkpoint
    np.testing.assert_array_equal(part.loss, whole.loss[: len(part.loss)])
    earlier = {k: v for k, v in part.checkpoint.items() if k != "before"}
    with pytest.raises(ValueError, match="before is missing"):
        gradient_flow(network, loss, can_rest=small.rests_on(loss), resume=earlier, **options)
    rest = gradient_flow(network, loss, can_rest=small.rests_on(loss), resume=part.checkpoint, **options)
    same(rest, whole)


class Interrupted:
    @staticmethod
    def add(k):
        left, add = [k], Keeper.add

        def wrapped(self, *args):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return add(self, *args)

        return wrapped


def test_a_run_may_be_interrupted_twice(long_run):
    network, loss, options, whole = long_run
    checkpoint = None
    for _ in range(2):
        stop = Interrupt(lambda *_: None, 2)
        part = gradient_flow(network, loss, can_rest=small.rests_on(loss), progress=stop, resume=checkpoint, **options)
        assert part.ended == "interrupted"
        checkpoint = part.checkpoint
    same(gradient_flow(network, loss, can_rest=small.rests_on(loss), resume=checkpoint, **options), whole)


def test_used_up_steps_go_on_bit_for_bit(long_run):
    network, loss, options, whole = long_run
    part = to_rest(network, loss, max_steps=300, throw=False, **options)
    same(to_rest(network, loss, resume=part.checkpoint, **options), whole)


@pytest.mark.parametrize("method", ["flow", "descent"])
def test_the_users_setting_stays_and_changes_nothing(method, linear):
    network, loss, _ = linear

    def compute(setting, into):
        with jax.enable_x64(setting):
            if method == "flow":
                run = follow(network, loss, 20.0)
            else:
                run = gradient_descent(network, loss, learning_rate=0.1, steps=40)
            assert jax.config.jax_enable_x64 is setting
            into.append(run)

    found = []
    before = jax.config.jax_enable_x64
    compute(False, found)
    compute(True, found)
    thread = threading.Thread(target=compute, args=(False, found))
    thread.start()
    thread.join()
    assert jax.config.jax_enable_x64 is before
    assert len(found) == 3
    for run in found:
        same(run, found[0])
        for a in (run.t, run.loss, run.speed, run.states, *small.arrays(run.network(-1)).values()):
            assert type(a) is np.ndarray
            assert a.dtype == np.float64


def test_kept_states_stay_within_their_budget_and_keep_the_slowest():
    # a long staircase in which every state differs by more than any threshold: only the budget decides
    keeper = Keeper(1.0, 2**20)
    speeds = 10 ** (-np.abs(np.sin(np.linspace(0.1, 9.0, 400))) * 3)
    for i, speed in enumerate(speeds):
        keeper.add(i, 1.0 - i / 400, float(speed), np.full(3, float(i)))
    index, states = keeper.states()
    assert keeper.most == 12
    assert len(index) <= keeper.most + 2  # the slowest of the last part, and the last
    assert index[0] == 0
    assert index[-1] == 399
    np.testing.assert_array_equal(states[:, 0], index)
    assert np.argmin(speeds) in index
