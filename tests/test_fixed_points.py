"""Where the flow can rest: minima of narrow networks, Hessians, and the claim that a network is at rest."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import small
from reference.networks import FullyConnected
from reference.networks import Objective as Plain
from saddlescope import objective as objectives
from saddlescope.fixed_points import certify, extreme_eigenvalues, hessian, insertion, nearest_fixed_point, polish
from saddlescope.flow import weights_of, with_weights
from saddlescope.networks import Deep, Foreign, Hidden
from saddlescope.results import RESULTS, ComputationError
from saddlescope.tasks import Samples
from saddlescope.units import ReLU

RNG = np.random.default_rng(2)
X = RNG.normal(size=(30, 3)) @ (np.eye(3) + 0.5 * RNG.normal(size=(3, 3)))
Y = X @ RNG.normal(size=(3, 3)) + 0.4 * RNG.normal(size=(30, 3))


# bounded targets for bounded units: linear ones would drive their weights to infinity
WAVES = np.tanh(X @ RNG.normal(size=(3, 2))) @ RNG.normal(size=(2, 3)) + 0.1 * RNG.normal(size=(30, 3))


def reduced_rank_heights():
    """L_k = 1/2 [tr Syy - sum of the k largest eigenvalues of Syx Sxx^-1 Sxy] (THEORY 1.5)."""
    xx, yx, yy = X.T @ X / 30, Y.T @ X / 30, Y.T @ Y / 30
    eigenvalues = np.sort(np.linalg.eigvalsh(yx @ np.linalg.solve(xx, yx.T)))[::-1]
    return 0.5 * (np.trace(yy) - np.concatenate([[0.0], np.cumsum(eigenvalues)]))


def gradient_by_hand(activation, network, x, y):
    weights = {k: np.asarray(a) for k, a in small.arrays(network).items()}
    of = Plain.build(FullyConnected(activation), x, y, None, weights)
    return of.gradient(of.pack(weights))


# -------------------------------------------------------------------------------------------------------- polishing


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_minima_of_narrow_linear_networks_are_those_of_reduced_rank_regression(rank, compress):
    for seed in range(3):
        network, loss = small.neurons("linear", X, Y, units=rank, scale=0.5, seed=seed, compress=compress)
        found = polish(network, loss)
        assert found.result is RESULTS.successful
        assert found.loss == pytest.approx(reduced_rank_heights()[rank], rel=1e-12)
        assert np.linalg.norm(gradient_by_hand("linear", found.network, X, Y)) < 1e-11


def test_one_quadratic_unit_reaches_the_height_of_the_theory():
    # white Gaussian x, y = x^T diag(b) x: alpha = b1 + b2/3, L_1 = 4/3 b2^2 (THEORY 2.3); the moments by Gauss-Hermite, exactly
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    x = np.array([[a, b] for a in nodes for b in nodes])
    weight = np.outer(weights, weights).ravel()
    strengths = np.array([2.0, 0.9])
    network, loss = small.neurons(
        "quadratic", x, x**2 @ strengths[:, None], {"u": [[0.8, 0.3]], "v": [[0.5]]}, weight=weight
    )
    found = polish(network, loss)
    assert found.loss == pytest.approx(4 / 3 * 0.9**2, rel=1e-12)
    u, v = (a[0] for a in small.arrays(found.network).values())
    assert v[0] * np.sum(u**2) == pytest.approx(2.0 + 0.3, rel=1e-9)
    assert abs(u[1]) < 1e-7 * abs(u[0])


@pytest.mark.parametrize("activation", ["linear", "quadratic", "tanh", "relu"])
def test_what_is_called_a_fixed_point_does_not_move(activation):
    successes, y = 0, WAVES if activation == "tanh" else Y
    for seed in range(8):
        network, loss = small.neurons(activation, X, y, units=2, scale=0.7, seed=seed)
        found = polish(network, loss, throw=False)
        with jax.enable_x64(True):
            residual = float(jnp.linalg.norm(loss.residual(jax.tree.map(jnp.asarray, found.network))))
            before = float(loss.loss(jax.tree.map(jnp.asarray, network)))
        assert found.loss <= before
        if found.result is RESULTS.successful:
            successes += 1
            size = residual * max(1.0, np.abs(weights_of(found.network)).max()) * np.linalg.norm(X) / 30**0.5
            assert np.linalg.norm(gradient_by_hand(activation, found.network, X, y)) < 1e-8 * size
    assert successes >= {"relu": 3, "tanh": 3}.get(
        activation, 6
    )  # descent of the others gets there from nearly everywhere


def test_a_search_cut_short_is_a_near_miss_and_says_so(monkeypatch):
    module = sys.modules["saddlescope.fixed_points.polish"]
    network, loss = small.neurons("linear", X, Y, units=2, scale=0.5)
    there = polish(network, loss)
    # a millionth of the weights beside the minimum, with no steps allowed
    beside = with_weights(there.network, weights_of(there.network) * (1 + 1e-6 * RNG.normal(size=12)))
    monkeypatch.setattr(module, "MARQUARDT_ITERATIONS", 0)
    monkeypatch.setattr(module, "NEWTON_ITERATIONS", 0)
    near = polish(beside, loss, throw=False)
    assert near.result is RESULTS.not_stationary
    assert near.loss == pytest.approx(there.loss, rel=1e-9)  # the loss alone would not have told
    with pytest.raises(ComputationError, match="still moves") as error:
        polish(beside, loss)
    assert error.value.result is RESULTS.not_stationary
    assert polish(there.network, loss).result is RESULTS.successful


def test_a_perfect_fit_is_a_fixed_point():
    network, loss = small.neurons("linear", X, X @ RNG.normal(size=(3, 2)), units=3, scale=0.5, compress=False)
    found = polish(network, loss)
    assert found.loss < 1e-26
    assert found.result is RESULTS.successful


def test_newton_on_the_gradient_finds_a_saddle_that_descent_leaves():
    # second mode alone learned: a saddle of the width-1 landscape, where s_1^2/lam_1 > s_2^2/lam_2
    x, y = small.modes((1.0, 0.6), (1.0, 1.0))
    start = {"u": [[0.01, 0.75]], "v": [[0.01, 0.8]]}
    network, loss = small.neurons("linear", x, y, start)
    assert nearest_fixed_point(network, loss).loss == pytest.approx(0.5, rel=1e-10)
    assert polish(network, loss).loss == pytest.approx(0.18, rel=1e-10)


# --------------------------------------------------------------------------------------------------------- Hessians


@pytest.mark.parametrize("activation", ["linear", "quadratic", "tanh"])
def test_the_hessian_is_the_difference_of_gradients(activation):
    network, loss = small.neurons(activation, X, Y, units=3, scale=0.5)
    y, matrix = weights_of(network), hessian(network, loss)
    np.testing.assert_array_equal(matrix, matrix.T)
    size = 1e-5
    for k in (0, 4, 11, 17):
        ahead, behind = (with_weights(network, y + sign * size * np.eye(18)[k]) for sign in (1, -1))
        column = (gradient_by_hand(activation, ahead, X, Y) - gradient_by_hand(activation, behind, X, Y)) / (2 * size)
        np.testing.assert_allclose(matrix[:, k], column, atol=1e-7 * np.abs(matrix).max())


def test_lanczos_finds_the_ends_of_the_dense_spectrum(monkeypatch):
    for activation, units, scale in (("linear", 30, 0.3), ("quadratic", 25, 0.4), ("tanh", 20, 1e-3)):
        network, loss = small.neurons(activation, X, Y, units=units, scale=scale)
        values = np.linalg.eigvalsh(hessian(network, loss))
        dense = extreme_eigenvalues(network, loss)
        assert dense[:2] == (values[0], values[-1])
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["saddlescope.fixed_points.hessian"], "DENSE", 0)
            lowest, largest, products = extreme_eigenvalues(network, loss)
            assert lowest == pytest.approx(values[0], abs=1e-8 * values[-1])
            assert largest == pytest.approx(values[-1], rel=1e-8)
            assert products <= 200
            # cut short it is inside the spectrum, and visibly so: an upper bound of the lowest
            patch.setattr(sys.modules["saddlescope.fixed_points.hessian"], "LANCZOS_STEPS", 4)
            short = extreme_eigenvalues(network, loss)
            assert values[0] - 1e-12 <= short[0] <= short[1] <= values[-1] + 1e-12
            assert short[2] == 4


@pytest.mark.parametrize(
    ("width", "learned"), [(3, ()), (3, (0,)), (4, (1,)), (3, (0, 1)), (3, (0, 1, 2)), (5, (0, 2))]
)
def test_the_index_of_a_linear_saddle_is_the_formulas(width, learned):
    # (H - r) #{j not learned} + #{(k learned, j not): s_j^2/lam_j > s_k^2/lam_k} (THEORY 6.3), in any gauge
    s, lam = np.array([1.5, 1.0, 0.6]), np.array([2.0, 0.5, 1.0])
    x, y = small.modes(s, lam, RNG)
    right, left = x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)
    gauge = np.eye(width) + 0.3 * RNG.normal(size=(width, width))
    u, v = np.zeros((width, 3)), np.zeros((width, 3))
    for row, k in enumerate(learned):
        u[row], v[row] = right[k] * (s[k] / lam[k]), left[k]
    network, loss = small.neurons("linear", x, y, {"u": gauge @ u, "v": np.linalg.inv(gauge).T @ v})
    values = np.linalg.eigvalsh(hessian(network, loss))
    missing = [j for j in range(3) if j not in learned]
    ratio = s**2 / lam
    expected = (width - len(learned)) * len(missing) + sum(ratio[j] > ratio[k] for k in learned for j in missing)
    assert np.sum(values < -1e-6 * values[-1]) == expected
    assert certify(network, loss).rests == (expected == 0)


# -------------------------------------------------------------------------------------------------------- insertion


def error_of(network, x, y):
    weights = small.arrays(network)
    return y - FullyConnected(network.name.split(",")[0]).function(weights, x)


@pytest.mark.parametrize("compress", [True, False])
def test_a_linear_unit_inserted_sees_the_largest_singular_value(compress):
    network, loss = small.neurons("linear", X, Y, units=2, scale=0.4, compress=compress)
    residual = error_of(network, X, Y).T @ X / 30
    _left, values, right = np.linalg.svd(residual)
    size = np.sqrt(np.mean(np.sum(Y**2, axis=1)) * np.mean((X @ right[0]) ** 2))
    found, _, u, _ = insertion(network, loss)
    np.testing.assert_allclose(np.abs(u @ right[0]), 1.0, atol=1e-6)
    assert found == pytest.approx(values[0] / size, rel=1e-6)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_quadratic_unit_inserted_sees_the_spectral_norm(sign, compress):
    # E[(y - f) x x^T] with eigenvalues of both signs, on white x with a fourth moment that is the same in all directions
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    x = np.stack(np.meshgrid(nodes, nodes, nodes), axis=-1).reshape(-1, 3)
    weight = (weights[:, None, None] * weights[:, None] * weights).ravel()
    weight /= weight.sum()
    matrix = sign * np.array([[2.0, 0.5, 0.0], [0.5, -1.0, 0.3], [0.0, 0.3, -0.4]])
    y = np.einsum("na,ab,nb->n", x, matrix, x)[:, None]
    network, loss = small.neurons("quadratic", x, y, units=2, scale=0.2, weight=weight, compress=compress)
    correlation = np.einsum("n,n,na,nb->ab", weight, error_of(network, x, y)[:, 0], x, x)
    found, _, u, _ = insertion(network, loss)
    norm = np.abs(np.linalg.eigvalsh(correlation)).max()
    size = np.sqrt(weight @ y[:, 0] ** 2 * 3)  # E (u.x)^4 = 3
    assert found == pytest.approx(norm / size, rel=1e-6)
    assert abs(u @ correlation @ u) == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("activation", ["linear", "quadratic"])
def test_nothing_is_seen_at_a_global_optimum(activation):
    y = X @ RNG.normal(size=(3, 2)) if activation == "linear" else X**2 @ np.array([[1.0], [2.0], [0.3]])
    network, loss = small.neurons(activation, X, y, units=4, scale=0.5)
    assert insertion(polish(network, loss).network, loss)[0] < 1e-9
    assert insertion(network, loss)[0] > 1e-2


# ------------------------------------------------------------------------------------------------------ certificates

MODES = small.modes((1.0, 0.5), (1.0, 1.0))
AXES = np.diag([1.5, 1.0]), np.sqrt(2) * np.array([[1.0], [-1.0]])
PATCHES = (
    np.diag(2.0 * np.sqrt([2.0, 0.5, 2.0, 0.5])),
    np.array([[2.1908902300206643], [0.0], [0.0], [1.7888543819998317]]),
)
SQUARES = X, X**2 @ np.array([[3.0], [1.0], [0.5]])
CUBIC = np.random.default_rng(4).normal(size=(60, 2, 2))
CUBIC = CUBIC, np.einsum("na,ab,nb->n", CUBIC[:, 0], np.diag([1.0, 0.6]), CUBIC[:, 1])[:, None]

ARCHITECTURES = {
    "linear": ("fully_connected", MODES, {"activation": "linear"}),
    "relu": ("fully_connected", AXES, {"activation": "relu"}),
    "quadratic": ("fully_connected", SQUARES, {"activation": "quadratic"}),
    "tanh": ("fully_connected", (X, np.tanh(X @ [[1.0], [0.5], [-0.3]])), {"activation": "tanh"}),
    "linear convolution": ("convolutional", PATCHES, {"activation": "linear", "kernel_size": 2, "stride": 2}),
    "relu convolution": ("convolutional", PATCHES, {"activation": "relu", "kernel_size": 2, "stride": 2}),
    "attention": ("attention", CUBIC, {"rank": 1, "input": "cubic"}),
}
# a narrow network that descent takes to a saddle of the wide one: its width, and a start on the right side for kinks
NARROW = {"linear": 1, "relu": 1, "quadratic": 1, "linear convolution": 1, "relu convolution": 1, "attention": 1}


def made(name, units, **more):
    architecture, (x, y), options = ARCHITECTURES[name]
    return small.problem(architecture, x, y, units=units, **options, **more)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("scale", [1e-2, 1e-8])
def test_no_network_rests_near_its_origin(name, scale):
    network, loss = made(name, 4, scale=scale)
    assert not certify(network, loss).rests


def embedded(name, scale, units=4):
    """The minimum of one unit in a wide network whose other units are small, and how far its loss is above zero."""
    network, loss = made(name, 1, scale=0.5, seed=3)
    arrays = small.arrays(network)
    if "relu" in name:
        arrays = {"u": np.array([[0.7, -0.1]]), "v": np.abs(arrays["v"])}
        network = network.with_arrays(arrays)
    narrow = small.arrays(polish(network, loss).network)
    rest = small.arrays(made(name, units - 1, scale=scale, seed=1)[0])
    wide, loss = made(name, units)
    return wide.with_arrays({k: np.concatenate([narrow[k], rest[k]]) for k in narrow}), loss


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("scale", [0.0, 1e-8])
def test_no_network_rests_at_the_minimum_of_a_narrower_one(name, scale):
    # with units that are exactly silent too: a push would show what the flow itself cannot
    network, loss = embedded(name, scale)
    with jax.enable_x64(True):
        gradient = np.linalg.norm(weights_of(loss.loss_and_gradient(jax.tree.map(jnp.asarray, network))[1]))
    assert gradient < 1e-6
    assert not certify(network, loss).rests


@pytest.mark.parametrize("name", ["linear", "quadratic", "linear convolution", "attention"])
def test_networks_rest_at_their_minima(name):
    network, loss = made(name, 5, scale=0.4, seed=2)
    found = polish(network, loss)
    certificate = certify(found.network, loss)
    assert certificate.rests, certificate
    # noise on the targets leaves a residual: the minimum is then told by curvature, not by a zero
    architecture, (x, y), options = ARCHITECTURES[name]
    x, y = np.tile(x, (3,) + (1,) * (x.ndim - 1)), np.tile(y, (3, 1))
    noisy = y + 0.05 * RNG.normal(size=y.shape)
    network, loss = small.problem(architecture, x, noisy, units=5, scale=0.4, seed=2, **options)
    found = polish(network, loss)
    certificate = certify(found.network, loss)
    assert found.loss > 1e-5
    assert certificate.rests, certificate


def test_tanh_networks_rest_at_a_minimum_and_not_beside_it():
    network, loss = small.neurons("tanh", X, WAVES, units=2, scale=0.7, seed=1)
    found = polish(network, loss)
    assert certify(found.network, loss).rests
    lowest = np.linalg.eigvalsh(hessian(network, loss))[0]
    assert lowest < -1e-3
    assert not certify(network, loss).rests


def test_relu_networks_rest_where_every_sample_is_fitted_and_where_all_units_are_dead():
    both = {"u": [[1.0, -0.2], [-0.1, 1.2]], "v": [[np.sqrt(2) / 1.5], [-np.sqrt(2) / 1.2]]}
    network, loss = small.neurons("relu", *AXES, both)
    assert certify(network, loss).rests
    dead = {"u": -np.ones((2, 2)), "v": np.ones((2, 1))}
    assert certify(network.with_arrays({k: np.asarray(a) for k, a in dead.items()}), loss).rests
    one_alive = {
        "u": [[1.0, -0.2], [-0.1, -1.2]],
        "v": [[np.sqrt(2) / 1.5], [1.0]],
    }  # nobody left for the second sample
    assert certify(network.with_arrays({k: np.array(a) for k, a in one_alive.items()}), loss).rests
    waiting = {"u": [[1.0, -0.2], [-1e-6, 1e-6]], "v": [[np.sqrt(2) / 1.5], [-1e-6]]}  # one unit that can learn it
    assert not certify(network.with_arrays({k: np.array(a) for k, a in waiting.items()}), loss).rests


def test_deep_networks_do_not_rest_on_their_plateaus():
    x, y = small.modes((2.0, 1.0), (1.0, 1.0))
    first = {f"W{k}": np.diag([2.0 ** (1 / 3), 0.0]) for k in (1, 2, 3)}
    network, loss = small.problem("fully_connected", x, y, first, activation="linear", units=[2, 2])
    pushed = network.with_arrays({k: a + np.diag([0.0, 1e-3]) for k, a in first.items()})
    assert not certify(pushed, loss).rests
    done = network.with_arrays({k: np.diag([2.0, 1.0]) ** (1 / 3) for k in first})
    assert certify(done, loss).rests


# ------------------------------------------------------------------------------------------------- rest in deep networks


def deep_relu_at_its_optimum():
    # positive inputs keep the units in use on, whatever the sample; a third unit of either layer is dead
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(30, 2)))
    y = x @ [[1.0], [0.5]] + 0.3 * rng.normal(size=(30, 1))
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    first = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    second = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
    network = Deep(ReLU(), (first, second, np.array([[best[0, 0], best[1, 0], 0.0]])))
    return network, objectives.build(Samples(x, y), network)


def test_dead_units_of_deep_networks_are_no_way_out():
    network, loss = deep_relu_at_its_optimum()
    assert certify(network, loss).rests
    # units that are silent, not dead, are one: they could turn to the residual
    w1, w2, w3 = (np.array(w) for w in network.weights)
    w1[2], w2[2] = 0.0, 0.0
    assert not certify(Deep(ReLU(), (w1, w2, w3)), loss).rests


def test_a_deep_model_whose_width_is_fixed_is_certified_without_paths():
    network, loss = deep_relu_at_its_optimum()
    weights = {f"w{i}": np.asarray(w) for i, w in enumerate(network.weights)}

    def apply(w, x):
        return w["w2"] @ jnp.maximum(w["w1"] @ jnp.maximum(w["w0"] @ x, 0), 0)

    layers = (
        Hidden(ReLU(), "w0", "w1", frozen_width="its norm has as many weights."),
        Hidden(ReLU(), "w1", "w2", inputs=lambda w, x: jnp.maximum(w["w0"] @ x, 0)),
    )
    assert certify(Foreign(weights, apply, layers), loss).rests
