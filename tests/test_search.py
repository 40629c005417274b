"""All fixed points of a narrow network: enumerated where units are linear, searched for and deflated elsewhere."""

import itertools

import jax
import numpy as np
import pytest

import small
from reference.networks import FullyConnected
from reference.networks import Objective as Plain
from saddlescope.fixed_points import (
    deflate,
    fixed_points_of,
    hessian,
    linear_saddles,
    nearest_fixed_point,
    polish,
)
from saddlescope.fixed_points.deflation import KNOWN, Surface, nearest_distance, newton_step, turned
from saddlescope.flow import weights_of, with_weights

KINDS = ["white", "commuting", "non-commuting"]


def linear_data(kind, seed, inputs=4, outputs=3, samples=24):
    """Samples whose second moment of x is 1, diagonal in the modes, or neither; targets with noise."""
    rng = np.random.default_rng(seed)
    x = np.linalg.qr(rng.normal(size=(samples, inputs)))[0] * np.sqrt(samples)
    if kind == "commuting":
        n = min(inputs, outputs)
        turn, left = (
            np.linalg.qr(rng.normal(size=(inputs, inputs)))[0],
            np.linalg.qr(rng.normal(size=(outputs,) * 2))[0],
        )
        lam = rng.uniform(0.3, 2.0, inputs)
        x = x * np.sqrt(lam) @ turn.T
        clean = x @ turn[:, :n] * (rng.uniform(0.3, 2.0, n) / lam[:n]) @ left[:, :n].T
        noise = rng.normal(size=(samples, outputs))
        return x, clean + 0.3 * (noise - x @ np.linalg.lstsq(x, noise, rcond=None)[0])
    if kind == "non-commuting":
        x = x @ (np.eye(inputs) + 0.4 * rng.normal(size=(inputs, inputs)))
    return x, x @ rng.normal(size=(inputs, outputs)) + 0.3 * rng.normal(size=(samples, outputs))


def gradient_by_hand(activation, network, x, y, weight=None):
    weights = small.arrays(network)
    of = Plain.build(FullyConnected(activation), x, y, weight, weights)
    return of.gradient(of.pack(weights))


def loss_of(network, objective):
    with jax.enable_x64(True):
        return float(objective.loss(network))


def in_any_gauge(narrow, wide, rng):
    """The narrow network of a linear layer in one as wide as `wide`, turned by a random invertible matrix."""
    arrays = {name: np.zeros(a.shape) for name, a in small.arrays(wide).items()}
    if narrow is not None:
        for name, a in small.arrays(narrow).items():
            arrays[name][: len(a)] = a
    gauge = np.eye(len(arrays["u"])) + 0.2 * rng.normal(size=(len(arrays["u"]),) * 2)
    return wide.with_arrays({"u": gauge @ arrays["u"], "v": np.linalg.inv(gauge).T @ arrays["v"]})


def all_subsets(modes, most):
    return [s for size in range(most + 1) for s in itertools.combinations(range(modes), size)]


# ------------------------------------------------------------------------------------------------ Lemma 6: enumeration


@pytest.mark.parametrize("kind", KINDS)
def test_every_subset_of_modes_is_a_fixed_point_with_the_loss_of_the_formula(kind):
    for seed in range(5):
        x, y = linear_data(kind, seed)
        network, objective = small.neurons("linear", x, y, units=3)
        saddles = linear_saddles(network, objective)
        xx, yx, yy = x.T @ x / len(x), y.T @ x / len(x), y.T @ y / len(x)
        eigenvalues = np.sort(np.linalg.eigvalsh(yx @ np.linalg.solve(xx, yx.T)))[::-1]
        np.testing.assert_allclose(saddles.strengths**2, eigenvalues, rtol=1e-11)
        for subset in all_subsets(3, 3)[1:]:
            there = saddles.weights(subset)
            arrays = small.arrays(there)
            assert len(arrays["u"]) == len(subset)
            # rounding of sums of products of the size of the data: measured at most 3e-15 of it
            assert np.linalg.norm(gradient_by_hand("linear", there, x, y)) < 1e-13 * max(1.0, np.trace(yy))
            assert loss_of(there, objective) == pytest.approx(saddles.loss(subset), rel=1e-12)
            expected = 0.5 * (np.trace(yy) - np.sum(eigenvalues[list(subset)]))
            assert saddles.loss(subset) == pytest.approx(expected, rel=1e-11)
            np.testing.assert_allclose(arrays["u"] @ arrays["u"].T, arrays["v"] @ arrays["v"].T, atol=1e-12)
            # a thousandth beside it the same gradient is seen
            beside = there.with_arrays({"u": 1.001 * arrays["u"], "v": arrays["v"]})
            assert np.linalg.norm(gradient_by_hand("linear", beside, x, y)) > 1e-5
        assert saddles.weights(()) is None
        assert saddles.loss(()) == pytest.approx(0.5 * np.trace(yy), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_index_and_nullity_are_those_of_the_hessian_in_any_gauge(kind, rng):
    # Sylvester: white coordinates are a linear change of u, so the formula needs no commuting inputs. 3 x 17 x 8 Hessians
    later = 0
    for seed in range(17):
        x, y = linear_data(kind, seed)
        network, objective = small.neurons("linear", x, y, units=4)
        saddles = linear_saddles(network, objective)
        for subset in all_subsets(3, 3):
            values = np.linalg.eigvalsh(hessian(in_any_gauge(saddles.weights(subset), network, rng), objective))
            size = 1e-9 * np.max(np.abs(values))
            assert np.sum(values < -size) == saddles.index(subset)
            assert np.sum(np.abs(values) <= size) == saddles.nullity(subset)
            plain = (4 - len(subset)) * (3 - len(subset))
            later += saddles.index(subset) > plain  # the second term: a stronger mode is missing
            assert saddles.index(subset, len(subset)) == saddles.index(subset) - plain
    assert later > 17


@pytest.mark.parametrize("kind", KINDS)
def test_searches_find_all_that_is_enumerated_and_nothing_else(kind):
    for width, seed in itertools.product((1, 2), range(2)):
        x, y = linear_data(kind, seed, inputs=3)
        network, objective = small.neurons("linear", x, y, units=width, scale=0.5)
        saddles = linear_saddles(network, objective)
        found = fixed_points_of(network, objective, exact=False, starts=100)
        assert found.method == "search"
        assert found.starts + found.searches >= 130
        assert found.stalled == 0
        subsets = []
        for point in found.points:
            near = saddles.nearest(point.network)
            assert near.distance < 1e-9
            assert near.stationary or not near.subset  # at the origin the gradient is relative to nothing
            assert point.widths == (len(near.subset),)
            assert point.loss == pytest.approx(saddles.loss(near.subset), rel=1e-9)
            subsets.append(near.subset)
        assert len(set(subsets)) == len(subsets)
        full = {s for s in subsets if len(s) == width}
        assert full == set(saddles.subsets(width))
        assert [p.loss for p in found.competitors] == sorted(p.loss for p in found.competitors)
        for rank, subset in enumerate(saddles.subsets(width)):
            match = found.match(saddles.weights(subset))
            assert (match.rank, match.of, match.best) == (rank + 1, 3, rank == 0)
            assert match.share == (1.0 if rank == 0 else 0.0)  # a linear network has no other minimum
            exact = fixed_points_of(network, objective).match(saddles.weights(subset))
            assert (exact.rank, exact.of, exact.best, exact.method) == (rank + 1, 3, rank == 0, "exact")
            assert exact.gap == pytest.approx(match.gap, rel=1e-9, abs=1e-12)


def test_newton_from_random_starts_ends_nowhere_else():
    x, y = linear_data("non-commuting", 3, inputs=3)
    ended = 0
    for seed in range(40):
        network, objective = small.neurons("linear", x, y, units=2, scale=0.7, seed=seed)
        saddles = linear_saddles(network, objective)
        end = nearest_fixed_point(network, objective, throw=False)
        near = saddles.nearest(end.network)
        if end.gradient <= 1e-12:
            ended += 1
            assert near.distance < 1e-8
        assert saddles.nearest(network).distance > 1e-2  # where it came from was none
    assert ended > 0


def test_a_state_beside_a_saddle_is_reported_at_its_distance(rng):
    x, y = linear_data("non-commuting", 1)
    network, objective = small.neurons("linear", x, y, units=4)
    saddles = linear_saddles(network, objective)
    target = np.sqrt(np.mean(np.sum(y**2, axis=1)))
    for subset in all_subsets(3, 3):
        there = in_any_gauge(saddles.weights(subset), network, rng)
        exact = saddles.nearest(there)
        assert exact.subset == subset
        assert exact.distance < 1e-13
        assert exact.stationary
        arrays = small.arrays(there)
        change = rng.normal(size=(4, 3))  # of M = u^T v, by a fifth unit's worth of function
        beside = network.lenses()[0].put(
            np.vstack([arrays["u"], 0 * arrays["u"]]), np.vstack([arrays["v"], 0 * arrays["v"]])[:, None]
        )
        grown = small.arrays(beside)
        size = 1e-3 * target / np.sqrt(np.mean(np.sum((x @ change) ** 2, axis=1)))
        grown["u"][4:] = np.eye(4)
        grown["v"][4:] = size * change
        near = saddles.nearest(network.with_arrays(grown))
        assert near.subset == subset
        # the target is larger than any of these functions
        assert near.distance == pytest.approx(1e-3, rel=1e-6)
        assert not near.stationary
    # a silent unit that points where the residual pulls: the function of a saddle, and yet no fixed point
    arrays = small.arrays(in_any_gauge(saddles.weights((0,)), network, rng))
    arrays["u"] = np.vstack([arrays["u"], [1.0, 1.0, 1.0, 1.0]])
    arrays["v"] = np.vstack([arrays["v"], np.zeros(3)])
    near = saddles.nearest(network.with_arrays(arrays))
    assert near.subset == (0,)
    assert near.distance < 1e-13
    assert not near.stationary


def test_modes_of_equal_strength_are_one_group_and_a_continuum(rng):
    x, y = small.modes((1.0, 0.7, 0.7, 0.7, 0.2), np.ones(5), rng)
    network, objective = small.neurons("linear", x, y, units=3)
    saddles = linear_saddles(network, objective)
    assert saddles.groups == ((0,), (1, 2, 3), (4,))
    assert saddles.degenerate == ((1, 2, 3),)
    # two of five modes, a group's counted once: 01, 04, 12, 14
    assert list(saddles.subsets(2)) == [(0, 1), (0, 4), (1, 2), (1, 4)]
    assert saddles.count(2) == 4
    assert saddles.taken((0, 3)) == saddles.taken((0, 1)) == (1, 1, 0)
    # any direction of the group will do: 0.7 l r^T with l, r turned together, which is none of the subsets
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    left, right = saddles.left[:, 1:4] @ direction, saddles.right[:, 1:4] @ direction
    u, v = saddles.inverse @ left * 0.7, right
    there = network.lenses()[0].put(u[None], v[None, None])
    assert np.linalg.norm(gradient_by_hand("linear", there, x, y)) < 1e-13
    near = saddles.nearest(there)
    assert near.subset == (1,)
    assert near.distance < 1e-13
    assert near.stationary
    values = np.linalg.eigvalsh(hessian(in_any_gauge(there, network, rng), objective))
    assert np.sum(values < -1e-9 * values[-1]) == saddles.index((3,)) == 2 * 4 + 1
    assert np.sum(np.abs(values) <= 1e-9 * values[-1]) == saddles.nullity((2,))
    # separated by a thousandth they are three again
    x, y = small.modes((1.0, 0.701, 0.7, 0.699, 0.2), np.ones(5), rng)
    network, objective = small.neurons("linear", x, y, units=3)
    assert linear_saddles(network, objective).degenerate == ()


@pytest.mark.parametrize("modes", [3, 5])
def test_subsets_come_in_increasing_loss_each_once(modes, rng):
    x, y = small.modes(np.sort(rng.uniform(0.2, 1.0, modes))[::-1], np.ones(modes), rng)
    for width in (2, modes):
        network, objective = small.neurons("linear", x, y, units=width)
        saddles = linear_saddles(network, objective)
        assert list(saddles.subsets()) == sorted(all_subsets(modes, width), key=saddles.loss)
        for size in range(width + 1):
            listed = list(saddles.subsets(size))
            assert len(listed) == saddles.count(size)
            assert [saddles.rank(s) for s in listed] == list(range(1, len(listed) + 1))


def test_the_first_of_very_many_subsets_are_there_at_once():
    rng = np.random.default_rng(0)
    x, y = small.modes(np.linspace(2.0, 1.0, 60), np.ones(60), rng)
    network, objective = small.neurons("linear", x, y, units=60)
    saddles = linear_saddles(network, objective)
    assert saddles.count(30) > 1e17
    first = list(itertools.islice(saddles.subsets(30), 3))
    assert first[0] == tuple(range(30))
    assert first[1] == (*range(29), 30)
    losses = [saddles.loss(s) for s in itertools.islice(saddles.subsets(), 200)]
    assert losses == sorted(losses)


def test_weighted_and_dependent_inputs_are_as_good(rng):
    x = rng.normal(size=(12, 2)) @ rng.normal(size=(2, 4))  # of rank 2
    y, weight = x @ rng.normal(size=(4, 3)) + 0.2 * rng.normal(size=(12, 3)), rng.uniform(0.1, 1.0, 12)
    for compress in (True, False):
        network, objective = small.neurons("linear", x, y, units=2, weight=weight, compress=compress)
        saddles = linear_saddles(network, objective)
        assert len(saddles.strengths) == 2
        for subset in all_subsets(2, 2)[1:]:
            there = saddles.weights(subset)
            assert np.linalg.norm(gradient_by_hand("linear", there, x, y, weight)) < 1e-13
            assert loss_of(there, objective) == pytest.approx(saddles.loss(subset), rel=1e-12)


def test_independent_patches_and_merged_heads_are_linear_networks_too(rng):
    x = np.linalg.qr(rng.normal(size=(40, 6)))[0] * np.sqrt(40)
    mixing = rng.normal(size=(2, 2))
    x = np.einsum("npk,kl->npl", x.reshape(40, 3, 2), mixing).reshape(40, 6)  # one covariance of all three patches
    y = x @ rng.normal(size=(6, 2)) + 0.3 * rng.normal(size=(40, 2))
    options = {"activation": "linear", "kernel_size": 2}
    problems = [small.problem("convolutional", x, y, units=2, stride=2, **options)]
    tokens = rng.normal(size=(50, 2, 3))
    target = np.einsum("na,ab,nb->n", tokens[:, 0], rng.normal(size=(3, 3)), tokens[:, 1]) + rng.normal(size=50)
    problems.append(small.problem("attention", tokens, target, units=1, merged=True, input="cubic"))
    for network, objective in problems:
        saddles = linear_saddles(network, objective)
        assert len(saddles.strengths) == len(small.arrays(network)[next(iter(network.arrays()))])
        for subset in all_subsets(len(saddles.strengths), saddles.width)[1:]:
            there = saddles.weights(subset)
            with jax.enable_x64(True):
                loss, gradient = objective.loss_and_gradient(there)
            assert np.linalg.norm(weights_of(gradient)) < 1e-12
            assert float(loss) == pytest.approx(saddles.loss(subset), rel=1e-12)
            values = np.linalg.eigvalsh(hessian(there, objective))
            assert np.sum(values < -1e-9 * values[-1]) == saddles.index(subset, len(subset))
            assert np.sum(np.abs(values) <= 1e-9 * values[-1]) == saddles.nullity(subset, len(subset))
    overlapping, objective = small.problem("convolutional", x, y, units=2, stride=1, **options)
    with pytest.raises(ValueError, match="overlapping or unequal patches"):
        linear_saddles(overlapping, objective)
    unequal, objective = small.problem("convolutional", x * [1, 1, 1, 1, 2, 3], y, units=2, stride=2, **options)
    with pytest.raises(ValueError, match="not of that form"):
        linear_saddles(unequal, objective)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"activation": "tanh", "units": 2}, "not linear in their weights"),
        ({"activation": "linear", "units": [2, 2]}, "2 hidden layers"),
    ],
)
def test_other_networks_are_refused_with_the_reason(options, reason):
    network, objective = small.problem("fully_connected", *linear_data("white", 0), **options)
    with pytest.raises(ValueError, match=reason):
        linear_saddles(network, objective)


def test_subsets_that_make_no_sense_are_refused():
    network, objective = small.neurons("linear", *linear_data("white", 0), units=2)
    saddles = linear_saddles(network, objective)
    for call in (lambda: saddles.loss((3,)), lambda: saddles.weights((0, 0)), lambda: saddles.index((0, 1), 1)):
        with pytest.raises(ValueError, match=r"modes"):
            call()


# ----------------------------------------------------------------------------------------------------------- deflation

NODES, GAUSS = np.polynomial.hermite_e.hermegauss(6)
WHITE = np.array([[a, b] for a in NODES for b in NODES])
WHITE_WEIGHT = np.outer(GAUSS, GAUSS).ravel() / np.sum(GAUSS) ** 2
STRENGTHS = np.array([[2.0], [0.9]])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
WAVES = np.tanh(X @ RNG.normal(size=(3, 2))) @ RNG.normal(size=(2, 3)) + 0.1 * RNG.normal(size=(30, 3))
AXES = np.diag([1.5, 1.0]), np.sqrt(2) * np.array([[1.0], [1.0]])


def quadratic(units, **more):
    """y = 2 x_1^2 + 0.9 x_2^2 on white x: one unit rests on either axis, at 4/3 b^2 of the other (THEORY 2.3)."""
    return small.neurons("quadratic", WHITE, WHITE**2 @ STRENGTHS, units=units, weight=WHITE_WEIGHT, scale=0.5, **more)


ONE_OF_TWO = {
    # a network at one fixed point, and the loss of another
    "quadratic": (lambda: quadratic(1), 4 / 3 * 2.0**2),
    # one unit on orthogonal inputs fits either sample, or both: 1/2 y_k^2 / n of the one that is left (THEORY 4.1)
    "relu": (lambda: small.neurons("relu", *AXES, {"u": [[0.7, -0.1]], "v": [[0.5]]}), None),
    "tanh": (lambda: small.neurons("tanh", X, WAVES, units=1, scale=0.5), None),
}


@pytest.mark.parametrize("name", ONE_OF_TWO)
def test_deflation_finds_a_second_fixed_point_and_never_the_known_one(name):
    make, expected = ONE_OF_TWO[name]
    network, objective = make()
    x, y, weight = {"quadratic": (WHITE, WHITE**2 @ STRENGTHS, WHITE_WEIGHT), "relu": (*AXES, None)}.get(
        name, (X, WAVES, None)
    )
    known, losses = [polish(network, objective).network], []
    for seed in range(6):
        point = deflate(known[-1], objective, known, seed=seed)
        if point is None:
            break
        with jax.enable_x64(True):
            surface = Surface(network, objective)
            at = [surface.linearise(weights_of(n))[0] for n in (*known, point.network)]
            assert nearest_distance(surface, at[-1], at[:-1]) > KNOWN
        assert point.gradient <= 1e-9
        assert np.linalg.norm(gradient_by_hand(name, point.network, x, y, weight)) < 1e-10
        assert loss_of(point.network, objective) == pytest.approx(point.loss, rel=1e-12)
        known.append(point.network)
        losses.append(point.loss)
    assert losses
    assert expected is None or min(abs(np.array(losses) - expected)) < 1e-9


def test_deflation_finds_nothing_where_there_is_nothing_else():
    # one output: one mode, and the origin
    x, y = linear_data("non-commuting", 0, outputs=1)
    network, objective = small.neurons("linear", x, y, units=1, scale=0.5)
    there = linear_saddles(network, objective).weights((0,))
    origin = deflate(there, objective, [there])
    assert origin.loss == pytest.approx(0.5 * np.mean(y**2), rel=1e-12)
    arrays = small.arrays(origin.network)  # f = 0; a silent unit may point where no residual pulls
    assert np.max(np.abs(arrays["u"].T @ arrays["v"])) < 1e-9
    for seed in range(4):
        assert deflate(network, objective, [there, origin.network], seed=seed) is None


def test_deflation_lists_the_saddles_of_a_linear_network():
    x, y = linear_data("non-commuting", 2, inputs=3)
    network, objective = small.neurons("linear", x, y, units=1, scale=0.5)
    saddles = linear_saddles(network, objective)
    known = [polish(network, objective).network]
    for seed in range(8):  # one that finds nothing proves nothing
        point = deflate(known[-1], objective, known, seed=seed)
        if point is not None:
            known.append(point.network)
    found = [saddles.nearest(n).subset for n in known]
    assert {(0,), (1,), (2,)} <= set(found)
    assert len(set(found)) == len(found)


def test_the_deflated_step_is_newtons_for_the_deflated_gradient(rng):
    # m grad L differentiated by differences at a random point of a network without continuous symmetries
    network, objective = small.neurons("tanh", X, WAVES, units=1, scale=0.6)
    others = [rng.normal(size=6) for _ in range(2)]
    with jax.enable_x64(True):
        surface = Surface(network, objective)
        known = np.stack([surface.linearise(y)[0] for y in others])

        def deflated_gradient(y):
            residual, jacobian = surface.linearise(y)
            square = np.sum((known - residual) ** 2, axis=1) / surface.rms**2
            return np.prod(1 + 1 / square) * jacobian.T @ residual

        y, size = surface.start, 1e-5
        columns = [(deflated_gradient(y + size * e) - deflated_gradient(y - size * e)) / (2 * size) for e in np.eye(6)]
        expected = -np.linalg.solve(np.stack(columns, axis=1), deflated_gradient(y))
        residual, jacobian = surface.linearise(y)
        plain = newton_step(surface.hessian(y), jacobian.T @ residual)
        found = plain * turned(surface, residual, jacobian, plain, known)
    # differences of size 1e-5 are good to 1e-9 of the curvature
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.linalg.norm(expected))
    assert np.linalg.norm(found - plain) > 1e-2 * np.linalg.norm(plain)


def test_a_saturated_unit_is_no_fixed_point_though_its_gradient_vanishes():
    # on its way to infinity: the function is a step, and Newton's method has nothing left to hold on to
    network, objective = small.neurons("tanh", X, WAVES, units=1, scale=0.6)
    real = polish(network, objective).network
    # the first was once reported as a fixed point, found by deflation
    units = [[57.77647255, 37.76232119, -18.47004605], [578.0, 378.0, -185.0]]
    for u in np.array(units):
        step = np.tanh(X @ u)
        far = network.with_arrays({"u": u[None], "v": (step @ WAVES / (step @ step))[None]})
        with jax.enable_x64(True):
            surface = Surface(far, objective)
            y, residual, gradient, there = surface.settle(surface.start)
            assert gradient < 1e-9  # it alone would not have told
            assert not there
            assert surface.unbounded(y, residual, surface.linearise(y)[1])
            near, jacobian = surface.linearise(weights_of(real))
            assert not surface.unbounded(weights_of(real), near, jacobian)
            assert surface.settle(weights_of(real))[3]
    found = fixed_points_of(network, objective)
    assert found.competitors
    # Newton's method converges at once to a fixed point that is there, however large its weights
    assert all(p.gradient < 1e-12 for p in found.points)


# -------------------------------------------------------------------------------------------------------------- search


def test_the_saddles_of_a_quadratic_unit_are_ranked_by_loss():
    network, objective = quadratic(1)
    found = fixed_points_of(network, objective)
    expected = [4 / 3 * 0.9**2, 4 / 3 * 2.0**2]
    assert [p.loss for p in found.competitors] == pytest.approx(expected, rel=1e-9)
    assert found.competitors[0].by == "descent"
    assert {p.widths for p in found.points} == {(1,), (0,)}  # with the origin, which does not compete
    best, worse = (found.match(p.network) for p in found.competitors)
    assert (best.rank, best.of, best.best, best.gap) == (1, 2, True, 0.0)
    assert best.share > 0.5
    assert (worse.rank, worse.best, worse.share) == (2, False, 0.0)
    assert worse.gap == pytest.approx(expected[1] - expected[0], rel=1e-9)
    # planted by hand: alpha = b_2 + b_1/3 along the second axis
    alpha = 0.9 + 2.0 / 3
    planted = network.with_arrays({"u": np.array([[0.0, -0.5]]), "v": np.array([[4 * alpha]])})
    assert found.match(planted).rank == 2
    for factor, rank in ((1 + 1e-3, None), (1 + 2e-5, None), (1 + 1e-7, 2)):
        near = found.match(planted.with_arrays({"u": np.array([[0.0, -0.5]]), "v": np.array([[4 * alpha * factor]])}))
        assert near.rank == rank
        assert near.distance < factor - 1  # relative to the targets, which are larger
        assert near.best is False


def test_equal_losses_of_different_functions_are_different_fixed_points():
    # both samples fitted, the first, the second: the latter two at one loss
    network, objective = small.neurons("relu", *AXES, {"u": [[0.7, -0.1]], "v": [[0.5]]})
    found = fixed_points_of(network, objective)
    assert [p.loss for p in found.competitors] == pytest.approx([0.0, 0.5, 0.5], abs=1e-12)
    assert found.levels == 2
    for point in found.competitors[1:]:
        match = found.match(point.network)
        assert (match.rank, match.of, match.levels) == (2, 3, 2)
        assert match.distance < 1e-10
    u, v = small.arrays(found.competitors[1].network).values()
    other = found.competitors[1].network.with_arrays({"u": u[:, ::-1] * [1.5, 1 / 1.5], "v": v})
    assert loss_of(other, objective) > 0.4  # which of them it is, the function says


def test_fixed_points_of_narrower_networks_do_not_compete():
    network, objective = quadratic(2)
    found = fixed_points_of(network, objective)
    assert found.widths == (2,)
    assert [p.loss for p in found.competitors] == pytest.approx([0.0], abs=1e-12)
    narrow = [p.loss for p in found.points if p.widths == (1,)]
    assert narrow == pytest.approx([4 / 3 * 0.9**2, 4 / 3 * 2.0**2], rel=1e-9)
    embedded = next(p for p in found.points if p.widths == (1,))
    assert found.match(embedded.network).rank is None
    assert found.match(found.competitors[0].network).best


@pytest.mark.parametrize("name", ["tanh", "relu", "attention", "deep", "overlapping"])
def test_every_start_is_counted_and_every_point_rests(name):
    if name == "attention":
        x = np.random.default_rng(4).normal(size=(60, 2, 2))
        y = np.einsum("na,ab,nb->n", x[:, 0], np.diag([1.0, 0.6]), x[:, 1])
        network, objective = small.problem("attention", x, y, units=1, rank=1, input="cubic", scale=0.5)
    elif name == "deep":
        network, objective = small.problem(
            "fully_connected", *linear_data("white", 0, 2, 2), units=[1, 1], activation="linear", scale=0.5
        )
    elif name == "overlapping":
        x, y = linear_data("white", 1, 4, 1)
        network, objective = small.problem(
            "convolutional", x, y, units=1, activation="linear", kernel_size=2, stride=1, scale=0.5
        )
    else:
        network, objective = small.neurons(name, X, WAVES, units=2, scale=0.5)
    found = fixed_points_of(network, objective)
    assert found.method == "search"
    assert found.starts == 50
    assert sum(p.hits for p in found.points) + found.stalled == 50
    assert [p.loss for p in found.points] == sorted(p.loss for p in found.points)
    for point in found.points:
        assert point.gradient <= 1e-9
        with jax.enable_x64(True):
            loss, gradient = objective.loss_and_gradient(point.network)
        assert float(loss) == pytest.approx(point.loss, rel=1e-12, abs=1e-25)
        assert np.linalg.norm(weights_of(gradient)) < 1e-8
    for a, b in itertools.combinations(found.outputs, 2):
        assert np.linalg.norm(a - b) > 1e-6 * np.linalg.norm(a)
    if name == "relu":
        assert found.stalled > 25  # minima on kinks have no gradient that vanishes
    else:
        assert found.match(found.competitors[0].network).best
        again = fixed_points_of(network, objective)
        assert [p.loss for p in again.points] == [p.loss for p in found.points]


def test_a_fixed_point_that_no_start_finds_is_known_when_it_is_asked_about():
    network, objective = quadratic(1)
    alpha = 0.9 + 2.0 / 3
    planted = network.with_arrays({"u": np.array([[0.0, -0.5]]), "v": np.array([[4 * alpha]])})
    found = fixed_points_of(planted, objective, starts=5, deflations=0)
    assert found.match(planted).rank == 2
    assert [p.hits for p in found.points if p.by == "given"] == [0]
    moved = with_weights(network, weights_of(planted) * 1.01)
    nothing = fixed_points_of(moved, objective, starts=0, deflations=0)
    assert nothing.match(moved).rank is None
    assert nothing.match(moved).of == len(nothing.competitors)


def test_large_networks_are_not_searched_and_the_reason_is_given():
    x, y = np.random.default_rng(0).normal(size=(20, 60)), np.ones((20, 1))
    network, objective = small.neurons("tanh", x, y, units=4, scale=0.1)
    found = fixed_points_of(network, objective)
    assert (found.method, found.starts, found.points) == ("none", 0, ())
    assert "244 weights" in found.reason
    match = found.match(network)
    assert (match.rank, match.of, match.best) == (None, 0, False)
    assert match.sentence == "no fixed point that needs this width is known"
    # many targets make every step slow
    x = np.random.default_rng(0).normal(size=(500, 10))
    many, slow = small.neurons("tanh", x, np.ones((500, 3)), units=3, scale=0.1)
    assert "39 weights on 1500 targets" in fixed_points_of(many, slow).reason
    # of linear ones there is a list all the same
    network, objective = small.neurons("linear", x, x[:, :2] ** 2, units=2, scale=0.1)
    assert fixed_points_of(network, objective).method == "exact"


def test_a_match_says_what_it_is_in_words():
    network, objective = quadratic(1)
    found = fixed_points_of(network, objective)
    best, worse = (found.match(p.network) for p in found.competitors)
    assert best.sentence == "the lowest of 2 fixed points that need this width, found by 50 random starts and deflation"
    assert (
        worse.sentence
        == "number 2 by loss of 2 fixed points that need this width, found by 50 random starts and deflation"
    )
    x, y = linear_data("white", 0)
    network, objective = small.neurons("linear", x, y, units=2)
    found = fixed_points_of(network, objective)
    match = found.match(found.saddles.weights((0, 2)))
    assert match.sentence == "number 2 by loss of the 3 fixed points that need this width"
    assert match.as_json()["method"] == "exact"
    assert found.match(network).sentence == "none of the 3 fixed points that need this width"
