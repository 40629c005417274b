"""Linear networks with a skip connection: predicted from moments and initial weights, held against the simulated flow."""

import itertools

import numpy as np
import pytest

import small
from saddlescope.complexity import effective_width
from saddlescope.fixed_points.hessian import hessian
from saddlescope.networks import Skip
from saddlescope.theory import Problem, predict
from saddlescope.theory.deep.krylov import bases, projected
from saddlescope.theory.deep.linear import DeepLinear
from saddlescope.theory.deep.product import LinearData, Product
from saddlescope.units import Linear, ReLU

TWO, THREE = ((1.5, 0.7), (1.0, 1.3)), ((1.5, 0.8, 0.4), (1.0, 1.3, 0.8))


def skip(seed, jumps, widths, *, scale, modes=TWO, commute=True):
    rng = np.random.default_rng(seed)
    data = small.teacher_of_modes(rng, *modes, commute)
    dims = [len(modes[0]), *widths, len(modes[0])]
    return Skip(Linear(), tuple(scale * rng.standard_normal((b, a)) for a, b in itertools.pairwise(dims)), jumps), data


# largest errors over 30 random problems (docs/theory_deep.md): 2e-4 with two small factors at scales up to .02 and 4e-9 below 1e-3; 2e-2 with three
CASES = {
    "three layers, two small factors": (lambda: skip(0, 1, (24, 24), scale=1e-3, modes=THREE), 1e-7),
    "three layers, at a large scale": (lambda: skip(1, 1, (24, 24), scale=2e-2, modes=THREE), 5e-3),
    "four layers, two small factors, a narrow layer gone around": (lambda: skip(2, 2, (20, 12, 20), scale=1e-4), 1e-7),
    "four layers, three small factors": (lambda: skip(3, 1, (20, 20, 20), scale=1e-2), 2e-2),
    "inputs that do not commute": (lambda: skip(4, 2, (30, 20, 30), scale=3e-3, commute=False), 1e-5),
    "the widths of Figure 6": (lambda: skip(5, 1, (10, 10, 10), scale=1e-2), 2e-2),
}


@pytest.mark.parametrize("name", CASES)
def test_number_heights_ends_and_widths_are_those_of_the_flow(name):
    make, tolerance = CASES[name]
    network, loss = make()
    prediction = predict(network, loss)
    assert prediction.predictor == DeepLinear.name
    assert prediction.stages
    times, plateaus, run = small.simulated(network, loss, prediction)
    assert len(plateaus) == len(prediction.stages)
    for stage, t, plateau in zip(prediction.stages, times, plateaus, strict=True):
        assert abs(stage.t_end - t) < tolerance * t
        assert abs(stage.t_end - t) <= stage.t_end_error
        assert abs(stage.height - plateau.loss) < 6e-2 * prediction.stages[0].height
        assert stage.cost.state_size < stage.cost.whole_size
        assert stage.status == ("asymptotic" if network.homogeneity == 2 else "heuristic")
    assert prediction.end.height == pytest.approx(run.loss[-1], abs=1e-6 * run.loss[0])
    ended = run.network(-1)
    assert tuple(prediction.end.effective_width) == effective_width(ended, loss).widths


@pytest.mark.parametrize(("jumps", "widths"), [(1, (40, 40)), (2, (40, 25, 40))])
def test_with_two_small_factors_what_the_first_spans_leave_out_vanishes_with_the_scale(jumps, widths):
    # around the inner layers f = W_L W_1 is exact in the spans; through them it is smaller by scale^jumps at least, twice for what comes back
    errors = []
    for scale in (1e-2, 1e-3):
        network, loss = skip(6, jumps, widths, scale=scale)
        weights = [np.asarray(w) for w in network.weights]
        ends = []
        for rounds in (0, 1):
            narrow = projected(weights, bases(weights, rounds, jumps))
            ends.append(_half_drop(narrow, LinearData.of(loss), jumps))
        errors.append(abs(ends[0] - ends[1]) / ends[1])
    # measured for rounds 0 against the whole: 6e-3 and 1e-4 for three layers, 7e-4 and 6e-6 or less for four
    assert 0 < errors[1] < 0.1 * errors[0] < 2e-3


def _half_drop(narrow, data, jumps):
    from scipy.integrate import solve_ivp

    product = Product(data, tuple(w.shape for w in narrow), jumps)
    level = data.total - 0.5 * data.modes()[0][0]

    def fallen(t, y):
        return product.loss(y) - level

    fallen.terminal, fallen.direction = True, -1.0
    start = np.concatenate([w.ravel() for w in narrow])
    run = solve_ivp(lambda t, y: product.velocity(y), (0, 1e3), start, "DOP853", rtol=1e-11, atol=1e-15, events=fallen)
    return run.t_events[0][0]


def test_the_two_layers_that_the_connection_joins_have_one_basis(rng):
    weights = [rng.standard_normal((b, a)) for a, b in itertools.pairwise([2, 30, 9, 30, 12, 3])]
    spans = bases(weights, 1, 2)
    assert spans[0] is spans[2]
    for q in spans:
        assert np.allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-12)
    # in the first spans the reduced function is the network's where nothing goes through the inner layers
    weights[1] *= 0.0
    narrow = projected(weights, bases(weights, 0, 2))
    data = LinearData(np.eye(2), np.zeros((3, 2)), 0.0)
    found = Product(data, tuple(w.shape for w in narrow), 2).product(np.concatenate([w.ravel() for w in narrow]))
    assert np.allclose(found, weights[4] @ weights[3] @ weights[0], rtol=1e-10)
    # and not with bases of their own, which turn the identity into something else
    apart = bases(weights, 0)
    assert not np.allclose(apart[0].T @ apart[2][:, : apart[0].shape[1]], np.eye(apart[0].shape[1]), atol=0.1)


@pytest.mark.parametrize(("jumps", "widths"), [(1, (4, 4)), (1, (4, 4, 3)), (2, (4, 3, 4)), (2, (4, 3, 4, 3))])
def test_velocity_and_jacobian_are_those_of_the_networks_own_loss(jumps, widths, rng):
    network, loss = skip(7, jumps, widths, scale=0.5)
    product = Product(LinearData.of(loss), tuple(w.shape for w in network.weights), jumps)
    state, step = np.concatenate([w.ravel() for w in network.weights]), 1e-6
    x, y, weight = (np.asarray(part) for part in (loss.x, loss.y, loss.weight))
    residual = y - np.array([np.asarray(network(row)) for row in x])
    assert product.loss(state) == pytest.approx(0.5 * np.sum(weight[:, None] * residual**2), rel=1e-6)
    direction = rng.standard_normal(state.size)
    slope = (product.loss(state + step * direction) - product.loss(state - step * direction)) / (2 * step)
    assert slope == pytest.approx(-product.velocity(state) @ direction, rel=1e-7)
    bend = (product.velocity(state + step * direction) - product.velocity(state - step * direction)) / (2 * step)
    assert np.allclose(product.jacobian(state) @ direction, bend, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("jumps", "power"), [(1, 1), (2, 0)])
def test_the_first_wait_has_the_power_of_the_shortest_product(jumps, power):
    # four layers: three small factors with a skip over one layer, two over two; corrections are of relative order scale, or a constant beside the logarithm
    ends = [predict(*skip(8, jumps, (20, 20, 20), scale=scale)).stages[0].t_end for scale in (1e-3, 1e-4)]
    if power:
        assert ends[1] / ends[0] == pytest.approx(10.0, rel=2e-2)
    else:
        assert ends[1] - ends[0] == pytest.approx(np.log(10.0) / TWO[0][0], rel=1e-2)


def test_escape_rates_with_two_small_factors_are_those_of_the_hessian(rng):
    network, loss = skip(9, 2, (12, 6, 12), scale=1e-4)
    stages = predict(network, loss).stages
    data = LinearData.of(loss)
    left, s, right = np.linalg.svd(data.yx)
    strength = s[0] / (right[0] @ data.xx @ right[0])
    unit = np.linalg.qr(rng.standard_normal((12, 1)))[0]
    for stage, a in zip(stages, (0.0, strength), strict=True):
        # one mode learned around the inner layers, which are at rest
        first, last = np.sqrt(a) * unit @ right[:1], np.sqrt(a) * left[:, :1] @ unit.T
        saddle = network.with_arrays({"W1": first, "W2": np.zeros((6, 12)), "W3": np.zeros((12, 6)), "W4": last})
        assert stage.escape_rate == pytest.approx(-np.linalg.eigvalsh(hessian(saddle, loss))[0], rel=1e-6)


def test_layers_that_the_connection_goes_around_do_not_limit_the_rank():
    network, loss = skip(10, 2, (20, 1, 20), scale=1e-3)
    prediction = predict(network, loss)
    assert len(prediction.stages) == 2
    assert prediction.end.height == pytest.approx(0.0, abs=1e-12)
    limited, _ = skip(10, 1, (20, 20, 1), scale=1e-2)
    assert predict(limited, loss).end.height == pytest.approx(0.5 * 0.7**2 / 1.3)


def test_narrow_layers_get_heights_and_a_reason_but_no_times():
    prediction = predict(*skip(11, 1, (3, 3), scale=1e-2))
    assert {stage.status for stage in prediction.stages} == {"outside assumptions"}
    assert all(stage.t_end is None and stage.height is not None for stage in prediction.stages)
    assert "no reduction" in prediction.outside[0]


def test_refusals_say_which_assumption_fails():
    network, loss = skip(12, 1, (8, 8), scale=1e-2)
    assert DeepLinear().refuses(Problem(network, loss)) is None
    curved = Skip(ReLU(), network.weights, 1)
    assert "linear units" in DeepLinear().refuses(Problem(curved, loss))
    untied = Skip(Linear(), network.weights, 1, 2 * network.weights[2])
    assert "read by the same weights" in DeepLinear().refuses(Problem(untied, loss))
