"""Second derivatives at fixed points: index and nullity with their intervals, symmetries, both ends of large spectra, escape, and what a silent
unit would see."""

import sys
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import small
from cases import DEEP, LAYERS, ids, inputs
from saddlescope import objective as objectives
from saddlescope.embeddings import Factorised, Mixing, Proportional, Silent, Split
from saddlescope.fixed_points import (
    FixedPoint,
    certify,
    counts_by_structure,
    extreme_eigenvalues,
    find,
    global_optimum,
    hessian,
    insertion,
    landscape,
    polish,
    spectrum,
    spectrum_ends,
    symmetries,
)
from saddlescope.fixed_points.hessian import ends
from saddlescope.fixed_points.insertion import path_insertion
from saddlescope.fixed_points.spectrum import of_matrix
from saddlescope.flow import gradient_flow, weights_of, with_weights
from saddlescope.networks import Deep, Layer
from saddlescope.results import RESULTS
from saddlescope.tasks import Samples
from saddlescope.units import AbstractNeuron, Kernel, Linear, Quadratic, ReLU, Tanh

# ------------------------------------------------------------------------------------------------- linear saddles


def linear_saddle(rng, width, s, lam, learned, gauge=True):
    """A linear network that has learned some modes of Sxx = diag(lam), Syx = diag(s), both turned, in any gauge: narrow, wide, its objective
    and the index by THEORY 6.3."""
    s, lam, modes, r = np.asarray(s, float), np.asarray(lam, float), len(s), len(learned)
    right, left = (np.linalg.qr(rng.normal(size=(modes, modes)))[0] for _ in range(2))
    x, y = small.modes(s, lam)
    network, loss = small.neurons("linear", x @ right, y @ left, units=width, scale=1.0)
    strength = np.sqrt(s[learned] / lam[learned])[:, None]
    narrow = Layer(network.unit, strength * right[learned], (strength * left[learned])[:, None, :], network.schema)
    mix = rng.normal(size=(width, r)) if gauge else np.eye(width)[:, :r]
    inverse = np.linalg.pinv(mix)
    if gauge:
        inverse = inverse + rng.normal(size=(r, width)) @ (np.eye(width) - mix @ inverse)
    wide = Factorised(mix, inverse)(narrow.lenses()[0]) if r else silenced(network)
    left_out = [j for j in range(modes) if j not in learned]
    index = (width - r) * len(left_out) + sum(
        s[j] ** 2 / lam[j] > s[k] ** 2 / lam[k] for k in learned for j in left_out
    )
    return narrow if r else None, wide, loss, index


def silenced(network):
    return network.with_arrays({name: np.zeros(a.shape) for name, a in network.arrays().items()})


PROBLEMS = 60  # of each of two kinds


@pytest.mark.parametrize("white", [True, False])
def test_the_index_of_linear_saddles_is_that_of_the_formula(white):
    # THEORY 6.3: (H - r) #{j not in S} + #{k in S, j not in S: s_j^2 / lam_j > s_k^2 / lam_k}, whatever the gauge
    rng = np.random.default_rng(6)
    seen = set()
    for _ in range(PROBLEMS):
        modes = int(rng.integers(1, 4))
        s = np.sort(rng.uniform(0.4, 2.0, modes))[::-1] * 1.3 ** -np.arange(modes)
        lam = np.ones(modes) if white else rng.uniform(0.5, 2.0, modes)
        width = int(rng.integers(modes, 6))
        learned = [k for k in range(modes) if rng.uniform() < 0.5]
        narrow, wide, loss, index = linear_saddle(rng, width, s, lam, learned)
        found = spectrum(wide, loss)
        assert found.index == index
        assert found.index_interval[0] <= index <= found.index_interval[1]
        by_structure = counts_by_structure(narrow, wide, None, loss)
        assert (by_structure.index, by_structure.nullity) == (index, found.nullity)
        seen.add(index)
    assert len(seen) > 6


def test_a_wrong_index_would_be_seen():
    # the same counting at a point with one eigenvalue turned
    values = np.array([-1.0, 0.0, 0.0, 2.0])
    turned = np.array([1.0, 0.0, 0.0, 2.0])
    none = np.zeros((4, 0))
    assert (of_matrix(np.diag(values), none).index, of_matrix(np.diag(turned), none).index) == (1, 0)


# ------------------------------------------------------------------------------------- every architecture against the dense count


def fixed_point_of(case, seed=0):
    """A narrow fixed point of a network case on random data, with its objective; None where descent does not get there."""
    network = case.random(seed, 0.7)
    x = inputs(case.x_shape, 40, seed)
    rng = np.random.default_rng(seed)
    teacher = case.random(seed + 100, 0.7)
    with jax.enable_x64(True):
        y = np.asarray(jax.vmap(jax.tree.map(jnp.asarray, teacher))(jnp.asarray(x)))
    y = y + 0.3 * y.std() * rng.normal(size=y.shape)
    loss = objectives.build(Samples(x, y), network)
    lens = network.lenses()[0]
    u, v = lens.get()
    narrow = lens.put(u[:2], v[:2]) if lens.direct else network
    found = polish(narrow, loss, throw=False)
    return (found, loss) if found.result is RESULTS.successful and found.gradient < 1e-9 else None


def smooth_layers():
    # swish units fit these data best with infinite weights: there is no fixed point to look at
    return [case for case in LAYERS if not case.unit.unit.kinks and case.unit.unit.silent and case.name != "swish"]


@pytest.mark.parametrize("case", smooth_layers(), ids=ids)
def test_counts_by_structure_are_those_of_the_whole_hessian(case):
    found = next(f for f in (fixed_point_of(case, seed) for seed in range(8)) if f is not None)
    narrow, loss = found[0].network, found[1]
    wide = Silent(3)(narrow.lenses()[0])
    whole = spectrum(wide, loss)
    counts = counts_by_structure(narrow, wide, Mixing(*Silent(3).matrices(2, case.unit.unit.facts)), loss)
    values = np.linalg.eigvalsh(hessian(wide, loss))
    zero = 1e-6 * values[-1]
    assert (whole.index, whole.nullity) == (np.sum(values < -zero), np.sum(np.abs(values) <= zero))
    assert (counts.index, counts.nullity) == (whole.index, whole.nullity)
    assert whole.index_interval[0] <= whole.index <= whole.index_interval[1]


# -------------------------------------------------------------------------------------------------------------- symmetries


@pytest.mark.parametrize("case", LAYERS + DEEP, ids=ids)
def test_the_loss_does_not_change_along_symmetries(case):
    # anywhere, not only at fixed points: moved by h along a direction the gradient is orthogonal to it
    network = case.random(3, 0.7)
    x = inputs(case.x_shape, 30)
    loss = objectives.build(Samples(x, np.random.default_rng(0).normal(size=(30, case.outputs))), network)
    with jax.enable_x64(True):
        gradient = np.asarray(ravel_pytree(loss.loss_and_gradient(jax.tree.map(jnp.asarray, network))[1])[0])
    gauge = symmetries(network).gauge
    assert np.linalg.norm(gauge.T @ gradient) <= 1e-12 * np.linalg.norm(gradient)
    assert np.linalg.norm(gauge.T @ gauge - np.eye(gauge.shape[1])) < 1e-12 * max(gauge.shape[1], 1)
    degree = network.lenses()[0].facts.degree
    assert (gauge.shape[1] > 0) == (degree is not None)


def test_symmetries_are_as_many_as_counted_by_hand():
    rng = np.random.default_rng(0)

    def count(unit, units, inputs_, outputs):
        network = Layer.zeros(unit, units, (inputs_,), outputs)
        u, v = rng.normal(size=network.u.shape), rng.normal(size=network.v.shape)
        return symmetries(network.lenses()[0].put(u, v)).basis.shape[1]

    assert count(Linear(), 2, 4, 3) == 4  # GL(2)
    # of 6 x 6 mixings those that map U and V to nothing, (6 - 2)(6 - 2), move no weight
    assert count(Linear(), 6, 2, 2) == 36 - 16
    assert count(Quadratic(), 5, 3, 2) == count(ReLU(), 5, 3, 2) == 5  # a scale a unit
    assert count(Tanh(), 5, 3, 2) == 0


@pytest.mark.parametrize("unit", ["quadratic", "tanh"])
def test_at_a_fixed_point_symmetries_are_null_vectors_and_beside_it_they_are_not(unit):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    hidden = {"quadratic": np.square, "tanh": np.tanh}[unit](x @ rng.normal(size=(3, 2)))
    y = hidden @ rng.normal(size=(2, 2)) + 0.3 * rng.normal(size=(40, 2))
    network, loss = small.neurons(unit, x, y, units=2, scale=0.7)
    point = polish(network, loss)
    wide = Split(0, 0.3)(point.network.lenses()[0])
    found, basis = spectrum(wide, loss), symmetries(wide)
    assert basis.redistribution.shape[1] == 1
    assert np.linalg.norm(hessian(wide, loss) @ basis.basis) < 1e-8 * found.largest
    assert found.nullity >= basis.basis.shape[1]
    assert found.symmetries == basis.basis.shape[1]
    # a thousandth beside, where tanh has no symmetry left: the error is what eigenvalues really changed by, to the step's second order
    weights = weights_of(wide)
    step = rng.normal(size=weights.size)
    beside = with_weights(wide, weights + 1e-3 * step / np.linalg.norm(step))
    off = spectrum(beside, loss)
    assert found.error < 1e-10 * found.largest
    assert np.abs(off.values - found.values).max() <= 1.1 * off.error
    assert off.error <= 1e-2 * off.largest


@pytest.mark.parametrize("size", [0.0, 1e-16, 1e-12, 1e-9])
def test_units_that_are_silent_only_to_rounding_hide_no_negative_eigenvalue(size):
    # gauge directions of such units have next to no length: made unit vectors, they are no null vectors
    rng = np.random.default_rng(0)
    narrow, wide, loss, index = linear_saddle(rng, 4, [1.0, 0.5, 0.3], [1.0, 1.0, 1.0], [0], gauge=False)
    assert narrow is not None
    weights = weights_of(wide)
    near = with_weights(wide, weights + size * rng.normal(size=weights.size) * (weights == 0.0))
    found = spectrum(near, loss)
    assert (found.index, found.index_interval) == (index, (index, index))
    assert found.nullity == spectrum(wide, loss).nullity


def test_a_head_that_uses_one_of_two_ranks_can_learn_the_other():
    # the unused key and query do not move the function, but they are coupled to each other by the residual: no symmetry
    x = np.random.default_rng(4).normal(size=(400, 2, 3))
    y = np.einsum("na,ab,nb->n", x[:, 0], np.diag([1.0, 0.6, 0.3]), x[:, 1])[:, None]
    one, loss = small.problem("attention", x, y, units=1, rank=1, input="cubic", scale=0.5)
    narrow = small.arrays(polish(one, loss).network)
    two, loss = small.problem("attention", x, y, units=1, rank=2, input="cubic")
    wide = {name: a if name == "value" else np.concatenate([a, np.zeros_like(a)], axis=1) for name, a in narrow.items()}
    network = two.with_arrays(wide)
    values = np.linalg.eigvalsh(hessian(network, loss))
    found, basis = spectrum(network, loss), symmetries(network).basis
    assert found.index == np.sum(values < -1e-6 * values[-1]) == 2
    assert found.nullity == np.sum(np.abs(values) <= 1e-6 * values[-1])
    # GL(2) turned on rank 1 has three directions (the unused pair is scaled for free), the value's scale is one more
    assert basis.shape[1] == found.symmetries == 4
    assert np.linalg.norm(hessian(network, loss) @ basis) < 1e-9 * values[-1]


def test_output_weights_of_proportional_units_can_be_shared_otherwise():
    x = np.random.default_rng(1).normal(size=(40, 3))
    y = np.random.default_rng(2).normal(size=(40, 1))
    point = polish(small.neurons("quadratic", x, y, units=2, scale=0.7)[0], loss := small.neurons("quadratic", x, y)[1])
    wide = Proportional(0, (1.0, -2.0), (0.2, 0.2))(point.network.lenses()[0])
    basis = symmetries(wide)
    assert basis.redistribution.shape[1] == 1
    matrix = hessian(wide, loss)
    assert np.linalg.norm(matrix @ basis.basis) < 1e-9 * np.linalg.norm(matrix, 2)


# -------------------------------------------------------------------------------------------------------------- large spectra


def planted(values, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return (q * values) @ q.T


def test_copies_of_an_eigenvalue_are_counted_as_often_as_they_occur():
    # an eigenvalue of multiplicity 658, of which one Krylov space sees one copy
    rng = np.random.default_rng(0)
    values = np.concatenate([np.full(658, -0.5), np.zeros(200), rng.uniform(0, 3, 139), [5.0, 5.0, 7.0]])
    matrix = planted(values)
    found = ends(lambda v: matrix @ v, len(values), 5)
    assert found.verified
    assert found.lowest == pytest.approx([-0.5] * 5, abs=1e-9)
    assert found.largest[:3] == pytest.approx([7.0, 5.0, 5.0], abs=1e-9)
    assert np.abs(matrix @ found.vectors - found.vectors * found.lowest).max() < 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_both_ends_lie_within_their_errors_of_the_dense_spectrum(seed):
    rng = np.random.default_rng(seed)
    values = np.sort(np.concatenate([rng.normal(size=150), np.repeat(rng.normal(size=5) * 3, 4)]))
    matrix = planted(values, seed)
    found = ends(lambda v: matrix @ v, len(values), 6)
    rounding = 1e-12 * np.abs(values).max()
    assert np.all(np.abs(found.lowest - values[:6]) <= found.lowest_error + rounding)
    assert np.all(np.abs(found.largest - values[::-1][:6]) <= found.largest_error + rounding)
    assert found.verified


def test_a_spectrum_that_lanczos_cannot_resolve_is_not_called_known():
    # 400 eigenvalues within a hundredth at the low end: none of them converges in 60 steps, while the largest does at once
    values = np.concatenate([np.linspace(-1.0, -0.99, 400), np.random.default_rng(0).uniform(-0.9, 3.0, 199), [7.0]])
    matrix = planted(values)
    found = ends(lambda v: matrix @ v, len(values), 4, 60)
    assert not found.verified
    # upper bounds, and some eigenvalue is as near as the error says
    assert np.all(found.lowest >= np.sort(values)[:4] - 1e-12)
    assert np.all(np.abs(found.lowest[:, None] - values).min(axis=1) <= found.lowest_error + 1e-12)
    assert found.lowest[0] < -0.99
    assert np.all(found.lowest_error > 1e-7)
    assert found.largest[0] == pytest.approx(7.0, abs=1e-9)


def test_lanczos_on_a_network_agrees_with_its_dense_hessian(monkeypatch):
    module = sys.modules["saddlescope.fixed_points.hessian"]
    _, wide, loss, _ = linear_saddle(np.random.default_rng(0), 5, [1.5, 1.0, 0.5], [1.0, 2.0, 0.7], [0])
    dense = spectrum_ends(wide, loss, 4)
    parts = {name: spectrum_ends(wide, loss, 2, name) for name in wide.arrays()}
    monkeypatch.setattr(module, "DENSE", 0)
    by_products = spectrum_ends(wide, loss, 4)
    assert by_products.lowest == pytest.approx(dense.lowest, abs=1e-9)
    assert by_products.largest == pytest.approx(dense.largest, abs=1e-9)
    for name, ends_of_part in parts.items():
        low, high, _ = extreme_eigenvalues(wide, loss, name)
        assert low == pytest.approx(ends_of_part.lowest[0], abs=1e-9)
        assert high == pytest.approx(ends_of_part.largest[0], abs=1e-9)
    with pytest.raises(ValueError, match="no weights named 'w'"):
        spectrum_ends(wide, loss, part="w")


# -------------------------------------------------------------------------------------------------------------- escape


def escape_of(wide, loss):
    point = find(wide, loss)
    assert isinstance(point, FixedPoint)
    return landscape(point, loss)


def growth(wide, loss, unit, time, kick):
    """The rate at which a silent unit's weights grow from a small kick (u, v), over the last third of a run that stays near the saddle."""
    u, v = (np.array(part) for part in wide.lenses()[0].get())
    u[unit], v[unit] = kick
    sizes = []
    for until in (time, 1.5 * time):
        # absolute tolerances are relative to all weights: well below the kick
        run = gradient_flow(wide.lenses()[0].put(u, v), loss, until=until, rtol=1e-13)
        here = [np.asarray(part)[unit] for part in run.network(-1).lenses()[0].get()]
        sizes.append(np.sqrt(sum(np.sum(part**2) for part in here)))
    assert sizes[1] < 1e-3
    return np.log(sizes[1] / sizes[0]) / (0.5 * time)


def test_linear_saddles_are_left_at_the_rate_of_the_lowest_eigenvalue():
    _, wide, loss, _ = linear_saddle(np.random.default_rng(2), 3, [1.5, 1.0], [1.0, 1.0], [0], gauge=False)
    seen = escape_of(wide, loss)
    assert seen.escape.law == "exponential"
    assert seen.escape.rate == pytest.approx(1.0, rel=1e-9)  # the mode left out
    rng = np.random.default_rng(0)
    kick = 1e-7 * rng.normal(size=2), 1e-7 * rng.normal(size=(1, 2))
    # what does not grow is exp(-6) of the size at the first look
    assert growth(wide, loss, 2, 6.0, kick) == pytest.approx(seen.escape.rate, rel=1e-4)
    direction = seen.escape.direction
    assert np.linalg.norm(hessian(wide, loss) @ direction + seen.escape.rate * direction) < 1e-9


def test_silent_relu_units_grow_at_the_rate_of_what_they_would_see():
    # two orthogonal inputs, the first learned: a unit that sees the second grows as exp(value t)
    x, y = np.array([[1.5, 0.0], [0.0, 1.0]]), np.array([[1.4], [-1.4]])
    narrow, loss = small.neurons("relu", x, y, {"u": [[1.0, 0.0]], "v": [[1.4 / 1.5]]})
    wide = Silent(1)(narrow.lenses()[0])
    seen = escape_of(wide, loss)
    assert seen.index is None
    assert "kink" in seen.reason
    assert seen.escape.law == "exponential"
    assert seen.escape.rate == pytest.approx(0.7, rel=1e-9)  # |y x| / 2
    assert growth(wide, loss, 1, 8.0, (1e-7 * np.array([0.3, 1.0]), -1e-7 * np.ones((1, 1)))) == pytest.approx(
        0.7, rel=1e-3
    )
    # one that is off on that input sees nothing
    assert abs(growth(wide, loss, 1, 8.0, (1e-7 * np.array([0.3, -1.0]), -1e-7 * np.ones((1, 1))))) < 0.1


def test_where_the_hessian_is_blind_the_law_is_algebraic():
    # quadratic units at the origin: the time to leave doubles as the weights are halved (degree 3), and does not grow like a logarithm
    x = np.random.default_rng(0).normal(size=(50, 2))
    y = (x**2).sum(axis=1, keepdims=True)
    network, loss = small.neurons("quadratic", x, y, units=1)
    seen = escape_of(silenced(network), loss)
    assert (seen.escape.law, seen.escape.degree, seen.index) == ("algebraic", 3, 0)
    times = []
    for scale in (1e-3, 5e-4):
        start = {"u": [[scale, 0.5 * scale]], "v": [[scale]]}
        run = gradient_flow(small.neurons("quadratic", x, y, start)[0], loss, until=2000.0)
        times.append(run.t[np.argmax(run.loss < 0.9 * run.loss[0])])
    assert times[1] / times[0] == pytest.approx(2.0, rel=0.02)


def test_a_minimum_is_not_left():
    x = np.random.default_rng(0).normal(size=(50, 2))
    network, loss = small.neurons("quadratic", x, (x @ [1.0, 0.3])[:, None] ** 2, {"u": [[1.0, 0.3]], "v": [[1.0]]})
    seen = escape_of(Silent(2)(network.lenses()[0]), loss)
    assert (seen.escape.law, seen.index, seen.global_optimum) == ("none", 0, True)


@pytest.mark.parametrize("learned", [0, 1])
def test_deep_networks_do_not_rest_where_a_chain_of_silent_units_sees_a_residual(learned):
    # three layers: the Hessian is zero at the origin, and nowhere negative at the saddle of the first mode
    x, y = small.modes((1.0, 0.5), (1.0, 1.0))
    network, loss = small.neurons("linear", x, y, units=[3, 3])
    shapes = {name: a.shape for name, a in network.arrays().items()}

    def diagonal(*strengths):
        return {name: np.diag((*np.cbrt(strengths), *[0.0] * 3))[: s[0], : s[1]] for name, s in shapes.items()}

    saddle = network.with_arrays(diagonal(*[1.0] * learned))
    assert np.linalg.eigvalsh(hessian(saddle, loss))[0] > -1e-12
    assert not certify(saddle, loss).rests
    assert path_insertion(saddle, loss).value == pytest.approx(
        [1.0, 0.5][learned], rel=1e-6
    )  # the mode to be learned next
    with jax.enable_x64(True):
        ahead = network.with_arrays(diagonal(*[1.0] * learned, 1e-3))
        before, after = (float(loss.loss(jax.tree.map(jnp.asarray, n))) for n in (saddle, ahead))
    assert after < before
    # with both learned, and a unit to spare in every layer, it does rest; so it does where targets are noise that stays
    assert certify(network.with_arrays(diagonal(1.0, 0.5)), loss).rests
    spare = np.random.default_rng(0).normal(size=(2, 1))
    noisy, loss = small.neurons("linear", np.vstack([x, x]), np.vstack([y + spare, y - spare]), units=[3, 3])
    assert certify(noisy.with_arrays(diagonal(1.0, 0.5)), loss).rests


# -------------------------------------------------------------------------------------------------------------- insertion


def brute_force(network, loss, directions):
    """The maximum of |E[(y - f) phi(x; u)]| over a list of directions."""
    lens = network.lenses()[0]
    with jax.enable_x64(True):
        lens = jax.tree.map(jnp.asarray, lens)
        where = jax.tree.map(jnp.asarray, loss)
        seen = jax.vmap(lambda u: where.correlation(lens, u))(jnp.asarray(directions))
        return float(np.max(np.linalg.norm(np.asarray(seen).reshape(len(directions), -1), axis=1)))


@pytest.mark.parametrize("unit", ["linear", "relu", "quadratic", "tanh"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_what_a_silent_unit_would_see_is_the_maximum_over_a_fine_grid(unit, outputs):
    angles = np.linspace(0, 2 * np.pi, 20_001)
    grid = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rng = np.random.default_rng(5)
    for _ in range(5):
        x, y = rng.normal(size=(12, 2)), rng.normal(size=(12, outputs))
        network, loss = small.neurons(unit, x, y, units=2, scale=0.3)
        seen = insertion(network, loss)
        best = brute_force(network, loss, grid)
        # a grid of 20 000 angles misses a smooth maximum by 1e-8 of it, a kink's by 3e-4; an ascent stops where it is flat
        assert (
            best * (1 - (1e-12 if seen.exact else 1e-3))
            <= seen.value
            <= best * (1 + (1e-3 if unit == "relu" else 1e-6))
        )
        assert seen.value == pytest.approx(brute_force(network, loss, seen.u[None]), rel=1e-9)
        assert seen.exact == (unit in ("linear", "relu") or (unit == "quadratic" and outputs == 1))


def test_relu_kernels_are_looked_at_on_every_arc():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
    network = Layer.zeros(Kernel(ReLU(), 2, 1), 2, (4,), 1)
    network = network.lenses()[0].put(0.1 * rng.normal(size=network.u.shape), 0.1 * rng.normal(size=network.v.shape))
    loss = objectives.build(Samples(x, y), network)
    angles = np.linspace(0, 2 * np.pi, 20_001)
    best = brute_force(network, loss, np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert best * (1 - 1e-12) <= insertion(network, loss).value <= best * (1 + 1e-3)


def test_an_optimum_is_claimed_only_where_it_is_one():
    x, y = small.modes((1.0, 0.6), (1.0, 1.0))
    saddle, loss = small.neurons("linear", x, y, {"u": [[1.0, 0.0]], "v": [[1.0, 0.0]]})
    assert global_optimum(saddle, loss, insertion(saddle, loss)) is False
    both, _ = small.neurons("linear", x, y, {"u": np.eye(2), "v": np.diag([1.0, 0.6])})
    assert global_optimum(both, loss, insertion(both, loss)) is True
    # a thousandth beside it is none
    near, _ = small.neurons("linear", x, y, {"u": np.eye(2), "v": np.diag([1.0, 0.6 + 1e-3])})
    assert global_optimum(near, loss, insertion(near, loss)) is False
    # a lower bound of what units see is a proof that the loss can be lowered, whatever the unit, and none that it cannot
    rng = np.random.default_rng(0)
    network, loss = small.neurons("tanh", rng.normal(size=(30, 3)), rng.normal(size=(30, 1)), units=2, scale=0.5)
    seen = insertion(network, loss)
    assert global_optimum(network, loss, seen) is False
    u, v = network.lenses()[0].get()
    wider = [network.lenses()[0].put(np.vstack([u, seen.u]), np.append(v, [[[c]]], axis=0)) for c in (-1e-2, 1e-2)]
    with jax.enable_x64(True):
        before, *after = (float(loss.loss(jax.tree.map(jnp.asarray, n))) for n in (network, *wider))
    assert min(after) < before
    assert global_optimum(network, loss, seen._replace(relative=1e-12)) is None


def test_noise_that_no_network_can_fit_does_not_hide_an_optimum():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 2))
    y = x @ rng.normal(size=(2, 2)) + rng.normal(size=(60, 2))
    network, loss = small.neurons("linear", x, y, units=2, scale=0.5)
    best = polish(network, loss).network
    assert loss.lower_bound() > 0.1
    assert global_optimum(best, loss, insertion(best, loss)) is True


class SquaredReLU(AbstractNeuron):
    """Degree 2, smooth to first order, and no quadratic form."""

    degree: ClassVar[int | None] = 2
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 2
    parity: ClassVar[str] = "none"

    def activation(self, z):
        return jnp.maximum(z, 0.0) ** 2


def test_units_of_degree_two_that_are_no_quadratic_form_are_not_taken_for_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.maximum(x[:, :1], 0) ** 2 - np.maximum(-x[:, :1], 0) ** 2  # odd: the form E y x x^T says little of it
    network = Layer.zeros(SquaredReLU(), 3, (2,), 1)
    loss = objectives.build(Samples(x, y), network)
    seen = insertion(network, loss)
    angles = np.linspace(0, 2 * np.pi, 5001)
    best = brute_force(network, loss, np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert not seen.exact
    assert seen.value == pytest.approx(best, rel=1e-4)
    assert global_optimum(network, loss, seen) is False


def test_a_silent_unit_that_feeds_a_unit_in_use_is_seen_in_deep_quadratic_networks():
    # the first unit of each layer is in use; a second one in the first layer may feed the second layer's
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    narrow = Deep(Quadratic(), (np.array([[1.0, 0.2, 0.0]]), np.array([[0.9]]), np.array([[0.7]])))
    teacher = (np.array([[1.0, 0.2, 0.0], [0.0, 0.3, 0.8]]), np.array([[0.9, 0.6]]), np.array([[0.7]]))
    with jax.enable_x64(True):
        y = np.asarray(jax.vmap(jax.tree.map(jnp.asarray, Deep(Quadratic(), teacher)))(jnp.asarray(x)))
    loss = objectives.build(Samples(x, y), narrow)
    point = polish(narrow, loss)
    wide = Silent(3)(point.network.lenses()[0])
    seen = escape_of(wide, loss)
    assert (seen.escape.law, seen.escape.degree) == ("algebraic", 3)
    assert not certify(wide, loss).rests
