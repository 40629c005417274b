"""Initial weights: streams that never change, scales with two-sided bounds, and what each kind promises exactly."""

import itertools

import jax
import numpy as np
import pytest

from cases import DEEP, LAYERS, NETWORKS, STACKS, Softplus, ids
from saddlescope.init import INITS, arrays, balanced, gaussian, low_rank, put, scales
from saddlescope.networks import Deep, Layer, build
from saddlescope.specs.init import INITS as SPECS
from saddlescope.tasks import DataError
from saddlescope.units import CubicHead, Kernel, Linear, Quadratic, ReLU, Tanh, TokenHead

over_networks = pytest.mark.parametrize("case", NETWORKS, ids=ids)

WIDE = Layer.zeros(Tanh(), 300, (40,), 20)  # 12000 and 6000 weights
WIDE_DEEP = Deep.zeros(Tanh(), [60, 50], (40,), 20)


def rms(a) -> float:
    return float(np.sqrt(np.mean(np.square(a))))


def same(a, b) -> bool:
    return all(np.array_equal(a.arrays()[name], b.arrays()[name]) for name in a.arrays())


def test_every_kind_of_a_spec_has_its_function():
    assert set(INITS) == set(SPECS)


# --------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("kind", [gaussian, low_rank, balanced])
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(kind):
    zeros = Layer.zeros(Quadratic(), 5, (4,), 2)
    first = kind(zeros, scale=0.1, seed=3)
    assert same(first, kind(zeros, scale=0.1, seed=3))
    other = kind(zeros, scale=0.1, seed=4)
    assert not any(np.any(first.arrays()[name] == other.arrays()[name]) for name in first.arrays())
    assert same(kind(zeros, scale=0.1), kind(zeros, scale=0.1, seed=0))


def test_streams_are_the_ones_they_were():
    # literal values of version 0.1: runs made with one version are made again with the next
    zeros = Layer.zeros(Quadratic(), 3, (2,), 1)
    drawn = gaussian(zeros, scale=1.0).arrays()
    np.testing.assert_allclose(drawn["u"][0], [0.1257302210933933, -0.1321048632913019], rtol=1e-14)
    np.testing.assert_allclose(
        drawn["v"][:, 0], [1.3040000451301372, 0.9470809631292422, -0.7037352358069926], rtol=1e-14
    )
    np.testing.assert_allclose(
        low_rank(zeros, scale=1.0).arrays()["u"][0], [0.013189114922374541, -0.06734982872050588], rtol=1e-12
    )
    np.testing.assert_allclose(
        balanced(zeros, scale=1.0).arrays()["v"][:, 0],
        [0.1289569373888181, 0.45888190516707, -0.4569970793548962],
        rtol=1e-12,
    )


def test_arrays_are_drawn_one_after_the_other_in_the_networks_order():
    # the second array starts where the first ends: the draw does not depend on how weights are stored
    zeros = Layer.zeros(TokenHead(rank=2), 3, (4, 3), 1)
    stream = np.random.Generator(np.random.PCG64(7))
    for name, a in gaussian(zeros, scale=0.5, seed=7).arrays().items():
        np.testing.assert_array_equal(a, 0.5 * stream.standard_normal(zeros.arrays()[name].shape), err_msg=name)


# --------------------------------------------------------------------------------------------------------------- scales


@pytest.mark.parametrize("zeros", [WIDE, WIDE_DEEP], ids=["layer", "deep"])
@pytest.mark.parametrize("convention", ["weight", "layer"])
def test_the_scale_is_the_standard_deviation_of_a_weight_or_the_norm_of_a_layer(zeros, convention):
    for name, a in gaussian(zeros, scale=0.3, convention=convention).arrays().items():
        measured = rms(a) if convention == "weight" else np.linalg.norm(a)
        # the standard error of a standard deviation is 1 / sqrt(2 n); six of them
        assert abs(measured / 0.3 - 1) < 6 / np.sqrt(2 * a.size), name
        assert abs(np.mean(a)) < 6 * rms(a) / np.sqrt(a.size), name
        # normal: fourth moment 3, with standard error sqrt(96 / n)
        assert abs(np.mean(a**4) / rms(a) ** 4 - 3) < 6 * np.sqrt(96 / a.size), name


def test_the_two_conventions_differ_by_the_square_root_of_the_size():
    by_weight, by_layer = (scales(WIDE, 0.3, convention) for convention in ("weight", "layer"))
    assert by_weight == {"u": 0.3, "v": 0.3}
    assert by_layer == pytest.approx({"u": 0.3 / np.sqrt(12000), "v": 0.3 / np.sqrt(6000)}, rel=1e-15)


@over_networks
def test_all_weights_are_drawn_and_are_numpy_float64(case):
    network = gaussian(case.zeros(), scale=1e-3)
    for name, a in network.arrays().items():
        assert type(a) is np.ndarray
        assert a.dtype == np.float64
        assert np.all(a != 0), name
    assert np.unique(np.concatenate([a.ravel() for a in network.arrays().values()])).size == network.num_weights()
    assert jax.config.jax_enable_x64 is False


# -------------------------------------------------------------------------------------------------------------- balanced

# |W|^2 of order 1: a few products of rounding 1e-16, relative to the scale squared
ROUNDING = 1e-14


@pytest.mark.parametrize("case", [c for c in STACKS if c.outputs > 1], ids=ids)
def test_low_rank_layers_of_different_kinds_share_the_directions_of_their_units(case):
    network = low_rank(case.zeros(), scale=0.1, rank=2, seed=2)
    for lens in network.lenses():
        u, v = lens.get()
        for part in (u, v.reshape(len(v), -1), np.hstack([u, v.reshape(len(v), -1)])):
            assert numerical_rank(part) == 2


@pytest.mark.parametrize("case", [c for c in STACKS if c.outputs == 1], ids=ids)
def test_with_one_output_layers_of_different_kinds_have_one_direction(case):
    for lens in low_rank(case.zeros(), scale=0.1, seed=2).lenses():
        u, v = lens.get()
        assert numerical_rank(np.hstack([u, v.reshape(len(v), -1)])) == 1


@pytest.mark.parametrize("widths", [(5,), (1,), (5, 3), (3, 5, 6), (2, 2, 2)])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_balanced_linear_layers_conserve_nothing_but_zeros(widths, scale):
    if len(widths) == 1:
        made = balanced(Layer.zeros(Linear(), widths[0], (4,), 3), scale=scale, seed=1)
        matrices = [made.u, made.v[:, 0].T]
    else:
        made = balanced(Deep.zeros(Linear(), list(widths), (4,), 3), scale=scale, seed=1)
        matrices = list(made.weights)
    for below, above in itertools.pairwise(matrices):
        np.testing.assert_allclose(above.T @ above, below @ below.T, rtol=0, atol=10 * ROUNDING * scale**2)
        assert np.linalg.norm(below) == pytest.approx(np.linalg.norm(above), rel=1e-13)
    assert rms(matrices[0]) == pytest.approx(scale, rel=1e-13)
    rank = min(4, 3, *widths)
    product = np.linalg.multi_dot(matrices[::-1])
    assert np.linalg.matrix_rank(product) == rank  # as large as it can be


@pytest.mark.parametrize(
    ("unit", "x_shape", "outputs"),
    [
        (ReLU(), (4,), 3),
        (Quadratic(), (4,), 3),
        (Kernel(Linear(), 3, 1), (6,), 2),
        (Kernel(ReLU(), 2, 2), (6,), 2),
        (TokenHead(rank=2), (4, 3), 1),
        (TokenHead(merged=True), (4, 3), 1),
        (CubicHead(rank=1), (2, 3), 1),
    ],
)
def test_balanced_units_have_input_weights_the_square_root_of_the_degree_as_large(unit, x_shape, outputs):
    made = balanced(Layer.zeros(unit, 6, x_shape, outputs), scale=1e-3, seed=1)
    u = np.linalg.norm(made.u, axis=1)
    v = np.linalg.norm(made.v.reshape(6, -1), axis=1)
    np.testing.assert_allclose(u**2, unit.degree * v**2, rtol=ROUNDING)
    # and the input weights are the plain draw
    same_u = gaussian(Layer.zeros(unit, 6, x_shape, outputs), scale=1e-3, seed=1).u
    np.testing.assert_array_equal(made.u, same_u)
    unbalanced = gaussian(Layer.zeros(unit, 6, x_shape, outputs), scale=1e-3, seed=1).v
    assert not np.allclose(np.linalg.norm(unbalanced.reshape(6, -1), axis=1), v, rtol=1e-2)


@pytest.mark.parametrize(
    "zeros",
    [
        Layer.zeros(Tanh(), 3, (4,), 1),
        Layer.zeros(Softplus(), 3, (4,), 1),
        Layer.zeros(Kernel(Tanh(), 2, 2), 3, (4,), 1),
        Deep.zeros(ReLU(), [3, 2], (4,), 1),
    ],
)
def test_balance_where_nothing_is_conserved_is_refused(zeros):
    with pytest.raises(
        ValueError, match=r'kind = "balanced" needs linear layers, or one layer of units with a degree.*gaussian'
    ):
        balanced(zeros, scale=1e-3)


# -------------------------------------------------------------------------------------------------------------- low rank


def numerical_rank(matrix) -> int:
    """Singular values above 1e-12 of the largest; those of the made factors are within 1e-2 of each other at most."""
    s = np.linalg.svd(matrix, compute_uv=False)
    assert not np.any((s > 1e-14 * s[0]) & (s < 1e-3 * s[0])), "no gap that would tell a rank"
    return int(np.sum(s > 1e-12 * s[0]))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 1e-8])
def test_low_rank_weights_have_that_rank_alone_and_together(rank, scale):
    made = low_rank(Layer.zeros(Tanh(), 8, (5,), 4), scale=scale, rank=rank, seed=2)
    assert numerical_rank(made.u) == rank
    assert numerical_rank(made.v[:, 0]) == rank
    assert numerical_rank(np.hstack([made.u, made.v[:, 0]])) == rank  # the units share their directions
    full = gaussian(Layer.zeros(Tanh(), 8, (5,), 4), scale=scale, seed=2)
    assert numerical_rank(full.u) == 5


@pytest.mark.parametrize("case", [c for c in LAYERS if c.name in ("head-rank-2", "linear-kernel-3-1")], ids=ids)
def test_low_rank_kernels_and_heads_share_a_few_directions_of_the_units(case):
    arrays = low_rank(case.zeros(), scale=0.1, rank=2, seed=2).arrays()
    assert numerical_rank(np.hstack([a.reshape(5, -1) for a in arrays.values()])) == 2


@pytest.mark.parametrize("case", DEEP, ids=ids)
def test_low_rank_layers_share_the_directions_of_the_layer_between_them(case):
    weights = low_rank(case.zeros(), scale=0.1, rank=2, seed=2).weights
    for w in weights:
        assert numerical_rank(w) == 2
    for below, above in itertools.pairwise(weights):
        assert numerical_rank(np.hstack([below, above.T])) == 2


@pytest.mark.parametrize("convention", ["weight", "layer"])
def test_low_rank_weights_have_about_the_scale(convention):
    # a product of normal factors spreads widely, so the mean square is held over seeds, to five of its standard errors
    squares = []
    for seed in range(300):
        made = low_rank(Layer.zeros(Tanh(), 8, (5,), 4), scale=0.1, rank=2, convention=convention, seed=seed)
        squares.append(np.mean(made.u**2) / (0.1**2 if convention == "weight" else 0.1**2 / 40))
    squares = np.array(squares)
    assert abs(np.mean(squares) - 1) < 5 * np.std(squares) / np.sqrt(len(squares))
    assert np.std(squares) / np.sqrt(len(squares)) < 0.05


def test_a_rank_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"rank = 3 needs v to have at least so many rows and columns: it is 8 x 2"):
        low_rank(Layer.zeros(Tanh(), 8, (5,), 2), scale=0.1, rank=3)
    # rank 1 always goes: one output, one input, one unit
    made = low_rank(Layer.zeros(Tanh(), 1, (1,), 1), scale=0.1, rank=1)
    assert made.num_weights() == 2


# ---------------------------------------------------------------------------------------------------------------- arrays


def saved(path, network, **changed):
    content = {name: np.asarray(a) for name, a in network.arrays().items()} | changed
    np.savez(path, **{name: a for name, a in content.items() if a is not None})
    return str(path)


@over_networks
def test_a_file_of_a_networks_arrays_is_that_network(case, tmp_path):
    network = case.random()
    assert same(arrays(case.zeros(), file=saved(tmp_path / "init.npz", network)), network)


def test_other_real_numbers_are_taken_as_float64(tmp_path):
    zeros = Layer.zeros(Tanh(), 2, (3,), 1)
    u, v = np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((2, 1), np.float32) / 3
    made = arrays(zeros, file=saved(tmp_path / "init.npz", zeros, u=u, v=v))
    assert made.u.dtype == made.v.dtype == np.float64
    np.testing.assert_array_equal(made.u, u)
    np.testing.assert_array_equal(made.v[:, 0], v)


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"v": None}, DataError, r"needs an array 'v', found \['u'\]"),
        ({"u": np.ones((2, 4))}, ValueError, r"need u \[units = 2, inputs = 3\]: found shape \[2, 4\].*\[network\]"),
        ({"u": np.ones((3, 2))}, ValueError, r"need u \[units = 2, inputs = 3\]: found shape \[3, 2\]"),
        ({"v": np.ones(2)}, ValueError, r"need v \[units = 2, outputs = 1\]: found shape \[2\]"),
        ({"u": np.array([[0, 1, 2], [0, np.nan, 2]])}, DataError, r"u\[1, 1\] is nan: weights need to be finite"),
        ({"v": np.array([[1.0], [-np.inf]])}, DataError, r"v\[1, 0\] is -inf"),
        ({"u": np.full((2, 3), 1j)}, DataError, r"real numbers in u: found complex128"),
        ({"u": np.full((2, 3), "a")}, DataError, r"real numbers in u: found <U1"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_what_was_found(changed, error, says, tmp_path):
    zeros = Layer.zeros(Tanh(), 2, (3,), 1)
    with pytest.raises(ValueError, match=says) as caught:
        arrays(zeros, file=saved(tmp_path / "init.npz", zeros, **changed))
    assert type(caught.value) is error  # bad content and a wrong question leave by different exit codes


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        arrays(Layer.zeros(Tanh(), 2, (3,), 1), file=str(tmp_path / "none.npz"))


def test_a_missing_array_is_named_with_its_shape():
    zeros = build("fully_connected", (3,), 1, {"activation": "tanh", "units": [4, 2]})
    with pytest.raises(DataError, match=r"need W2 \[hidden_2 = 2, hidden_1 = 4\]: found W1, W3"):
        put(zeros, {"W1": np.ones((4, 3)), "W3": np.ones((1, 2))})
