r"""The Rosenbrock method and the choice between it and the explicit one.

Solutions known: the pair of factors of `test_integrate`, and $L = \tfrac12 \sum_k \lambda_k y_k^2$, whose stiffness is a number that we choose.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from cases import DEEP, LAYERS, ids, inputs
from reference.rosenbrock import rosenbrock_step
from saddlescope.flow import gradient_flow
from saddlescope.integrate import METHODS, AbstractField, advance, start
from saddlescope.integrate.switching import (
    FIRST_PATIENCE,
    LONGEST_PATIENCE,
    PATIENCE,
    PRESSED,
    SHORT,
    Switch,
    shortest_patience,
    worth,
)
from saddlescope.objective import build, hessian
from saddlescope.runs import prepare
from saddlescope.series import crossing_time
from saddlescope.specs import read_spec
from saddlescope.tasks import Samples
from test_integrate import NO_MODE, controls, exact, one_pair, pair_velocity, slope

METHOD = METHODS["rosenbrock"]()


def pair_jacobian(y):
    return np.array([[-(y[1] ** 2), 1 - 2 * y[0] * y[1]], [1 - 2 * y[0] * y[1], -(y[0] ** 2)]])


class Decay(AbstractField):
    """L = 1/2 sum rates y^2."""

    rates: np.ndarray

    def __call__(self, y, mode):
        return 0.5 * jnp.sum(self.rates * y**2), -self.rates * y


def order_seen(method):
    counts, errors = np.array([16, 24, 32, 48]), []
    for count in counts:
        y = np.array([0.3, 0.3])
        for _ in range(count):
            y, _ = rosenbrock_step(method, pair_velocity, pair_jacobian, y, 3.0 / count)
        errors.append(abs(y[0] - exact(3.0, 1.0, 0.3)[0]))
    assert min(errors) > 1e-12  # above rounding, or the slope means nothing
    return slope(3.0 / counts, errors)


def test_error_falls_with_order_five():
    assert order_seen(METHOD) == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("table", ["a", "c"])
def test_a_wrong_coefficient_loses_the_order(table):
    wrong = {name: np.array(getattr(METHOD, name)) for name in ("a", "c")}
    wrong[table][5, 2] += 1e-3
    broken = type(METHOD)(5, METHOD.gamma, wrong["a"], wrong["c"], METHOD.dense)
    assert order_seen(broken) < 3.5


def test_the_error_estimate_is_of_order_four():
    # local error of an order-4 solution goes with h^5
    steps, found = np.array([0.02, 0.03, 0.04, 0.06]), []
    for h in steps:
        _, estimate = rosenbrock_step(METHOD, pair_velocity, pair_jacobian, np.array([0.9, 0.3]), h)
        found.append(np.linalg.norm(estimate))
    assert slope(steps, found) == pytest.approx(5, abs=0.3)


def test_an_attempt_equals_its_slow_twin(x64):
    field, y, h = one_pair(), np.array([0.4, 0.7]), 0.3
    tried = METHOD.attempt(field, jnp.asarray(y), NO_MODE, *field(y, NO_MODE), jnp.asarray(h), lambda end: 1e-3)
    expected, estimate = rosenbrock_step(METHOD, pair_velocity, pair_jacobian, y, h)
    np.testing.assert_allclose(tried.y, expected, rtol=1e-13)
    assert float(tried.error) == pytest.approx(np.sqrt(np.mean((estimate / 1e-3) ** 2)), rel=1e-9)
    assert (tried.evaluations, tried.hessians) == (8, 1)


def test_dense_output_is_of_order_four_and_meets_both_ends(x64):
    field, inside = one_pair(), np.linspace(0, 1, 11)

    @jax.jit
    def read(y0, h):
        tried = METHOD.attempt(field, y0, NO_MODE, *field(y0, NO_MODE), h, lambda end: 1e-8)
        return tried.y, jax.vmap(tried.inside()[0])(inside)

    counts, errors = np.array([48, 64, 96, 128]), []
    for count in counts:
        h, largest = 4.0 / count, 0.0
        for t in h * np.arange(count):
            y0 = np.repeat(exact(t, 1.0, 0.3)[0], 2)
            end, found = (np.asarray(a) for a in read(jnp.asarray(y0), h))
            np.testing.assert_allclose(found[[0, -1]], [y0, end], atol=1e-14)
            largest = max(largest, np.abs(found[:, 0] - exact(t + h * inside, 1.0, 0.3)[0]).max())
        errors.append(largest)
    assert slope(4.0 / counts, errors) == pytest.approx(5, abs=0.4)  # a step's error, of an order-4 interpolant


@pytest.mark.parametrize("stretch", [1e2, 1e6])
def test_a_step_far_beyond_the_explicit_limit_forgets_the_stiff_direction(stretch, x64):
    # L-stable: R(-inf) = 0, where the explicit method multiplies by stretch^8
    field = Decay(np.array([1.0]))
    tried = METHOD.attempt(
        field, jnp.ones(1), NO_MODE, *field(jnp.ones(1), NO_MODE), jnp.asarray(stretch), lambda e: 1.0
    )
    assert abs(float(tried.y[0])) < 20 / stretch  # measured 13 / stretch
    assert float(tried.stretch) == pytest.approx(stretch, rel=1e-6)
    explicit = METHODS[8]().attempt(
        field, jnp.ones(1), NO_MODE, *field(jnp.ones(1), NO_MODE), jnp.asarray(stretch), lambda e: 1.0
    )
    assert abs(float(explicit.y[0])) > 1e6
    assert float(explicit.stretch) == pytest.approx(stretch, rel=1e-6)


def decay_steps(stiff, rtol=1e-8):
    """A slow decay (rate 1e-3) beside a fast one (rate 10), to t = 1e4: the state there."""
    field, y = Decay(np.array([10.0, 1e-3])), np.ones(2)
    asked = controls(2, rtol=rtol, t_stop=1e4, steps=10**7)
    state = start(field, y, asked)
    for _ in range(10_000):
        state, part = advance(field, state, asked, steps=256, stiff=stiff)
        if not part.t.size:
            return state
    raise AssertionError("the run does not end")


def test_a_stiff_motion_changes_method_and_takes_one_step_of_fifty():
    explicit, switched = decay_steps(False), decay_steps(True)
    # explicit steps hover about the limit 6.1 / 10: measured 0.64 on average
    assert int(explicit.accepted) > 1e4 / 0.7
    assert int(switched.accepted) < 0.02 * int(explicit.accepted)
    assert int(explicit.hessians) == 0 < int(switched.hessians)
    # absolute tolerance 1e-8 a step; both end where the formula does
    for state in (explicit, switched):
        assert float(state.y[1]) == pytest.approx(np.exp(-10), abs=3e-7)
        assert abs(float(state.y[0])) < 1e-6


def test_a_run_does_not_depend_on_how_it_is_cut_when_methods_change():
    field, y = Decay(np.array([10.0, 1e-4])), np.ones(2)
    ends = []
    for chunk in (7, 64):
        asked = controls(2, t_stop=1e3, steps=10**7)
        state = start(field, y, asked)
        while True:
            state, part = advance(field, state, asked, steps=chunk, stiff=True)
            if not part.t.size:
                break
        ends.append(state)
    assert int(ends[0].hessians) > 0
    for a, b in zip(*ends, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_motions_with_modes_refuse_stiff_steps():
    class Kinked(Decay):
        @property
        def has_modes(self):
            return True

    with pytest.raises(ValueError, match="without modes"):
        advance(Kinked(np.ones(2)), None, None, stiff=True)


class TestSwitch:
    def after(self, switch, method, stretch, size=1.0, accepted=100, n=60):
        number = jnp.asarray(accepted)
        return switch.after(
            METHODS[method](), jnp.asarray(stretch), jnp.asarray(1.0), jnp.asarray(size), 6.1, n, number
        )

    def test_explicit_steps_pressed_for_long_enough_hand_over(self, x64):
        switch = Switch.start(60)
        for step in range(FIRST_PATIENCE):
            assert int(switch.stiff) == 0, step
            switch, _ = self.after(switch, 8, 1.01 * PRESSED * 6.1)
        assert int(switch.stiff) == 1

    def test_steps_below_the_limit_never_do(self, x64):
        switch = Switch.start(60)
        for _ in range(2 * FIRST_PATIENCE):
            switch, _ = self.after(switch, 8, 0.99 * PRESSED * 6.1)
        assert int(switch.stiff) == 0

    def test_stiff_steps_hand_back_where_they_are_not_worth_it_and_the_next_step_is_stable(self, x64):
        start = Switch(*(jnp.asarray(v) for v in (1, 0, PATIENCE, 0)))
        switch, size = start, None
        for _ in range(SHORT):
            switch, size = self.after(switch, "rosenbrock", 0.99 * worth(60) * 6.1)
        assert int(switch.stiff) == 0
        assert float(size) * 0.99 * worth(60) * 6.1 == pytest.approx(0.9 * 6.1)
        kept = start
        for _ in range(SHORT):
            kept, _ = self.after(kept, "rosenbrock", 1.01 * worth(60) * 6.1)
        assert int(kept.stiff) == 1

    def test_a_change_that_did_not_pay_makes_the_next_one_slower(self, x64):
        hasty = Switch(*(jnp.asarray(v) for v in (1, SHORT - 1, PATIENCE, 98)))
        switch, _ = self.after(hasty, "rosenbrock", 0.1)
        assert int(switch.patience) == 2 * PATIENCE
        worn = Switch(*(jnp.asarray(v) for v in (1, SHORT - 1, LONGEST_PATIENCE, 98)))
        assert int(self.after(worn, "rosenbrock", 0.1)[0].patience) == LONGEST_PATIENCE
        paid = Switch(*(jnp.asarray(v) for v in (1, SHORT - 1, 4 * PATIENCE, 10)))
        assert int(self.after(paid, "rosenbrock", 0.1)[0].patience) == shortest_patience(60) > PATIENCE

    def test_where_stiff_steps_are_dear_more_explicit_ones_come_first(self, x64):
        assert shortest_patience(4) == PATIENCE
        assert int(Switch.start(4).patience) == FIRST_PATIENCE
        assert int(Switch.start(300).patience) == shortest_patience(300) > 4 * worth(300) - 1


# with psi and without, one feature and several, one output and several; the others at full count
SHORT_LIST = ("quadratic", "tanh", "relu-kernel-3-1", "quadratic-kernel-2-2", "head-rank-2")


@pytest.mark.parametrize(
    "case",
    [case if case.name in SHORT_LIST else pytest.param(case, marks=pytest.mark.full) for case in LAYERS],
    ids=ids,
)
def test_the_hessian_by_units_is_the_hessian(case, x64):
    for compress in (None, False) if case.unit.unit.psi_name else (False,):
        check_hessian(case, compress)


def test_no_structure_is_assumed_where_something_follows_the_units(x64):
    case = next(c for c in DEEP if c.name == "tanh-4-layers")
    check_hessian(case, False)


def check_hessian(case, compress):
    x = inputs(case.x_shape, samples=40)
    rng = np.random.default_rng(1)
    data = Samples(x, rng.normal(size=(40, case.outputs)), rng.uniform(0.5, 2, size=40))
    network = case.random(2, 0.7)
    objective = build(data, network, compress=compress)
    y, unravel = ravel_pytree(network)
    expected = jax.jit(jax.hessian(lambda y: objective.loss(unravel(y))))(y)
    # measured: at most 3e-14 of the largest entry
    found = eqx.filter_jit(hessian)(objective, network)
    np.testing.assert_allclose(found, expected, atol=1e-12 * float(jnp.abs(expected).max()))
    assert float(jnp.abs(expected).max()) > 1e-3


def quadratic(scale, tmp_path):
    np.savez(tmp_path / "teacher.npz", matrix=np.diag([1.0, 0.7, 0.4]), covariance=np.eye(3))
    tables = {
        "network": {"architecture": "fully_connected", "activation": "quadratic", "units": 6},
        "task": {"kind": "quadratic_teacher", "file": str(tmp_path / "teacher.npz"), "samples": "population"},
        "init": {"scale": scale, "seed": 1},
    }
    return prepare(read_spec(tables))


def test_stiff_steps_move_no_stage_end_and_save_nine_gradients_of_ten(tmp_path):
    problem = quadratic(1e-3, tmp_path)
    found = {}
    for stiff in (False, True):
        run = gradient_flow(problem.network, problem.objective, until=5e3, rtol=1e-8, stiff=stiff, keep_states=False)
        levels = run.loss[0] * np.array([0.9, 0.5, 0.3, 0.1, 0.05])
        found[stiff] = np.array([crossing_time(run.t, run.loss, run.speed, level) for level in levels]), run.cost
    (explicit, dear), (switched, cheap) = found[False], found[True]
    # measured 2e-9; a tolerance of 1e-8 a step, times the few e-folds in which an error on a plateau grows
    np.testing.assert_allclose(switched, explicit, rtol=1e-7)
    assert cheap["gradient_evaluations"] < 0.2 * dear["gradient_evaluations"]
    assert dear["hessian_evaluations"] == 0 < cheap["hessian_evaluations"]


def test_speeds_on_a_plateau_do_not_depend_on_the_method(tmp_path):
    # a stiffly accurate method lands on the slow motion; one that did not would leave speeds of rtol x rate there
    problem = quadratic(1e-3, tmp_path)
    lowest = []
    for stiff in (False, True):
        run = gradient_flow(problem.network, problem.objective, until=5e3, rtol=1e-8, stiff=stiff, keep_states=False)
        middle = (run.loss < 0.5 * run.loss[0]) & (run.loss > 0.2 * run.loss[0])
        lowest.append(run.speed[middle].min())
    assert lowest[1] == pytest.approx(lowest[0], rel=0.02)
