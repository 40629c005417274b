"""Embeddings: functions that stay, gradients that are combinations of narrow ones, refusals that are right, and the way back.

Gradients are compared at random points, where the identity has nothing to do with smallness; then, for a few units, at fixed points.
"""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import LAYERS, NETWORKS, inputs, outputs, with_random_weights
from reference import embeddings as slow
from saddlescope import complexity
from saddlescope.embeddings import Factorised, Mixing, Proportional, Silent, Split, fitted, reduce, refusal
from saddlescope.fixed_points import polish
from saddlescope.networks import Deep, Layer
from saddlescope.objective import build
from saddlescope.tasks import Samples

CASES = {case.name: case for case in NETWORKS}
UNITS = {case.name: case.unit.unit for case in LAYERS}
# layers whose weights hang on another's have no embedding, and no manifold, of their own: test_networks
LENSES = [(case, i) for case in NETWORKS for i, lens in enumerate(case.zeros().lenses()) if lens.tied is None]
NEURONS = ("linear", "relu", "quadratic", "tanh", "cubed", "swish", "softplus", "magnitude")


def over_lenses(allows):
    """Every layer of every network whose units' facts allow something."""
    found = [(case, i) for case, i in LENSES if allows(case.zeros().lenses()[i].facts)]
    return pytest.mark.parametrize(
        ("case", "layer"), [pytest.param(case, i, id=f"{case.name}-{i}") for case, i in found]
    )


@eqx.filter_jit
def _outputs_and_gradient(network, x, y):
    def loss(network):
        f = jax.vmap(network)(x)
        return 0.5 * jnp.mean(jnp.sum((f - y) ** 2, axis=1)), f

    gradient, f = jax.grad(loss, has_aux=True)(network)
    return f, gradient


def look(lens, network):
    """f on samples, and the gradients of u and v of a layer, for targets of order 1."""
    (first, *_) = network.dims().values()
    case_x = {"vectors": (first.get("inputs", 4),), "signals": (6,), "tokens": (4, 3), "cubic": (2, 3)}[network.form]
    x = inputs(case_x)
    y = np.random.default_rng(1).normal(size=(len(x), lens.get()[1].shape[2] if lens.direct else 2))
    with jax.enable_x64(True):
        f, gradient = _outputs_and_gradient(network, x, y)
        return np.asarray(f), *(np.asarray(part) for part in lens.of(gradient).get())


def close(a, b) -> bool:
    # sums of at most a few hundred products, relative to the largest number there: measured below 2e-15
    return np.shape(a) == np.shape(b) and np.abs(a - b).max() <= 1e-12 * max(np.abs(b).max(), 1e-300)


def times(matrix, gradient):
    return np.tensordot(matrix, gradient, axes=1)


def layer_of(case, layer):
    return case.random(scale=0.7).lenses()[layer]


def unequal(rng, wide, narrow):
    """A tall matrix, and a left inverse of it that is not the pseudo-inverse."""
    g = rng.normal(size=(wide, narrow))
    pinv = np.linalg.pinv(g)
    return g, pinv + rng.normal(size=(narrow, wide)) @ (np.eye(wide) - g @ pinv)


# ------------------------------------------------------------------------------ functions and gradients, at random points


@over_lenses(lambda facts: True)
def test_split_leaves_the_function_and_shares_the_gradients_of_input_weights(case, layer):
    lens = layer_of(case, layer)
    f, gu, gv = look(lens, lens.network)
    flips = [False] if lens.facts.parity == "none" else [False, True]
    for share in (0.0, 0.3, 1.0, -2.0):
        for flip in flips:
            wide_f, wide_u, wide_v = look(lens, Split(1, share, flip)(lens))
            turned = -1 if flip and lens.facts.parity == "odd" else 1
            assert close(wide_f, f)
            assert close(wide_u[: len(gu)], np.concatenate([gu[:1], share * gu[1:2], gu[2:]]))
            assert close(wide_v[: len(gv)], gv)
            assert np.allclose(wide_u[-1], (-1 if flip else 1) * (1 - share) * gu[1], atol=1e-12 * np.abs(gu).max())
            assert np.allclose(wide_v[-1], turned * gv[1], atol=1e-12 * np.abs(gv).max())


@over_lenses(lambda facts: facts.silent)
def test_silent_units_leave_the_function_and_do_not_move(case, layer):
    lens = layer_of(case, layer)
    f, gu, gv = look(lens, lens.network)
    wide_f, wide_u, wide_v = look(lens, Silent(1)(lens))
    assert close(wide_f, f)
    assert close(wide_u[:-1], gu)
    assert close(wide_v[:-1], gv)
    np.testing.assert_array_equal(wide_u[-1], 0.0)
    np.testing.assert_array_equal(wide_v[-1], 0.0)
    assert len(Silent(3)(lens).lenses()[layer].get()[0]) == len(gu) + 3


@over_lenses(lambda facts: facts.order >= 2)
def test_silent_units_of_order_two_have_free_output_weights(case, layer, rng):
    # THEORY 6.1, beyond Theorem 1 (ii); any v, also off the span of the narrow ones, where no matrix B leads
    lens = layer_of(case, layer)
    f, _, _ = look(lens, lens.network)
    u, v = lens.get()
    share = rng.normal(size=(1, len(u)))
    wide = Mixing(np.vstack([np.eye(len(u)), 0 * share]), np.vstack([np.eye(len(u)), share]))(lens)
    assert np.any(lens.of(wide).get()[1][-1])
    anywhere = lens.put(np.vstack([u, 0 * u[:1]]), np.concatenate([v, rng.normal(size=(1, *v.shape[1:]))]))
    for network in (wide, anywhere):
        wide_f, wide_u, wide_v = look(lens, network)
        assert close(wide_f, f)
        np.testing.assert_array_equal(wide_u[-1], 0.0)
        np.testing.assert_array_equal(wide_v[-1], 0.0)


@over_lenses(lambda facts: facts.degree is not None)
def test_proportional_units_share_what_their_degree_says(case, layer):
    # sum g^d h = 1 for every degree d; h of any sign, g of any sign only by parity
    lens = layer_of(case, layer)
    d, parity = lens.facts.degree, lens.facts.parity
    f, gu, gv = look(lens, lens.network)
    for first in (0.7,) if parity == "none" else (0.7, -0.7):
        g = np.array([first, 2.0])
        c = np.abs(g) ** d * np.where((g < 0) & (parity == "odd"), -1, 1)
        h = np.array([-1.5, (1 + 1.5 * c[0]) / c[1]])
        wide_f, wide_u, wide_v = look(lens, Proportional(0, tuple(g), tuple(h))(lens))
        assert close(wide_f, f)
        assert close(wide_u[[0, -1]], times((h * c / g)[:, None], gu[:1]))
        assert close(wide_v[[0, -1]], times(c[:, None], gv[:1]))
        assert close(wide_u[1:-1], gu[1:])
        assert close(wide_v[1:-1], gv[1:])


@over_lenses(lambda facts: facts.linear)
def test_any_left_inverse_factorises_linear_units(case, layer, rng):
    lens = layer_of(case, layer)
    f, gu, gv = look(lens, lens.network)
    g, left = unequal(rng, len(gu) + 1, len(gu))
    for embedding, inverse in ((Factorised(g), np.linalg.pinv(g)), (Factorised(g, left), left)):
        wide_f, wide_u, wide_v = look(lens, embedding(lens))
        # a left inverse multiplies rounding by its size
        rounding = 1e-13 * np.linalg.norm(inverse) * np.linalg.norm(g)
        np.testing.assert_allclose(wide_f, f, rtol=0, atol=rounding * np.abs(f).max())
        np.testing.assert_allclose(wide_u, times(inverse.T, gu), rtol=0, atol=rounding * np.abs(gu).max())
        np.testing.assert_allclose(wide_v, times(g, gv), rtol=0, atol=rounding * np.abs(gv).max())
    assert np.linalg.norm(left - np.linalg.pinv(g)) > 0.1


def test_the_comparison_can_fail():
    lens = layer_of(CASES["tanh"], 0)
    f, gu, _ = look(lens, lens.network)
    wide = Split(0)(lens)
    wide_f, wide_u, _ = look(lens, wide)
    assert close(wide_f, f)
    assert not close(wide_u[:1], gu[:1])  # half of it
    again = wide.with_arrays(wide.arrays() | {"v": 1.001 * wide.arrays()["v"]})
    assert not close(look(lens, again)[0], f)


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_constructions_are_those_of_loops_over_named_arrays(case, rng):
    network = case.random()
    lens, arrays = network.lenses()[0], network.arrays()
    facts = lens.facts
    pairs = [(Split(3, -0.4), slow.split(arrays, 3, -0.4))]
    if facts.silent:
        pairs.append((Silent(2), slow.silent(arrays, 2)))
    if facts.degree is not None:
        g, h = (2.0, 0.5, 1.0), (1.0, -2.0, 1 - 2.0**facts.degree + 2 * 0.5**facts.degree)
        pairs.append((Proportional(2, g, h), slow.proportional(arrays, 2, g, h)))
    if facts.linear:
        g, left = unequal(rng, 8, 5)
        pairs.append((Factorised(g, left), slow.factorised(arrays, g, left)))
    for embedding, expected in pairs:
        found = embedding(lens).arrays()
        assert list(found) == list(expected)
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["linear-4-layers", "tanh-4-layers", "quadratic-3-layers", "relu-3-layers"])
def test_all_layers_of_a_deep_network_embed_one_after_another(name):
    # Corollary 2
    narrow = wide = CASES[name].random(scale=0.7)
    widths = [w.shape[0] for w in narrow.weights]
    for layer in range(len(widths) - 1):
        for embedding in (Split(1, 0.3), Silent(), Split(0, -0.5)):
            wide = embedding(wide.lenses()[layer])
    assert isinstance(wide, Deep)
    assert [w.shape[0] for w in wide.weights] == [*(n + 3 for n in widths[:-1]), widths[-1]]
    x = inputs((4,))
    assert close(outputs(wide, x), outputs(narrow, x))
    y = np.random.default_rng(1).normal(size=(len(x), 2))
    with jax.enable_x64(True):
        _, small = _outputs_and_gradient(narrow, x, y)
        _, large = _outputs_and_gradient(wide, x, y)
    # a matrix's rows share as u of its layer, its columns repeat as v of the one below
    for i, (w, g) in enumerate(zip(large.weights, small.weights, strict=True)):
        rows, columns = (np.eye(n) for n in g.shape)
        if i < len(widths) - 1:
            rows = np.vstack([[-0.5, 0.3, *[1] * (len(rows) - 2)] * rows, 0.7 * rows[1], 0 * rows[0], 1.5 * rows[0]])
        if i > 0:
            columns = np.vstack([columns, columns[1], 0 * columns[0], columns[0]])
        assert close(np.asarray(w), rows @ np.asarray(g) @ columns.T)
    for lens in reversed(wide.lenses()):
        wide = reduce(lens.of(wide)).network
    if "linear" not in name:  # of which lower layers have no more than the rank of the whole
        assert [w.shape[0] for w in wide.weights] == widths
    assert close(outputs(wide, x), outputs(narrow, x))


# ----------------------------------------------------------------------------------------------------------- fixed points


@cache
def fixed_point(name):
    """A minimum of a narrow network (2 units a layer) on targets that it cannot fit, and the objective."""
    case = CASES[name]
    targets = case.outputs
    start = case.zeros()
    if isinstance(start, Deep):
        start = Deep.zeros(start.neuron, [2] * (len(start.weights) - 1), case.x_shape, targets)
    else:
        targets = 1 if "head" in name else 3
        start = Layer.zeros(start.unit, 2, case.x_shape, targets)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, *case.x_shape))
    teacher = with_random_weights(start, rng, 1.0 if isinstance(start, Deep) else 0.5)
    y = outputs(teacher, x)
    y = y + 0.2 * np.sqrt(np.mean(y**2)) * rng.normal(size=y.shape)
    objective = build(Samples(x, y, None), start, compress=False)
    for seed in range(60):  # some starts end on a kink, or run off to infinity
        rng = np.random.default_rng(seed)
        network = teacher.with_arrays({k: a + 0.1 * rng.normal(size=a.shape) for k, a in teacher.arrays().items()})
        found = polish(network, objective, throw=False)
        sizes = [np.linalg.norm(row) for lens in found.network.lenses() for part in lens.get() for row in part]
        if at(found.network, objective)[1] <= 1e-14 and min(sizes) > 0.1 and max(sizes) < 10:
            return found.network, objective
    raise AssertionError(f"no minimum found for {name}")


@eqx.filter_jit
def _loss_and_gradient(objective, network):
    return objective.outputs(network), objective.loss_and_gradient(network)[1]


def at(network, objective):
    """f, and |grad| of a network, in which targets and inputs are of order 1."""
    with jax.enable_x64(True):
        f, gradient = _loss_and_gradient(objective, jax.tree.map(jnp.asarray, network))
        return np.asarray(f), float(np.sqrt(sum(np.sum(np.asarray(a) ** 2) for a in jax.tree.leaves(gradient))))


FIXED = (
    *("linear", "relu", "quadratic", "tanh", "swish", "softplus", "head-rank-1", "linear-kernel-3-1"),
    *("relu-3-layers", "linear-4-layers"),
)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_points_are_embedded_as_fixed_points(name, rng):
    narrow, objective = fixed_point(name)
    f, before = at(narrow, objective)
    assert np.sqrt(np.mean((f - objective.y) ** 2)) > 0.05 * np.sqrt(
        np.mean(objective.y**2)
    )  # a residual is left: its gradient could be anything
    for lens in narrow.lenses():
        facts, width = lens.facts, len(lens.get()[0])
        wide = [Split(0, -0.7), Split(0, 0.3)]
        wide += [Silent()] if facts.silent else []
        wide += [Split(1, 0.4, flip=True)] if facts.parity != "none" else []
        wide += (
            [Proportional(1, (1.2, 0.7), (-0.5, (1 + 0.5 * 1.2**facts.degree) / 0.7**facts.degree))]
            if facts.degree
            else []
        )
        wide += [Factorised(*unequal(rng, width + 1, width))] if facts.linear else []
        for embedding in wide:
            wide_f, gradient = at(embedding(lens), objective)
            np.testing.assert_allclose(wide_f, f, rtol=0, atol=1e-13)
            assert gradient <= max(1e-13, 10 * before), embedding
    assert before <= 1e-13


def by_hand(lens, a, b):
    u, v = lens.get()
    return lens.put(a @ u, times(b, v))


REFUSED = [
    # THEORY 6.1 (ii): u = 0 with v != 0, for what is of order 1
    ("tanh", Mixing([[1, 0], [0, 1], [0, 0]], [[1, 0], [0, 1], [1, 0]]), "u = 0 and output weights.*order 2 or more"),
    ("swish", Mixing([[1, 0], [0, 1], [0, 0]], [[1, 0], [0, 1], [1, 0]]), "u = 0 and output weights.*order 2 or more"),
    ("softplus", Silent(), r"unit 2 would be silent, which needs phi\(x; 0\) = 0"),
    # (iii)
    ("tanh", Proportional(0, (2.0, 0.5), (0.25, 1.0)), "2 times unit 0, which needs phi homogeneous"),
    ("softplus", Proportional(0, (2.0, 0.5), (0.25, 1.0)), "2 times unit 0, which needs phi homogeneous"),
    ("softplus", Proportional(0, (-2.0, 0.5), (0.25, 3.0)), "-2 times unit 0, which needs phi homogeneous"),
    ("quadratic", Proportional(0, (2.0, 0.5), (0.25, 1.0)), "shares of unit 0 add up to 1.25, not 1"),
    ("cubed", Proportional(0, (2.0, 0.5), (0.25, 1.0)), "shares of unit 0 add up to 2.125, not 1"),
    ("relu", Proportional(0, (-0.5, 2.0), (-1.0, 0.25)), "-0.5 times unit 0, which needs phi odd or even"),
    ("linear", Proportional(0, (2.0, 0.5), (0.25, 0.5)), "shares of unit 0 in unit 0 add up to 0.75, not 1"),
    ("magnitude", Proportional(0, (-0.5, 2.0), (-1.0, 0.25)), "shares of unit 0 add up to 0, not 1"),
    # (i) mirrored
    *((name, Split(0, flip=True), "-1 times unit 0, which needs phi odd or even") for name in ("relu", "softplus")),
    # (iv)
    *(
        (name, Factorised([[1.0, 1.0], [0.0, 1.0], [1.0, -1.0]]), "unit 0 mixes 2 units.*linear in u")
        for name in ("relu", "tanh", "quadratic", "softplus", "magnitude")
    ),
    # any combination
    ("tanh", Mixing([[1, 0], [0, 1]], [[1, 0], [0.1, 1]]), "unit 1 has output weights of unit 0 but input weights of"),
    ("quadratic", Mixing([[1, 0], [0, 0]], [[1, 0], [0, 1]]), "shares of unit 1 add up to 0, not 1"),
    ("tanh", Mixing(np.eye(2), 0.99 * np.eye(2)), "shares of unit 0 add up to 0.99, not 1"),
    ("linear", Mixing(np.eye(2), [[1, 0.1], [0, 1]]), "shares of unit 0 in unit 1 add up to 0.1, not 0"),
]


@pytest.mark.parametrize(
    ("name", "embedding", "says"),
    [pytest.param(*c, id=f"{c[0]}-{type(c[1]).__name__}-{i}") for i, c in enumerate(REFUSED)],
)
def test_what_is_refused_would_change_the_function_or_move(name, embedding, says):
    narrow, objective = fixed_point(name)
    lens = narrow.lenses()[0]
    assert embedding.refuses(2, lens.facts) is not None
    with pytest.raises(ValueError, match=f"{type(embedding).__name__} cannot embed .* units: .*{says}"):
        embedding(lens)
    a, b = embedding.matrices(2, lens.facts)
    f, _ = at(narrow, objective)
    wide_f, gradient = at(by_hand(lens, a, b), objective)
    assert max(np.abs(wide_f - f).max(), gradient) > 1e-3
    # what keeps the function is told apart by its gradient alone
    if name in ("softplus", "tanh", "swish") and embedding.__class__ in (Silent, Mixing) and len(a) > 2:
        assert close(wide_f, f)


def test_refusals_ask_no_more_than_they_must():
    # what THEORY 6.1 found beyond the theorem's wording, by the facts of a unit alone
    allowed = [
        ("quadratic", [[1.0], [0.0]], [[1.0], [5.0]]),  # u = 0 and any v
        ("relu", [[2.0], [1.0]], [[1.0], [-1.0]]),  # negative outputs
        ("tanh", [[1.0], [-1.0]], [[3.0], [2.0]]),  # odd
        ("magnitude", [[1.0], [-2.0]], [[3.0], [-1.0]]),  # even
        ("softplus", [[1.0], [1.0]], [[3.0], [-2.0]]),  # negative share
        ("linear", [[1.0], [0.0]], [[1.0], [7.0]]),  # a left inverse: v lies in the span of the narrow ones
        ("cubed", [[-1.0], [2.0]], [[7.0], [1.0]]),
    ]
    for name, a, b in allowed:
        assert refusal(a, b, UNITS[name].facts) is None, name
        assert refusal(a, np.array(b) * (1 + 1e-9), UNITS[name].facts) is not None, name


def test_silent_relu_units_with_output_weights_are_fixed_by_convention_only():
    # refused: grad is 0 at u = 0 because phi'(0) = 0 is chosen, and of order 1 at any distance from it
    narrow, objective = fixed_point("relu")
    lens = narrow.lenses()[0]
    u, v = lens.get()
    b = np.vstack([np.eye(2), [1.0, 0.0]])
    assert "order 2 or more" in refusal(np.vstack([np.eye(2), np.zeros(2)]), b, lens.facts)
    wide_v = times(b, v)
    at_zero, nearby = (at(lens.put(np.vstack([u, w * np.ones((1, 4))]), wide_v), objective)[1] for w in (0.0, 1e-12))
    assert at_zero <= 1e-12
    assert nearby > 1e-3


@pytest.mark.parametrize("name", ["linear", "tanh"])
def test_output_weights_of_a_silent_unit_off_the_span_move_it(name, rng):
    # THEORY 6.1 (ii). Such a point is reduced to the same function, but is not claimed to be embedded.
    narrow, objective = fixed_point(name)
    lens = narrow.lenses()[0]
    u, v = lens.get()
    off = np.linalg.svd(v[:, 0])[2][-1]  # orthogonal to the output weights of both
    wide = lens.put(np.vstack([u, 0 * u[:1]]), np.concatenate([v, off[None, None]]))
    f, gradient = at(wide, objective)
    assert close(f, at(narrow, objective)[0])
    assert gradient > 1e-3
    found = reduce(lens.of(wide))
    assert found.width == 2
    assert close(at(found.network, objective)[0], f)
    assert found.misfit > 0.1


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "quadratic", "softplus"])
def test_extra_units_off_the_span_are_not_claimed_to_be_embedded(name):
    # THEORY 6.1 (iv), last sentence: u0 anywhere with v0 = 0 has the function, and in general a gradient
    narrow, objective = fixed_point(name)
    lens = narrow.lenses()[0]
    u, v = lens.get()
    off = np.linalg.svd(u)[2][-1:]
    wide = lens.put(np.vstack([u, off]), np.concatenate([v, 0 * v[:1]]))
    f, gradient = at(wide, objective)
    assert close(f, at(narrow, objective)[0])
    assert gradient > 1e-3
    found = reduce(lens.of(wide))
    assert found.width == 2
    assert found.misfit > 0.1


def layer(name, u, v):
    u, v = np.asarray(u, float), np.asarray(v, float)
    empty = Layer.zeros(UNITS[name], 1, (u.shape[1],), v.shape[1]).lenses()[0]
    return empty.of(empty.put(u, v[:, None]))


U, V = [[1.0, 2.0, -0.5, 0.3]], [[0.4, -1.1]]


@pytest.mark.parametrize(
    ("embedding", "says"),
    [
        (Split(5), "Split.*unit from 0 to 4: this layer has 5"),
        (Split(-1), "Split.*unit from 0 to 4"),
        (Silent(0), "at least one unit"),
        (Proportional(0, (1.0,), (1.0,)), "at least two"),
        (Proportional(0, (1.0, 0.0), (1.0, 1.0)), "inputs nonzero"),
        (Proportional(0, (1.0, 2.0), (1.0, 1.0, 1.0)), "as many inputs as outputs"),
        (Factorised(np.ones((6, 5))), r"5 independent columns: found shape \[6, 5\] of rank 1"),
        (Factorised(np.eye(5)[:4]), "5 independent columns"),
        (Factorised(np.eye(5), np.eye(6)), r"a left inverse of g: found \[6, 6\]"),
        (Factorised(np.eye(5), 2 * np.eye(5)), "add up to 2, not 1"),
        (Mixing(np.eye(4), np.eye(4)), r"shape \[wide, 5\]: found \[4, 4\]"),
        (Split(0, float("nan")), "not finite"),
        (Mixing(np.eye(5), np.diag([1, 1, 1, 1, np.inf])), "not finite"),
    ],
)
def test_calls_that_make_no_sense_say_so(embedding, says):
    with pytest.raises(ValueError, match=says):
        embedding(CASES["linear"].random().lenses()[0])


# --------------------------------------------------------------------------------------------------------------- the way back


def orthogonal(rng, rows, columns):
    """Orthonormal rows times 0.5 to 2: nothing is nearly dependent."""
    return rng.uniform(0.5, 2.0, size=(rows, 1)) * np.linalg.qr(rng.normal(size=(columns, rows)))[0].T


def random_embedding(draw, width, facts, rng):
    """One construction that the facts allow, with numbers that are not extreme: rounding grows by their size."""
    kinds = ["split", *["silent"] * facts.silent, *["proportional"] * (facts.degree is not None)]
    kinds += ["factorised"] * facts.linear + ["permuted"]
    kind = draw(st.sampled_from(kinds))
    if kind == "split":
        flip = draw(st.booleans()) and facts.parity != "none"
        share = draw(st.sampled_from([0.0, 1.0, 0.5, 0.2, -0.7, 1.6]))
        return Split(draw(st.integers(0, width - 1)), share, flip)
    if kind == "silent":
        return Silent(draw(st.integers(1, 2)))
    if kind == "proportional":
        g = rng.uniform(0.8, 1.25, size=draw(st.integers(2, 3)))
        if facts.parity != "none":
            g *= rng.choice([-1.0, 1.0], size=len(g))
        c = np.abs(g) ** facts.degree * (np.sign(g) if facts.parity == "odd" else 1.0)
        h = rng.uniform(-0.5, 1.0, size=len(g))
        h[0] = (1 - c[1:] @ h[1:]) / c[0]
        return Proportional(draw(st.integers(0, width - 1)), tuple(g), tuple(h))
    if kind == "factorised":
        wide = width + draw(st.integers(0, 2))
        g = orthogonal(rng, width, wide).T
        pinv = np.linalg.pinv(g)
        return Factorised(g, pinv + 0.5 * rng.normal(size=(width, wide)) @ (np.eye(wide) - g @ pinv))
    order = np.eye(width)[rng.permutation(width)]
    return Mixing(order, order)


def symmetric(lens, other) -> float:
    """How far two layers are apart up to order, sign and scale (linear units: any matrix), relative."""
    (u, v), (w, z) = ((np.asarray(a), np.asarray(b).reshape(len(b), -1)) for a, b in (lens.get(), other.get()))
    facts = lens.facts
    if u.shape != w.shape:
        return np.inf
    if facts.linear:
        return np.linalg.norm(u.T @ v - w.T @ z) / np.linalg.norm(u.T @ v)

    def standard(u, v):
        sign = np.where(np.take_along_axis(u, np.argmax(np.abs(u), axis=1)[:, None], 1) < 0, -1.0, 1.0)
        sign = sign if facts.parity != "none" else np.ones_like(sign)
        size = np.linalg.norm(u, axis=1, keepdims=True) if facts.degree else np.ones_like(sign)
        return np.hstack([sign * u / size, (sign if facts.parity == "odd" else 1) * size ** (facts.degree or 0) * v])

    a, b = standard(u, v), standard(w, z)
    apart = np.linalg.norm(a[:, None] - b[None], axis=2)
    pairs = np.argmin(apart, axis=1)
    return np.max(np.min(apart, axis=1)) / np.linalg.norm(a) if len(set(pairs)) == len(a) else np.inf


SHAPES = {"quadratic-kernel-2-2": (2, 3, 1), "head-rank-1": (6, 3, 1), "linear-kernel-2-2": (4, 3, 2)}


@settings(max_examples=250, deadline=None, derandomize=True)
@given(data=st.data())
def test_reducing_undoes_every_chain_of_embeddings(data):
    name = data.draw(st.sampled_from([*NEURONS, "quadratic-kernel-2-2", "head-rank-1", "linear-kernel-2-2"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    facts = UNITS[name].facts
    case, outs = CASES[name], data.draw(st.integers(1, 3))
    outs = 1 if "head" in name else outs
    x_shape = (data.draw(st.integers(2, 5)),) if name in NEURONS else case.x_shape
    empty = Layer.zeros(UNITS[name], 1, x_shape, outs).lenses()[0]
    (_, weights), (_, positions, _) = (a.shape for a in empty.get())
    most = min(weights, positions * outs) if facts.linear else 4
    width = data.draw(st.integers(1, most))
    if facts.linear:
        u, v = orthogonal(rng, width, weights), orthogonal(rng, width, positions * outs)
    else:
        u, v = rng.normal(size=(width, weights)), rng.normal(size=(width, positions * outs))
        u, v = (w * rng.uniform(0.5, 2.0, size=(width, 1)) / np.linalg.norm(w, axis=1)[:, None] for w in (u, v))
    narrow = empty.of(empty.put(u, v.reshape(width, positions, outs)))
    wide = narrow
    for _ in range(data.draw(st.integers(1, 3))):
        embedding = random_embedding(data.draw, len(wide.get()[0]), facts, rng)
        wide = wide.of(embedding(wide))
    found = reduce(wide)
    assert found.reason is None
    assert found.width == width
    # measured: at most 3e-15 and 1e-15 in 5000 examples
    assert symmetric(narrow, narrow.of(found.network)) <= 1e-12
    assert found.misfit <= 1e-12
    again = wide.of(found.embedding(narrow.of(found.network)))
    size = sum(np.linalg.norm(a) for a in wide.get())
    assert all(np.abs(a - b).max() <= 1e-11 * size for a, b in zip(again.get(), wide.get(), strict=True))


def test_the_comparison_up_to_symmetry_can_fail():
    lens = layer("tanh", [[1.0, 2.0], [-1.0, 1.0]], [[1.0], [2.0]])
    turned = layer("tanh", [[1.0, -1.0], [1.0, 2.0]], [[-2.0], [1.0]])
    assert symmetric(lens, turned) == 0.0
    off = layer("tanh", [[1.0, -1.0], [1.0, 2.001]], [[-2.0], [1.0]])
    assert symmetric(lens, off) > 1e-4
    assert symmetric(layer("relu", U, V), layer("relu", 2 * np.array(U), V)) > 0.1
    assert symmetric(layer("relu", U, V), layer("relu", 2 * np.array(U), 0.5 * np.array(V))) < 1e-15


@pytest.mark.parametrize("name", NEURONS)
def test_units_that_are_nearly_equal_are_not_merged(name):
    near = np.add(U, [[1e-3, 0.0, 0.0, 0.0]])
    v = [[0.4, -1.1], [0.5, 0.9]]
    assert reduce(layer(name, np.vstack([U, near]), v)).width == 2
    assert reduce(layer(name, np.vstack([U, near]), v), tolerance=1e-2).width == 1
    assert reduce(layer(name, np.vstack([U, U]), [*V, *V])).width == 1


@pytest.mark.parametrize("name", NEURONS)
def test_units_on_one_line_merge_as_their_degree_and_parity_say(name):
    facts = UNITS[name].facts
    for scale in (-1.0, 2.0, -2.0):
        c = abs(scale) ** (facts.degree or 0) * (-1 if scale < 0 and facts.parity == "odd" else 1)
        merge = (scale > 0 or facts.parity != "none") and (facts.degree is not None or abs(scale) == 1)
        # output weights in one direction, so that their function is that of one unit, and an embedding of it
        lens = layer(name, np.vstack([U, scale * np.array(U)]), np.vstack([V, -0.3 * np.array(V)]))
        found = reduce(lens)
        assert found.width == (1 if merge else 2)
        assert found.misfit <= 1e-15
        x = inputs((4,))
        assert close(outputs(found.network, x), outputs(lens.network, x))
        if merge:
            assert symmetric(layer(name, U, (1 - 0.3 * c) * np.array(V)), lens.of(found.network)) <= 1e-15


@pytest.mark.parametrize("name", [n for n in NEURONS if n != "linear"])
def test_merged_units_with_unlike_output_weights_are_not_claimed_to_be_embedded(name):
    # the function is that of one unit; the gradients of both with respect to u are independent
    narrow, objective = fixed_point(name)
    lens = narrow.lenses()[0]
    u, v = lens.get()
    apart = 0.5 * np.linalg.svd(v[0])[2][-1]
    wide = lens.put(np.vstack([u, u[:1]]), np.concatenate([0.5 * v[:1] + apart, v[1:], 0.5 * v[:1] - apart]))
    f, gradient = at(wide, objective)
    assert close(f, at(narrow, objective)[0])
    assert gradient > 1e-3
    found = reduce(lens.of(wide))
    assert found.width == 2
    assert close(outputs(found.network, objective.x), f)
    assert found.misfit > 0.1


@pytest.mark.parametrize("name", NEURONS)
def test_groups_that_cancel_vanish_but_are_not_embedded(name):
    lens = layer(name, np.vstack([U, U, [[0.0, 1.0, 1.0, 0.0]]]), [[0.4, -1.1], [-0.4, 1.1], [1.0, 1.0]])
    found = reduce(lens)
    assert found.width == 1
    assert found.misfit > 0.1
    assert close(outputs(found.network, inputs((4,))), outputs(lens.network, inputs((4,))))
    alone = reduce(layer(name, np.vstack([U, U]), [[0.4, -1.1], [-0.4, 1.1]]))
    assert (alone.network, alone.width) == (None, 0)
    assert alone.misfit > 0.1
    assert (alone.reason is None) == UNITS[name].facts.silent


def test_a_layer_of_zeros_is_embedded_from_none_where_units_are_silent():
    for name in NEURONS:
        for width in (0, 3):
            found = reduce(layer(name, np.zeros((width, 4)), np.zeros((width, 2))))
            assert (found.network, found.width) == (None, 0)
            assert found.misfit == (0.0 if UNITS[name].facts.silent else np.inf)
    # output weights of silent units are free from order 2 on
    for name, free in (("quadratic", True), ("cubed", True), ("relu", False), ("tanh", False), ("linear", False)):
        found = reduce(layer(name, np.zeros((2, 4)), np.ones((2, 2))))
        assert (found.width, found.misfit) == (0, 0.0 if free else 1.0)


@pytest.mark.parametrize("name", ["relu", "quadratic", "cubed", "magnitude"])
def test_units_count_however_they_share_their_size_between_u_and_v(name):
    # one unit of large u and small v, one the other way round: the same strength
    d = UNITS[name].facts.degree
    u = np.array([[1.0, 2.0, -0.5, 0.3], [0.0, 1.0, 1.0, 0.0]])
    lens = layer(name, u, [[0.4, -1.1], [1.0, 1.0]])
    s = np.array([[1e12], [1.0]]) ** (1 / d)
    far = layer(name, s * u, np.array([[1e-12], [1.0]]) * [[0.4, -1.1], [1.0, 1.0]])
    found = reduce(far)
    assert found.width == 2
    assert symmetric(lens, lens.of(found.network)) <= 1e-12


@pytest.mark.parametrize("name", NEURONS)
def test_what_is_left_is_balanced_and_in_the_order_of_the_wide_units(name, rng):
    facts = UNITS[name].facts
    lens = layer(name, rng.normal(size=(3, 4)), np.diag([1.0, 3.0, 2.0]))
    # a part without output weights comes first: the unit that it belongs to does too
    wide = lens.of(Mixing(np.eye(3)[[2, 0, 1, 2]], np.eye(3)[[2, 0, 1, 2]] * [[0], [1], [1], [1]])(lens))
    u, v = (np.asarray(a).reshape(3, -1) for a in lens.of(reduce(wide).network).get())
    if facts.degree is not None:  # |u|^2 = degree x |v|^2, as a flow from small weights keeps it
        np.testing.assert_allclose(np.sum(u**2, axis=1), facts.degree * np.sum(v**2, axis=1), rtol=1e-12)
    if not facts.linear:
        np.testing.assert_array_equal(np.argmax(np.abs(v), axis=1), [2, 0, 1])


# -------------------------------------------------------------------------------------------------------- nearest embeddings


def embedded(name, rng):
    """A narrow layer, a wide one made from it with uneven shares, and which unit comes from which."""
    facts = UNITS[name].facts
    case = CASES[name]
    if facts.linear:
        empty = Layer.zeros(UNITS[name], 2, case.x_shape, case.outputs).lenses()[0]
        narrow = empty.of(empty.put(*(rng.normal(size=a.shape) for a in empty.get())))
        return narrow, narrow.of(Factorised(*unequal(rng, 4, 2))(narrow)), None
    narrow = case.random(int(rng.integers(1000))).lenses()[0]
    wide = narrow.of(Split(0, rng.normal())(narrow))
    labels = [0, 1, 2, 3, 4, 0]
    if facts.degree is not None:
        g = np.exp(rng.normal(size=3)).clip(0.4)
        h = rng.normal(size=3)
        h[0] = (1 - g[1:] ** facts.degree @ h[1:]) / g[0] ** facts.degree
        wide = wide.of(Proportional(1, tuple(g), tuple(h))(wide))
        labels += [1, 1]
    if facts.silent:
        wide = wide.of(Silent()(wide))
        labels += [-1]
    return narrow, wide, np.array(labels)


def apart(lens, network) -> float:
    return float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(lens.get(), lens.of(network).get(), strict=True))))


def shaken(lens, size, rng):
    """The same layer with noise of Euclidean length `size`."""
    noise = [rng.normal(size=a.shape) for a in lens.get()]
    length = np.sqrt(sum(np.sum(a**2) for a in noise))
    return lens.of(lens.put(*(a + size / length * b for a, b in zip(lens.get(), noise, strict=True))))


@pytest.mark.parametrize("name", [*NEURONS, "head-rank-1", "quadratic-kernel-2-2", "linear-kernel-2-2"])
def test_the_nearest_embedding_is_no_farther_than_what_was_embedded(name, rng):
    ratios = []
    for _ in range(30):
        narrow, wide, labels = embedded(name, rng)
        exact = fitted(wide, narrow, labels)
        size = sum(np.linalg.norm(a) for a in wide.get())
        assert apart(wide, exact(narrow)) <= 1e-12 * size
        near = shaken(wide, 1e-3, rng)
        embedding = fitted(near, narrow, labels)
        assert embedding.refuses(len(narrow.get()[0]), narrow.facts) is None
        ratios.append(apart(near, embedding(narrow)) / 1e-3)
    # the embedded point is at distance 1; to leading order none of them is nearer than what is found. Curvature: 1e-3 x shares
    assert max(ratios) <= 1.05
    assert min(ratios) > 0.2  # most directions of noise lead away from all embedded points
    # the labels matter
    if labels is not None:
        wrong = fitted(near, narrow, np.r_[labels[1], labels[1:]])
        assert wrong.refuses(len(narrow.get()[0]), narrow.facts) is not None or apart(near, wrong(narrow)) > 0.1


@pytest.mark.parametrize("name", ["quadratic", "linear", "relu"])
def test_steps_do_not_lead_astray_far_from_any_embedding(name, rng):
    # wide weights that have nothing to do with the narrow ones: an embedding still, or a reason
    for _ in range(20):
        narrow, wide, labels = embedded(name, rng)
        far = shaken(wide, 10.0, rng)
        embedding = fitted(far, narrow, labels)
        assert np.all(np.isfinite(embedding.a))
        assert np.all(np.isfinite(embedding.b))
        reason = embedding.refuses(len(narrow.get()[0]), narrow.facts)
        assert reason is None or "add up to" in reason


def test_units_without_effect_become_copies_where_none_is_silent(rng):
    narrow = layer("softplus", [*U, [0.0, 1.0, 1.0, 0.0]], [*V, [1.0, 1.0]])
    wide = narrow.of(Split(1, 1.0)(narrow))
    embedding = fitted(shaken(wide, 1e-6, rng), narrow, np.array([0, 1, -1]))
    assert apart(wide, embedding(narrow)) <= 2e-6


def test_linear_units_that_are_not_independent_give_a_reason():
    narrow = layer("linear", [*U, *U], [*V, [1.0, 1.0]])
    g, left = unequal(np.random.default_rng(0), 4, 2)
    wide = narrow.of(Factorised(g, left)(narrow))
    embedding = fitted(wide, narrow, None)
    assert "add up to" in (embedding.refuses(2, narrow.facts) or "")


# --------------------------------------------------------------------------------------------- back from a reduction on data


@pytest.mark.parametrize(
    "name",
    [
        *("linear", "relu", "quadratic", "tanh", "softplus", "magnitude", "head-rank-1", "linear-kernel-2-2"),
        *("relu-3-layers", "linear-3-layers", "tanh-4-layers"),
    ],
)
def test_what_is_reduced_on_data_comes_back_to_within_the_noise(name, rng):
    case = CASES[name]
    x = rng.normal(size=(60, *case.x_shape))
    narrow = case.zeros()
    if isinstance(narrow, Deep):
        widths = (2,) * (len(narrow.weights) - 1)
        narrow = Deep.zeros(narrow.neuron, list(widths), case.x_shape, 2)
    else:
        widths = (2,) if UNITS[name].linear else (3,)
        narrow = Layer.zeros(narrow.unit, widths[0], case.x_shape, case.outputs)
    for _ in range(20):  # until every unit counts
        narrow = with_random_weights(narrow, rng)
        objective = build(Samples(x, outputs(narrow, x), None), narrow)
        if complexity.effective_width(narrow, objective, tau=3e-2).widths == widths:
            break
    wide = narrow
    for i in range(len(widths)):
        wide = Split(0, rng.uniform(0.3, 0.7))(wide.lenses()[i])
        if wide.lenses()[i].facts.degree == 1:
            wide = Proportional(1, (0.8, 1.5), (0.5, 0.4))(wide.lenses()[i])
        if wide.lenses()[i].facts.silent:
            wide = Silent()(wide.lenses()[i])
    for i in range(len(widths)):
        wide = shaken(wide.lenses()[i], 1e-6, rng).network
    found = complexity.reduce(wide, objective, tau=1e-4)
    assert found.complexity.widths == widths
    back, embeddings = found.back(found.network)
    assert len(embeddings) == len(widths)
    for lens, embedding, narrowed in zip(wide.lenses(), embeddings, found.network.lenses(), strict=True):
        assert embedding.refuses(len(narrowed.get()[0]), lens.facts) is None
    off = max(np.abs(a - b).max() for a, b in zip(wide.arrays().values(), back.arrays().values(), strict=True))
    assert 1e-9 < off <= 1e-5
    assert np.abs(outputs(back, x) - outputs(found.network, x)).max() <= 1e-12 * np.abs(outputs(wide, x)).max()
    # another narrow network of these shapes is embedded as well: weights between those found
    other = found.network.with_arrays({key: 1.01 * np.asarray(a) for key, a in found.network.arrays().items()})
    again, _ = found.back(other)
    assert np.abs(outputs(again, x) - outputs(other, x)).max() <= 1e-12 * np.abs(outputs(other, x)).max()
