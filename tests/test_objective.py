r"""Objectives: the loss and its gradient are those of the samples, in whatever form the data come."""

from functools import cache

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import NETWORKS, Cubed, ids, inputs, outputs, with_random_weights
from saddlescope.networks import Deep, Layer
from saddlescope.objective import Objective, build
from saddlescope.tasks import InContextRegression, LinearTeacher, Moments, PopulationMoments, QuadraticTeacher, Samples
from saddlescope.units import CubicHead, Kernel, Linear, Quadratic, ReLU, Tanh

SAMPLES = 60  # more than dim psi + outputs of every case, so that compression is automatic


def some(*names):
    found = [case for case in NETWORKS if case.name in names]
    assert len(found) == len(names)
    return pytest.mark.parametrize("case", found, ids=ids)


@cache
def samples_for(x_shape, outputs, num_samples=SAMPLES, seed=1) -> Samples:
    """Normal inputs and targets, and weights that differ: nothing that any network fits."""
    rng = np.random.default_rng(seed)
    y, weight = rng.normal(size=(num_samples, outputs)), rng.uniform(0.2, 2.0, size=num_samples)
    return Samples(inputs(x_shape, num_samples, seed), y, weight)


@eqx.filter_jit
def _loss_and_gradient(objective, network):
    return objective.loss_and_gradient(network)


def loss_and_gradient(objective: Objective, network):
    """L, and its gradient as named arrays, in 64 bits."""
    with jax.enable_x64(True):
        loss, gradient = _loss_and_gradient(objective, network)
        return float(loss), {name: np.asarray(a) for name, a in gradient.arrays().items()}


def slow_loss(data: Samples, f) -> float:
    total = 0.0
    for n in range(len(data.x)):
        for o in range(data.y.shape[1]):
            total += 0.5 * data.weight[n] * (data.y[n, o] - f[n, o]) ** 2
    return total


def assert_same_gradient(found, expected, rounding=1e-12):
    assert list(found) == list(expected)
    size = max(np.abs(g).max() for g in expected.values())
    for name, g in expected.items():
        np.testing.assert_allclose(found[name], g, rtol=0, atol=rounding * size, err_msg=name)


# ------------------------------------------------------------------------------------------------------ loss of samples


@some("linear", "relu", "swish", "tanh-kernel-2-3", "head-rank-2", "cubic-rank-1", "cubed-3-layers", "tanh-4-layers")
def test_loss_is_half_the_weighted_mean_square_and_gradient_its_slope(case):
    data, network = samples_for(case.x_shape, case.outputs, 7), case.random(scale=0.7)
    objective = build(data, network, compress=False)
    loss, gradient = loss_and_gradient(objective, network)
    assert loss == pytest.approx(slow_loss(data, outputs(network, data.x)), rel=1e-13)
    rng, step = np.random.default_rng(0), 1e-5
    towards = {name: rng.normal(size=a.shape) for name, a in network.arrays().items()}
    ends = [
        slow_loss(
            data, outputs(network.with_arrays({k: a + s * towards[k] for k, a in network.arrays().items()}), data.x)
        )
        for s in (step, -step)
    ]
    slope = sum(np.sum(g * towards[name]) for name, g in gradient.items())
    # a central difference: step^2 of the third derivative (largest for cubed neurons) and 1e-16 L / step of rounding
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-8 * (1 + loss))


def test_weights_count_samples_as_often_as_they_say():
    # three times the weight is the sample thrice
    x, y, network = inputs((4,)), inputs((2,), seed=3), NETWORKS[0].random()
    heavy = build(Samples(x, y, [3.0, 1, 1, 1, 1, 1, 2]), network, compress=False)
    often = build(
        Samples(np.vstack([x[[0, 0]], x, x[-1:]]), np.vstack([y[[0, 0]], y, y[-1:]])), network, compress=False
    )
    assert float(heavy.loss_of(outputs(network, heavy.x))) == pytest.approx(
        float(often.loss_of(outputs(network, often.x))), rel=1e-14
    )


# ----------------------------------------------------------------------------------------------------------- compression


@some(
    *("linear", "quadratic", "linear-kernel-3-1", "quadratic-kernel-2-2", "linear-4-layers"),
    *("head-rank-2", "head-merged", "cubic-rank-1"),
)
def test_compressed_loss_and_gradient_are_those_of_the_samples(case):
    # Holds exactly: differences are rounding of the QR, 60 rows x 1.1e-16 of a loss of order 1 to 1e4
    data, network = samples_for(case.x_shape, case.outputs), case.random()
    small, plain = build(data, network), build(data, network, compress=False)
    assert small.lifted
    assert small.psi_name == network.psi_name
    assert len(small.x) < len(plain.x) == SAMPLES
    found, expected = loss_and_gradient(small, network), loss_and_gradient(plain, network)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    assert_same_gradient(found[1], expected[1])


def test_a_comparison_of_gradients_can_fail():
    data, network = samples_for((4,), 2), NETWORKS[0].random()
    off = Samples(data.x, data.y, data.weight * np.linspace(1, 1 + 1e-9, SAMPLES))
    expected = loss_and_gradient(build(data, network), network)[1]
    with pytest.raises(AssertionError):
        assert_same_gradient(loss_and_gradient(build(off, network), network)[1], expected)


@some("linear", "linear-kernel-3-1", "quadratic-kernel-2-2", "head-rank-2", "cubic-merged")
def test_compression_keeps_what_else_is_a_second_moment(case, rng, x64):
    data, network = samples_for(case.x_shape, case.outputs), case.random()
    u = rng.normal(size=network.u.shape[1])

    @eqx.filter_jit
    def of(objective):
        lens, f = network.lenses()[0], objective.outputs(network)
        moments = (
            objective.mean_square(f),
            objective.scale_of(f),
            objective.scale_of(0 * f),
            objective.correlation(lens, u),
        )
        residual = 0.5 * (objective.residual(network) ** 2).sum() + objective.irreducible
        features = objective.features(lens)
        gram = (objective.weight[:, None, None] * features).reshape(len(f), -1).T @ features.reshape(len(f), -1)
        return *moments, residual, objective.loss(network), gram

    found = [[np.asarray(a) for a in of(build(data, network, compress=compress))] for compress in (True, False)]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * np.abs(b).max())
    mean_square, scale, target, correlation, residual, loss, _ = found[1]
    f = outputs(network, data.x)
    assert residual == pytest.approx(loss, rel=1e-12)
    assert mean_square == pytest.approx(data.weight @ (f**2).sum(1), rel=1e-12)
    assert scale == pytest.approx(np.sqrt(max(mean_square, data.weight @ (data.y**2).sum(1))), rel=1e-12)
    assert target == pytest.approx(np.sqrt(data.weight @ (data.y**2).sum(1)), rel=1e-12)
    phi = np.array([case.unit.slow(x=x, **case.unit.named(u)) for x in data.x])
    np.testing.assert_allclose(
        correlation, np.einsum("n,nf,no->fo", data.weight, phi, data.y - f), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("chunk", [1, 300])
def test_slices_of_the_samples_compress_to_the_same_moments(chunk, monkeypatch):
    # a slice has 1 x (dim + outputs) rows at least; the last one is shorter
    data, network = samples_for((4,), 2, 53), NETWORKS[2].random()
    whole = loss_and_gradient(build(data, network), network)
    monkeypatch.setitem(build.__globals__, "CHUNK", chunk)
    sliced = build(data, network)
    found = loss_and_gradient(sliced, network)
    assert found[0] == pytest.approx(whole[0], rel=1e-12)
    assert_same_gradient(found[1], whole[1])


def test_compression_is_automatic_where_it_is_shorter_and_not_otherwise():
    linear, case = NETWORKS[0].zeros(), NETWORKS[0]
    rows = case.x_shape[0] + case.outputs
    assert build(samples_for((4,), 2, rows + 1), linear).lifted
    assert not build(samples_for((4,), 2, rows), linear).lifted
    assert build(samples_for((4,), 2, rows), linear, compress=True).lifted
    assert not build(samples_for((4,), 2, rows + 1), linear, compress=False).lifted
    assert not build(samples_for((4,), 2, 100), next(c for c in NETWORKS if c.name == "relu").zeros()).lifted


def test_compression_of_a_network_without_psi_is_refused():
    with pytest.raises(
        ValueError, match=r"compress = true needs a network linear in a fixed psi\(x\): Tanh, 5 units has none"
    ):
        build(samples_for((4,), 2), next(c for c in NETWORKS if c.name == "tanh").zeros(), compress=True)


# ------------------------------------------------------------------------------------------------ irreducible, lower bound


def least_squares(psi, data: Samples) -> float:
    root = np.sqrt(data.weight)[:, None]
    fit = np.linalg.lstsq(root * psi, root * data.y, rcond=None)[0]
    return 0.5 * np.sum((root * (psi @ fit - data.y)) ** 2)


@pytest.mark.parametrize("seen", [4, 3])
def test_lower_bound_is_the_least_squares_fit_of_psi(seen):
    # `seen` = 3: one input is never on, and psi has a direction that the data do not know
    data = samples_for((4,), 2)
    x = data.x.copy()
    x[:, seen:] = 0.0
    data = Samples(x, data.y, data.weight)
    rows, columns = np.triu_indices(4)
    for unit, psi in ((Linear(), x), (Quadratic(), x[:, rows] * x[:, columns])):
        objective = build(data, Layer.zeros(unit, 3, (4,), 2))
        expected = least_squares(psi, data)
        assert objective.lower_bound() == pytest.approx(expected, rel=1e-12)
        assert 0 < objective.irreducible <= expected * (1 + 1e-12)
        if seen == 4:
            assert objective.irreducible == pytest.approx(expected, rel=1e-12)
        assert build(data, Layer.zeros(unit, 3, (4,), 2), compress=False).lower_bound() == 0.0


def test_targets_that_psi_explains_leave_nothing_irreducible():
    data = samples_for((4,), 2)
    explained = Samples(data.x, data.x @ inputs((2,), 4), data.weight)
    objective = build(explained, Layer.zeros(Linear(), 3, (4,), 2))
    assert objective.irreducible == 0.0
    assert objective.lower_bound() < 1e-28  # the square of rounding
    by_a_bit = Samples(data.x, explained.y + 1e-6 * data.y, data.weight)
    objective = build(by_a_bit, Layer.zeros(Linear(), 3, (4,), 2))
    assert objective.lower_bound() == pytest.approx(1e-12 * least_squares(data.x, data), rel=1e-6)


# ------------------------------------------------------------------------------------------------------------ populations


def test_the_population_of_a_linear_teacher_has_its_closed_form_loss():
    # L = 1/2 tr (W - M) Lambda (W - M)^T + 1/2 noise^2 outputs, with W = diag(s / lambda) in random bases
    task = LinearTeacher(
        singular_values=(2.0, 0.5), input_eigenvalues=(1.0, 3.0, 0.2), outputs=3, rotate=True, noise=0.3
    )
    data = task.data("vectors")
    sxx, sxy = data.moments["inputs"].psi_psi, data.moments["inputs"].psi_y
    np.testing.assert_allclose(np.linalg.eigvalsh(sxx), (0.2, 1.0, 3.0))
    teacher = np.linalg.solve(sxx, sxy).T
    for zeros in (Layer.zeros(Linear(), 4, (3,), 3), Deep.zeros(Linear(), [4, 5], (3,), 3)):
        network = with_random_weights(zeros, np.random.default_rng(0))
        objective = build(data, network)
        off = teacher - outputs(network, np.eye(3)).T
        expected = 0.5 * np.trace(off @ sxx @ off.T) + 0.5 * 0.3**2 * 3
        assert loss_and_gradient(objective, network)[0] == pytest.approx(expected, rel=1e-12)
        assert objective.irreducible == pytest.approx(0.5 * 0.3**2 * 3, rel=1e-12)
        assert objective.lower_bound() == pytest.approx(0.5 * 0.3**2 * 3, rel=1e-12)
        height = loss_and_gradient(objective, zeros)[0]
        assert height == pytest.approx(0.5 * (2.0**2 / 1.0 + 0.5**2 / 3.0 + 0.3**2 * 3), rel=1e-12)


def test_the_population_of_a_quadratic_teacher_has_its_closed_form_loss():
    # L = 1/2 [tr(D S)^2 + 2 tr(D S D S)], D = B - sum_i v_i u_i u_i^T, by Wick's theorem
    matrix, covariance = (
        ((1.0, 0.2, 0.0), (0.2, -0.5, 0.1), (0.0, 0.1, 2.0)),
        ((1.0, 0.3, 0), (0.3, 2.0, 0), (0, 0, 0.5)),
    )
    data = QuadraticTeacher(matrix=matrix, covariance=covariance).data("vectors")
    network = with_random_weights(Layer.zeros(Quadratic(), 4, (3,), 1), np.random.default_rng(0))
    objective = build(data, network)
    ds = (np.array(matrix) - np.einsum("h,ha,hb->ab", network.v[:, 0, 0], network.u, network.u)) @ np.array(covariance)
    expected = 0.5 * (np.trace(ds) ** 2 + 2 * np.trace(ds @ ds))
    assert loss_and_gradient(objective, network)[0] == pytest.approx(expected, rel=1e-12)
    assert objective.irreducible == 0.0
    # linear units see nothing of y: all of it is irreducible
    linear = Layer.zeros(Linear(), 4, (3,), 1)
    blind = build(data, linear)
    assert blind.lower_bound() == pytest.approx(loss_and_gradient(blind, linear)[0], rel=1e-12)


@pytest.mark.parametrize("head", [CubicHead(rank=2), CubicHead(merged=True)])
def test_the_population_of_in_context_regression_has_its_closed_form_loss(head):
    # E (y - f)^2 = tr Lam - 2 <Lam^2, M> + tr(M^T C M Lam), C = Lam^2 (1 + 1/N) + (tr Lam / N) Lam, f = beta^T M x_q
    lam, context = np.array([1.0, 0.5, 0.3]), 5
    data = InContextRegression(eigenvalues=tuple(lam), context=context).data("cubic")
    network = with_random_weights(Layer.zeros(head, 4, (2, 3), 1), np.random.default_rng(0))
    basis = np.array([np.stack([np.eye(3)[a], np.eye(3)[b]]) for a in range(3) for b in range(3)])
    m = outputs(network, basis).reshape(3, 3)
    c = np.diag(lam**2 * (1 + 1 / context) + lam.sum() / context * lam)
    square = lam.sum() - 2 * np.sum(lam**2 * np.diag(m)) + np.trace(m.T @ c @ m @ np.diag(lam))
    objective = build(data, network)
    assert loss_and_gradient(objective, network)[0] == pytest.approx(0.5 * square, rel=1e-12)
    # the best m is diagonal with 1 / (lam (1 + 1/N) + tr Lam / N)
    best = 0.5 * (lam.sum() - np.sum(lam**2 / (lam * (1 + 1 / context) + lam.sum() / context)))
    assert objective.lower_bound() == pytest.approx(best, rel=1e-12)


def test_exact_moments_are_those_of_the_samples_that_they_were_taken_from():
    # also where an input is never on, and E psi psi^T is singular
    data = samples_for((4,), 2)
    x = data.x * np.array([1.0, 1.0, 0.0, 1e-3])
    data = Samples(x, data.y, data.weight)
    w = data.weight[:, None]
    moments = Moments("inputs", x.T @ (w * x), x.T @ (w * data.y), data.y.T @ (w * data.y))
    network = with_random_weights(Layer.zeros(Linear(), 3, (4,), 2), np.random.default_rng(0))
    population = build(PopulationMoments((4,), 2, {"inputs": moments}), network)
    assert len(population.x) == 3
    found = loss_and_gradient(population, network)
    expected = loss_and_gradient(build(data, network, compress=False), network)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    assert_same_gradient(found[1], expected[1])
    assert population.lower_bound() == pytest.approx(least_squares(x, data), rel=1e-10)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (Layer.zeros(Tanh(), 3, (2,), 2), r'does not go with Tanh.*moments of "inputs", .* are none: .* samples = 200'),
        (Layer.zeros(Quadratic(), 3, (2,), 2), r'Quadratic.*moments of "inputs", .* are "outer"'),
        (Layer.zeros(Kernel(Linear(), 1, 1), 3, (2,), 2), r'Kernel.*moments of "inputs", .* are "patches"'),
    ],
)
def test_moments_of_other_features_are_refused_with_the_way_out(network, says):
    data = LinearTeacher(singular_values=(1.0, 0.5)).data("vectors")
    with pytest.raises(ValueError, match=says):
        build(data, network)


# ---------------------------------------------------------------------------------------------------- odd sizes, settings


@settings(max_examples=8, derandomize=True, deadline=None)
@given(
    samples=st.sampled_from([1, 2, 9]),
    units=st.sampled_from([1, 3]),
    num_inputs=st.sampled_from([1, 2]),
    num_outputs=st.sampled_from([1, 3]),
    unit=st.sampled_from([Linear(), Quadratic(), ReLU(), Cubed()]),
    weighted=st.booleans(),
)
def test_all_sizes_down_to_one_work(samples, units, num_inputs, num_outputs, unit, weighted):
    rng = np.random.default_rng(0)
    data = Samples(
        rng.normal(size=(samples, num_inputs)),
        rng.normal(size=(samples, num_outputs)),
        rng.uniform(0, 5, size=samples) if weighted else None,
    )
    network = with_random_weights(Layer.zeros(unit, units, (num_inputs,), num_outputs), rng)
    f = np.zeros((samples, num_outputs))
    activation = {Linear: lambda z: z, Quadratic: np.square, ReLU: lambda z: max(z, 0.0), Cubed: lambda z: z**3}[
        type(unit)
    ]
    for n in range(samples):
        for i in range(units):
            f[n] += activation(network.u[i] @ data.x[n]) * network.v[i, 0]
    for compress in (False, True) if unit.linear or unit.degree == 2 else (False,):
        objective = build(data, network, compress=compress)
        loss, gradient = loss_and_gradient(objective, network)
        assert loss == pytest.approx(slow_loss(data, f), rel=1e-12, abs=1e-14)
        assert all(np.all(np.isfinite(g)) for g in gradient.values())
        assert objective.lower_bound() <= loss * (1 + 1e-12) + 1e-14


def test_more_weights_than_the_sum_of_samples_are_no_trouble():
    data = Samples(np.array([[1.0]]), np.array([[2.0]]))
    network = with_random_weights(Layer.zeros(Linear(), 9, (1,), 1), np.random.default_rng(0))
    for compress in (None, True, False):
        found = loss_and_gradient(build(data, network, compress=compress), network)
        off = network.u[:, 0] @ network.v[:, 0, 0] - 2.0
        assert found[0] == pytest.approx(0.5 * off**2, rel=1e-13)
        np.testing.assert_allclose(found[1]["u"], off * network.v[:, 0], rtol=1e-13)
        np.testing.assert_allclose(found[1]["v"], off * network.u, rtol=1e-13)


@pytest.mark.parametrize("setting", [False, True])
def test_building_gives_numpy_float64_and_leaves_the_users_setting_alone(setting):
    with jax.enable_x64(setting):
        for case in (NETWORKS[0], NETWORKS[1]):
            objective = build(samples_for(case.x_shape, case.outputs), case.random())
            assert jax.config.jax_enable_x64 is setting
            for a in (objective.x, objective.y, objective.weight):
                assert type(a) is np.ndarray
                assert a.dtype == np.float64
            assert objective.irreducible.dtype == np.float64
            assert isinstance(objective.lower_bound(), float)
    assert jax.config.jax_enable_x64 is False


def test_float32_would_show_in_these_tolerances():
    # what the user's 32-bit setting makes of the same loss is off by 1e-7: none of the comparisons above would hold
    data, network = samples_for((4,), 2), NETWORKS[0].random()
    objective = build(data, network, compress=False)
    short = float(_loss_and_gradient(objective, network)[0])
    exact = loss_and_gradient(objective, network)[0]
    assert 1e-10 < abs(short / exact - 1) < 1e-5
