r"""The driver, on gradient systems whose solutions are known.

Two factors of one number, $L = \tfrac12 (s - uv)^2$ with $u = v = w$, are the smallest network that waits at a saddle:
$w^2 = s / (1 + (s/w_0^2 - 1) e^{-2st})$.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import DOP853, RK45
from scipy.interpolate import CubicHermiteSpline

from saddlescope.integrate import METHODS, AbstractField, Controls, advance, methods, start
from saddlescope.series import interpolate_loss

EXPLICIT = (8, 5)
NO_MODE = np.zeros(0, np.int32)


class TwoFactors(AbstractField):
    """L = 1/2 sum_k (s_k - u_k v_k)^2 of y = (u, v)."""

    s: np.ndarray

    def __call__(self, y, mode):
        u, v = y.reshape(2, -1)
        error = self.s - u * v
        return 0.5 * jnp.sum(error**2), jnp.concatenate([error * v, error * u])


def exact(t, s, w0):
    """w and L of one balanced factor pair."""
    square = s / (1 + (s / w0**2 - 1) * np.exp(-2 * s * np.asarray(t)))
    return np.sqrt(square), 0.5 * (s - square) ** 2


def controls(size, rtol=1e-8, scale=1.0, t_stop=np.inf, loss_stop=-np.inf, speed_stop=0.0, loss_scale=0.5, steps=10**6):
    values = (rtol, np.full(size, rtol * scale), t_stop, loss_stop, speed_stop, loss_scale)
    return Controls(*(np.asarray(v, np.float64) for v in values), steps=np.asarray(steps, np.int64))


def follow(field, y0, order=8, chunk=256, **options):
    """The whole run from y0: the last state, the curve [3, time] with t = 0, and the states [steps + 1, n]."""
    asked = controls(len(y0), **options)
    state = start(field, np.asarray(y0, np.float64), asked)
    curve = [np.array([[0.0], [float(state.loss)], [np.linalg.norm(state.velocity)]])]
    states = [np.asarray(y0, np.float64)[None]]
    for _ in range(10_000):
        state, part = advance(field, state, asked, order=order, steps=chunk)
        curve.append(np.stack([part.t, part.loss, part.speed]))
        states.append(part.states)
        if not part.states.shape[0]:
            return state, np.concatenate(curve, axis=1), np.concatenate(states)
    raise AssertionError("the run does not end")


def one_pair(s=1.0):
    return TwoFactors(np.array([s]))


def pair_velocity(y):
    return (1.0 - y[0] * y[1]) * y[::-1]


def explicit_step(method, velocity, y, h):
    """One step, a line a stage: the slow twin."""
    k = []
    for row in method.stages:
        k.append(velocity(y + h * sum((a * b for a, b in zip(row, k, strict=False)), np.zeros_like(y))))
    return y + h * sum(a * b for a, b in zip(method.stages[-1], k, strict=True)), np.array(k)


def slope(h, error):
    return np.polyfit(np.log(h), np.log(error), 1)[0]


@pytest.mark.parametrize("order", EXPLICIT)
class TestTableau:
    def test_each_stage_uses_only_those_before_it(self, order):
        stages = METHODS[order]().stages
        assert np.all(np.triu(stages) == 0)

    def test_quadrature_conditions_hold_to_the_order(self, order):
        # sum b c^(k-1) = 1/k, Hairer, Norsett & Wanner II.1; c are the row sums
        stages = METHODS[order]().stages
        weights, nodes = stages[-1], stages.sum(axis=1)
        for k in range(1, order + 1):
            assert weights @ nodes ** (k - 1) == pytest.approx(1 / k, rel=1e-13)
        assert abs(weights @ nodes**order - 1 / (order + 1)) > 1e-8  # and no further

    def test_nested_conditions_hold_to_order_five(self, order):
        stages = METHODS[order]().stages
        b, c, a = stages[-1], stages.sum(axis=1), stages
        found = [b @ a @ c, b * c @ a @ c, b @ a @ c**2, b @ a @ a @ c, b @ a @ a @ a @ c, b * c @ a @ c**2]
        np.testing.assert_allclose(found, [1 / 6, 1 / 8, 1 / 12, 1 / 24, 1 / 120, 1 / 15], rtol=1e-12)

    def test_nodes_are_those_of_the_authors(self, order):
        method, author = METHODS[order](), {8: DOP853, 5: RK45}[order]
        np.testing.assert_allclose(method.stages.sum(axis=1)[:-1], author.C, atol=2e-14)
        if order == 8:
            np.testing.assert_allclose(method.extra.sum(axis=1), DOP853.C_EXTRA, atol=2e-14)

    def test_error_estimates_vanish_where_nothing_changes(self, order):
        # both solutions of a pair have weights that sum to 1
        np.testing.assert_allclose(METHODS[order]().errors.sum(axis=1), 0, atol=1e-14)

    def test_error_falls_with_the_order_of_the_method(self, order):
        method = METHODS[order]()
        counts = np.array({8: [4, 5, 6, 8, 10, 12], 5: [16, 24, 32, 48, 64]}[order])
        errors = []
        for count in counts:
            y = np.array([0.3, 0.3])
            for _ in range(count):
                y, _ = explicit_step(method, pair_velocity, y, 3.0 / count)
            errors.append(abs(y[0] - exact(3.0, 1.0, 0.3)[0]))
        assert min(errors) > 1e-13  # above rounding, or the slope means nothing
        assert slope(3.0 / counts, errors) == pytest.approx(order, abs=0.3)

    def test_dense_output_has_its_order_inside_a_step_and_meets_its_ends(self, order, x64):
        # steps that all start on the exact solution; their error goes with h^(dense order + 1), of orders 7 and 4
        method, field = METHODS[order](), one_pair()
        inside = np.linspace(0, 1, 11)

        @jax.jit
        def read(y0, h):
            tried = method.attempt(field, y0, NO_MODE, *field(y0, NO_MODE), h, lambda end: 1e-8)
            return jax.vmap(tried.inside()[0])(inside)

        counts, errors = np.array({8: [8, 10, 12, 16], 5: [40, 56, 80, 112]}[order]), []
        for count in counts:
            h, largest = 4.0 / count, 0.0
            for t in h * np.arange(count):
                y0 = np.repeat(exact(t, 1.0, 0.3)[0], 2)
                y1, _ = explicit_step(method, pair_velocity, y0, h)
                found = np.asarray(read(y0, h))
                np.testing.assert_allclose(found[[0, -1]], [y0, y1], atol=1e-14)
                largest = max(largest, np.abs(found[:, 0] - exact(t + h * inside, 1.0, 0.3)[0]).max())
            errors.append(largest)
        assert slope(4.0 / counts, errors) == pytest.approx({8: 8, 5: 5}[order], abs=0.3)


@pytest.mark.parametrize("order", EXPLICIT)
def test_a_step_of_the_driver_is_the_tableaus(order):
    field = one_pair()
    state = start(field, np.array([0.3, 0.3]), controls(2, rtol=1e-3))
    h = float(state.step_size)
    after, part = advance(field, state, controls(2, rtol=1e-3, steps=1), order=order)
    expected, _ = explicit_step(METHODS[order](), pair_velocity, np.array([0.3, 0.3]), h)
    assert float(after.t) == h
    np.testing.assert_allclose(part.states[-1], expected, rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("order", EXPLICIT)
@pytest.mark.parametrize("w0", [1e-1, 1e-6])
@pytest.mark.parametrize("rtol", [1e-6, 1e-10])
def test_the_closed_form_is_followed_to_the_tolerance(order, w0, rtol):
    _, curve, states = follow(one_pair(), [w0, w0], order, rtol=rtol, scale=w0, t_stop=40.0)
    loss = exact(curve[0], 1.0, w0)[1]
    # escape from the saddle grows an error of one step by nothing: it is relative. Measured at most 5 rtol
    assert np.abs(curve[1] - loss).max() < 20 * rtol * 0.5
    assert states[-1][0] == pytest.approx(1.0, abs=20 * rtol)


def test_a_tighter_tolerance_is_nearer_and_dearer():
    errors, costs = [], []
    for rtol in (1e-4, 1e-7, 1e-10):
        state, curve, _ = follow(one_pair(), [1e-3, 1e-3], rtol=rtol, scale=1e-3, t_stop=9.0)
        errors.append(np.abs(curve[1] - exact(curve[0], 1.0, 1e-3)[1]).max())
        costs.append(int(state.evaluations))
    assert errors[0] > 30 * errors[1] > 900 * errors[2]
    assert costs[0] < costs[1] < costs[2]


@pytest.mark.parametrize("t_stop", [1e-3, 1.7, 25.0])
def test_the_stop_time_is_hit_exactly(t_stop):
    state, curve, states = follow(one_pair(), [0.01, 0.01], t_stop=t_stop)
    assert float(state.t) == t_stop
    assert curve[0, -1] == t_stop
    np.testing.assert_array_equal(states[-1], np.asarray(state.y))


def test_stops_are_the_first_steps_at_or_below():
    options = {"rtol": 1e-8, "scale": 0.01}
    _, _whole, states = follow(one_pair(), [0.01, 0.01], t_stop=30.0, **options)
    speeds = [np.hypot(*((1 - u * v) * np.array([u, v]))) for u, v in states]
    losses = [0.5 * (1 - u * v) ** 2 for u, v in states]
    state, curve, _ = follow(one_pair(), [0.01, 0.01], loss_stop=0.1, **options)
    assert float(state.loss) <= 0.1
    assert float(state.loss) == pytest.approx(next(loss for loss in losses if loss <= 0.1), rel=1e-12)
    # from the first step on: the start is not asked
    state, curve, _ = follow(one_pair(), [0.9, 0.9], speed_stop=1e-5, scale=0.9)
    assert curve[2, -1] <= 1e-5
    assert curve[2, -2] > 1e-5
    assert min(speeds) < 1e-5  # the other run has gone further


@pytest.mark.parametrize("order", EXPLICIT)
def test_however_a_run_is_cut_it_is_the_same_bit_for_bit(order):
    field, y0 = TwoFactors(np.array([1.0, 0.4, 2.0])), [1e-4, 3e-3, 1e-2, 1e-4, -2e-3, 5e-3]
    options = {"rtol": 1e-10, "scale": 1e-3, "t_stop": 60.0}
    _, curve, states = follow(field, y0, order, **options)
    assert len(states) > 30
    other = follow(field, y0, order, chunk=7, **options)
    np.testing.assert_array_equal(other[1], curve)
    np.testing.assert_array_equal(other[2], states)
    one_by_one = follow(field, y0, order, steps=1, **options)
    np.testing.assert_array_equal(one_by_one[1], curve)
    np.testing.assert_array_equal(one_by_one[2], states)


def test_the_state_says_all_that_the_next_step_needs():
    # through NumPy and back, as a file would; dropping the controller's memory changes the steps
    field, asked = one_pair(), controls(2, rtol=1e-9, scale=1e-3, t_stop=20.0, steps=9)
    state, _ = advance(field, start(field, np.array([1e-3, 1e-3]), asked), asked)
    straight, _ = advance(field, state, asked)
    reloaded, _ = advance(field, type(state)(*(np.asarray(v) for v in state)), asked)
    for a, b in zip(straight, reloaded, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    forgetful, _ = advance(field, state._replace(last_error=np.asarray(1.0)), asked)
    assert float(forgetful.t) != float(straight.t)


class Counting(TwoFactors):
    """Two factors that tell every call."""

    def __call__(self, y, mode):
        jax.debug.callback(CALLS.append, y[0])
        return super().__call__(y, mode)


CALLS: list = []


@pytest.mark.parametrize("order", EXPLICIT)
def test_evaluations_are_counted_one_by_one(order):
    CALLS.clear()
    state, _, states = follow(Counting(np.array([1.0])), [1e-3, 1e-3], order, scale=1e-3, t_stop=20.0)
    jax.effects_barrier()
    assert int(state.accepted) == len(states) - 1
    assert int(state.evaluations) == len(CALLS)


class Wall(AbstractField):
    """L = 1/2 y^2 for y > 1/2, a thousand times as steep below: steps that were right are suddenly far too long."""

    def __call__(self, y, mode):
        stiff = jnp.where(y < 0.5, 1000.0, 1.0)
        return 0.5 * jnp.sum(stiff * (y**2 - 0.25)) + 0.125, -stiff * y


def test_rejected_steps_are_counted_and_tried_again_smaller():
    state, curve, states = follow(Wall(), [1.0], rtol=1e-6, t_stop=1.0)
    assert int(state.rejected) > 3
    assert int(state.accepted) == len(states) - 1
    assert np.all(np.diff(curve[0]) > 0)
    # y = 1/2 at ln 2, then e^(-1000 t); no order survives a jump of the velocity, the tolerance does
    times = np.array([0.3, 0.6])
    np.testing.assert_allclose(interpolate_loss(*curve, times), 0.5 * np.exp(-2 * times), rtol=1e-3)
    assert abs(states[-1][0]) < 1e-6
    calm, _, _ = follow(one_pair(), [0.01, 0.01], rtol=1e-6, scale=0.01, t_stop=10.0)
    assert int(calm.rejected) <= 2


@pytest.mark.parametrize("order", EXPLICIT)
@pytest.mark.parametrize("rtol", [1e-8, 1e-11])
def test_the_curve_is_as_dense_as_it_bends(order, rtol):
    # files promise 1e-6 by cubic Hermite, in units of L(0); lines between them are a matter of `series.insert_samples`
    strengths, starts = np.array([2.0, 1.0, 0.5]), np.array([1e-2, 1e-3, 1e-5])
    field = TwoFactors(strengths)
    loss0 = 0.5 * np.sum((strengths - starts**2) ** 2)
    options = {"rtol": rtol, "scale": 1e-5, "t_stop": 60.0, "loss_scale": loss0}
    _, curve, states = follow(field, np.concatenate([starts, starts]), order, **options)
    t, loss, speed = curve
    fine = np.unique(np.concatenate([np.linspace(a, b, 9) for a, b in itertools.pairwise(t)]))
    true = sum(exact(fine, s, w)[1] for s, w in zip(strengths, starts, strict=True))
    assert np.abs(CubicHermiteSpline(t, loss, -(speed**2))(fine) - true).max() < 1e-6 * loss0
    decades = np.abs(np.diff(np.log10(speed[loss > 1e-6 * loss0])))
    assert decades.max() < 0.7  # a slowest point does not hide between two samples
    if order == 8:  # and its steps alone would not do
        at_steps = np.isin(loss, 0.5 * np.sum((strengths - states[:, :3] * states[:, 3:]) ** 2, axis=1))
        at_steps[[0, -1]] = True
        sparse = CubicHermiteSpline(t[at_steps], loss[at_steps], -(speed[at_steps] ** 2))
        assert np.abs(sparse(fine) - true).max() > 1e-6 * loss0


class Relay(AbstractField):
    """L = 1/2 (y - target)^2 with a target that jumps to the other side whenever |y| reaches 1/2: every ln 3."""

    @property
    def has_modes(self):
        return True

    def initial_mode(self, y):
        return jnp.ones((1,), jnp.int32)

    def __call__(self, y, mode):
        return 0.5 * jnp.sum((y - mode) ** 2), mode - y

    def guards(self, y, mode):
        return 0.5 - mode * y

    def transition(self, y, mode, crossed):
        return jnp.where(crossed, -mode, mode)


class TwoRegimes(AbstractField):
    """Every component decays at rate 1 above its own level and at rate 9 below: L = 1/2 sum rate (y^2 - level^2) + level^2 / 2."""

    level: np.ndarray

    @property
    def has_modes(self):
        return True

    def initial_mode(self, y):
        return (y < self.level).astype(jnp.int32)

    def __call__(self, y, mode):
        rate = jnp.where(mode == 1, 9.0, 1.0)
        return 0.5 * jnp.sum(rate * (y**2 - self.level**2) + self.level**2), -rate * y

    def guards(self, y, mode):
        return jnp.where(mode == 1, self.level - y, y - self.level)

    def transition(self, y, mode, crossed):
        return jnp.where(crossed, 1 - mode, mode)


def events_of(curve):
    """Times given twice, and the speeds before and after."""
    at = np.flatnonzero(np.diff(curve[0]) == 0)
    return curve[0, at], curve[2, at], curve[2, at + 1]


@pytest.mark.parametrize("order", EXPLICIT)
def test_modes_end_at_the_right_moment_again_and_again(order):
    state, curve, _ = follow(Relay(), [-0.5], order, rtol=1e-11, scale=0.5, t_stop=20.5 * math.log(3))
    times, before, after = events_of(curve)
    np.testing.assert_allclose(times, math.log(3) * np.arange(1, 21), rtol=0, atol=1e-9)
    assert int(state.events) == 20
    np.testing.assert_allclose(before, 0.5, atol=1e-9)
    np.testing.assert_allclose(after, 1.5, atol=1e-9)


def test_two_modes_that_end_within_one_step_end_in_order():
    levels = np.array([0.5, 0.5000001, 0.3])
    state, curve, states = follow(TwoRegimes(levels), np.ones(3), rtol=1e-9, t_stop=1.5)
    times, before, after = events_of(curve)
    np.testing.assert_allclose(times, np.sort(np.log(1 / levels)), rtol=0, atol=1e-9)
    assert np.all(after > before)
    assert int(state.events) == 3
    np.testing.assert_allclose(states[-1], levels * np.exp(-9 * (1.5 + np.log(levels))), rtol=1e-7)
    assert np.all(np.diff(curve[1]) <= 0)  # the loss is continuous across its kinks


class Blunt(TwoRegimes):
    """The same motion that keeps its guards to itself."""

    @property
    def has_modes(self):
        return False

    def __call__(self, y, mode):
        return super().__call__(y, (y < self.level).astype(jnp.int32))


def test_without_guards_the_same_motion_costs_more_and_is_less_exact():
    level = np.array([0.5])
    guarded, _, right = follow(TwoRegimes(level), np.ones(1), rtol=1e-9, t_stop=1.5)
    blunt, _, wrong = follow(Blunt(level), np.ones(1), rtol=1e-9, t_stop=1.5)
    assert int(blunt.rejected) > 5 * max(int(guarded.rejected), 1)
    assert int(blunt.evaluations) > 1.5 * int(guarded.evaluations)
    true = 0.5 * math.exp(-9 * (1.5 - math.log(2)))
    assert abs(right[-1][0] - true) < abs(wrong[-1][0] - true)


class Explosion(AbstractField):
    """L = -y^3 / 3: y = 1 / (1/y0 - t), infinite at t = 1/y0."""

    def __call__(self, y, mode):
        return -jnp.sum(y**3) / 3, y**2


class Cliff(AbstractField):
    """L = -y, defined below y = 2 only."""

    def __call__(self, y, mode):
        return jnp.where(y[0] < 2, -y[0], jnp.nan), jnp.ones_like(y)


@pytest.mark.parametrize(("field", "end"), [(Explosion(), 1.0), (Cliff(), 1.0)])
def test_a_motion_that_ends_is_followed_to_there_and_left(field, end):
    state, curve, states = follow(field, [1.0], rtol=1e-8, t_stop=3.0)
    assert bool(state.failed)
    assert float(state.t) == pytest.approx(end, abs=1e-6)
    assert float(state.t) < 1.0000001
    assert np.all(np.isfinite(states))
    assert np.all(np.isfinite(curve))
    assert int(state.rejected) < 200  # no spiral


def test_what_is_returned_is_64_bits_whatever_the_setting():
    found = []
    for setting in (False, True):
        with jax.enable_x64(setting):
            _, curve, states = follow(one_pair(), [1e-5, 1e-5], rtol=1e-10, scale=1e-5, t_stop=15.0)
            assert jax.config.jax_enable_x64 is setting
        assert isinstance(states, np.ndarray)
        assert states.dtype == curve.dtype == np.float64
        found.append(states)
    np.testing.assert_array_equal(*found)


def test_the_coefficients_are_those_that_scipy_publishes():
    from scipy.integrate import DOP853, RK45

    for order, theirs in ((8, DOP853), (5, RK45)):
        ours = methods._coefficients(order)
        assert len(ours) == {8: 6, 5: 4}[order]
        for name, values in ours.items():
            np.testing.assert_array_equal(values, getattr(theirs, name))
            assert not np.array_equal(values * (1 + 1e-15), getattr(theirs, name))
