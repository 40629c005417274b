"""The chain, for units that are no quadratic form, against networks simulated whole, and against the theory of quadratic forms where both speak."""

import numpy as np
import pytest

import small
from reference import whole
from saddlescope.theory import predict
from saddlescope.theory._base import Problem
from saddlescope.theory.crowds.any_unit import AnyUnit
from saddlescope.theory.crowds.chain import Chain, UnitsByForm, strengths
from saddlescope.theory.crowds.course import Course
from saddlescope.theory.crowds.landing import rest
from saddlescope.theory.crowds.motion import QuadraticForms


def xtanhx(z):
    return z * np.tanh(z)


def slope_of_xtanhx(z):
    return np.tanh(z) + z / np.cosh(z) ** 2


FORMULAS = {
    "xtanhx": (xtanhx, slope_of_xtanhx),
    "cubic": (lambda z: z**3, lambda z: 3 * z**2),
    "quadratic": (lambda z: z**2, lambda z: 2 * z),
}


def teacher(activation, scale, seed=0, units=6, samples=30):
    """Two units of the same kind, one at 0.6 of the other, and a network that starts small."""
    formula, slope = FORMULAS[activation]
    x = np.random.default_rng(7).normal(size=(samples, 2))
    y = formula(x[:, :1]) + 0.6 * formula(x[:, 1:])
    network, loss = small.neurons(activation, x, y, units=units, scale=scale, seed=seed)
    return network, loss, whole.neurons(formula, slope, x, y, units)


def states(network):
    return np.concatenate([np.ravel(np.asarray(network.u)), np.ravel(np.asarray(network.v))])


@pytest.mark.parametrize(
    ("activation", "scale"), [("xtanhx", 1e-2), ("xtanhx", 1e-3), ("cubic", 0.05), ("cubic", 0.01)]
)
def test_the_chain_ends_its_stages_when_the_whole_network_does(activation, scale):
    network, loss, flow = teacher(activation, scale)
    prediction = predict(network, loss)
    assert prediction.predictor == "chain"
    last = prediction.stages[-1]
    run = whole.run(flow, states(network), last.t_end + 3 * last.width_of_drop)
    heights = [*(stage.height for stage in prediction.stages), prediction.end.height]
    assert len(heights) >= 3
    for k, stage in enumerate(prediction.stages):
        truth = run.crossing((heights[k] + heights[k + 1]) / 2)
        # waits of 1/scale^2 are known to 1e-10 a step, a hundred times the width of the drop at the smallest scale
        bound = 0.02 * run.width(heights[k], heights[k + 1])
        assert abs(stage.t_end - truth) < max(bound, stage.t_end_error)
        assert stage.t_end_error < 0.05 * run.width(heights[k], heights[k + 1]) + 1e-6 * truth
        assert stage.cost.state_size < stage.cost.whole_size


def test_chain_and_forms_say_the_same_of_quadratic_units():
    network, loss, _ = teacher("quadratic", 1e-3)
    problem = Problem(network, loss)
    one, other = UnitsByForm().predict(problem), Chain().predict(problem)
    assert [s.status for s in one.stages] == ["asymptotic"] * len(one.stages)
    assert [s.status for s in other.stages] == ["heuristic"] * len(other.stages)
    for a, b in zip(one.stages, other.stages, strict=True):
        assert (a.recruits, a.kind, a.effective_width) == (b.recruits, b.kind, b.effective_width)
        assert abs(a.height - b.height) < 1e-10
        assert abs(a.t_end - b.t_end) < 1e-3 * a.width_of_drop  # both at the tolerances of their solvers


def test_derivatives_of_any_unit_are_those_of_its_form():
    network, loss, _ = teacher("quadratic", 0.5)
    by_form, by_derivatives = QuadraticForms(network.lenses()[0], loss), AnyUnit(network.lenses()[0], loss)
    residual = by_form.residual(by_form.start)
    assert np.max(np.abs(by_derivatives.residual(by_form.start) - residual)) < 1e-13
    ours, other = (m.jacobian(by_form.start, residual) for m in (by_form, by_derivatives))
    assert np.max(np.abs(ours - other)) < 1e-11 * np.max(np.abs(other))


def test_the_wait_of_cubic_units_is_the_inverse_square_of_the_scale():
    times = [predict(*teacher("cubic", scale)[:2]).stages[0].t_end for scale in (1e-2, 1e-3)]
    # the half-drop is a few widths before the blow-up: 1e-4 of the wait at the larger scale
    assert abs(times[1] / times[0] / 100 - 1) < 1e-3


def test_landing_is_on_a_fixed_point_and_leaves_symmetries_alone():
    network, loss, _ = teacher("quadratic", 1e-2)
    motion = QuadraticForms(network.lenses()[0], loss)
    course = Course(motion).run()
    assert course.rests
    for _, index, point in course.rests:
        velocity = motion.in_residual(point.residual)(point.units)
        assert np.max(np.abs(velocity)) < 1e-9
        # |u|^2 - 2 v^2 of each unit is conserved by the flow; a Newton step of 1e-7 keeps it to its square
        for unit, w in zip(index, point.units, strict=True):
            before = motion.start[unit]
            kept = [x[: motion.weights] @ x[: motion.weights] - 2 * x[motion.weights] ** 2 for x in (w, before)]
            assert abs(kept[0] - kept[1]) < 1e-5


def test_newton_that_starts_too_far_away_says_so_or_ends_at_rest():
    network, loss, _ = teacher("xtanhx", 1e-2)
    motion = AnyUnit(network.lenses()[0], loss)
    draw = np.random.default_rng(0)
    for _ in range(5):
        point = rest(motion, draw.normal(size=(2, motion.size)))
        if point is not None:
            units = point.units
            assert np.max(np.abs(motion.in_residual(point.residual)(units))) < 1e-8
            assert abs(motion.loss(motion.residual(units)) - point.loss) < 1e-12


@pytest.mark.parametrize(("second", "cause"), [(1.0, "initialisation"), (0.5, "both")])
def test_only_equal_strengths_favour_no_direction_of_a_cubic_unit(second, cause):
    # E (u.x)^3 (He3(x1) + s He3(x2)) = 6 (u1^3 + s u2^3), by Gauss-Hermite quadrature, which is exact for such powers
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    x = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    weight = np.outer(weights, weights).ravel() / (2 * np.pi)
    y = (x**3 - 3 * x) @ np.array([[1.0], [second]])
    network, loss = small.neurons("cubic", x, y, units=5, scale=1e-2, seed=1, weight=weight)
    found = strengths(AnyUnit(network.lenses()[0], loss))
    np.testing.assert_allclose(found, [6.0, 6.0 * second], rtol=1e-6)
    assert Chain().cause(AnyUnit(network.lenses()[0], loss)) == cause
