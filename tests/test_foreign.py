"""Somebody else's model: lens laws, agreement with networks of ours that have the same weights, and lenses that are not true."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import NETWORKS, OWN, inputs, outputs
from saddlescope.complexity import effective_width
from saddlescope.complexity import reduce as reduce_on_data
from saddlescope.embeddings import Factorised, Mixing, Proportional, Silent, Split, reduce
from saddlescope.fixed_points import polish
from saddlescope.networks import Deep, Foreign, Hidden, Layer, wrong_lens
from saddlescope.objective import build
from saddlescope.tasks import Samples
from saddlescope.units import NEURONS, Kernel, Linear, Quadratic, ReLU, Tanh

NEURON = {name: neuron() for name, neuron in NEURONS.items()} | OWN
INPUTS, WIDTH, OUTPUTS = 4, 5, 2

# ---------------------------------------------------------------------------------------------------------------- models


def rows_first(activation):
    return lambda w, x: w["w2"] @ activation(w["w1"] @ x)


def inputs_first(activation):
    return lambda w, x: activation(x @ w["w1"]) @ w["w2"]


def biased(activation):
    return lambda w, x: w["w2"] @ activation(w["w1"] @ x + jnp.ravel(w["b1"])) + w["b2"]


def normal(rng, **shapes):
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def ours(name, rng):
    """A layer of ours, and its weights."""
    layer = Layer.zeros(NEURON[name], WIDTH, (INPUTS,), OUTPUTS)
    return layer.with_arrays({key: rng.normal(size=a.shape) for key, a in layer.arrays().items()})


def theirs(layer, transposed=False):
    """The same function as somebody may have written it, with u and v in rows or in columns."""
    u, v = layer.u, layer.v[:, 0]
    if transposed:
        at = Hidden(layer.unit, "w1", "w2", u_axis=1, v_axis=0, direct=True)
        return Foreign({"w1": u.T.copy(), "w2": v.copy()}, inputs_first(layer.unit.activation), (at,))
    at = Hidden(layer.unit, "w1", "w2", direct=True)
    return Foreign({"w1": u.copy(), "w2": v.T.copy()}, rows_first(layer.unit.activation), (at,))


def hidden_of(depth, activation):
    """What a layer above the first sees: the output of the layers below."""

    def seen(w, x):
        for i in range(depth):
            x = activation(w[f"W{i + 1}"] @ x)
        return x

    return seen


def theirs_deep(deep):
    last, activation = len(deep.weights), deep.neuron.activation
    layers = tuple(
        Hidden(
            deep.neuron,
            f"W{i + 1}",
            f"W{i + 2}",
            inputs=hidden_of(i, activation),
            direct=i == last - 2,
        )
        for i in range(last - 1)
    )
    weights = {name: np.array(a) for name, a in deep.arrays().items()}
    return Foreign(weights, lambda w, x: w[f"W{last}"] @ hidden_of(last - 1, activation)(w, x), layers)


def with_bias(rng, unit=None, shape=(WIDTH,), **options):
    unit = unit or Tanh()
    weights = normal(rng, w1=(WIDTH, INPUTS), b1=shape, w2=(OUTPUTS, WIDTH), b2=(OUTPUTS,))
    return Foreign(weights, biased(unit.activation), (Hidden(unit, "w1", "w2", bias="b1", **options),))


def signal_model(rng):
    """Input weights of three axes, the units' in the middle, and one output without an axis of its own."""

    def apply(w, x):
        return jnp.sum(w["v"] * jnp.tanh(jnp.einsum("aub,ab->u", w["u"], x)))

    seen = Hidden(Tanh(), "u", "v", u_axis=1, v_axis=0, inputs=lambda w, x: x.reshape(-1), direct=True)
    return Foreign(normal(rng, u=(2, WIDTH, 3), v=(WIDTH,)), apply, (seen,))


def with_skip(rng):
    def apply(w, x):
        return w["w2"] @ jax.nn.relu(w["w1"] @ x) + w["skip"] @ x

    weights = normal(rng, w1=(WIDTH, INPUTS), w2=(OUTPUTS, WIDTH), skip=(OUTPUTS, INPUTS))
    return Foreign(weights, apply, (Hidden(ReLU(), "w1", "w2"),))


def from_equinox(seed=0):
    """An Equinox MLP of two hidden layers as a pure function of a dictionary."""
    with jax.enable_x64(True):
        mlp = eqx.nn.MLP(INPUTS, OUTPUTS, 6, 2, activation=jnp.tanh, key=jax.random.key(seed), dtype=jnp.float64)

    def parts(mlp):
        return [part for layer in mlp.layers for part in (layer.weight, layer.bias)]

    names = [f"{kind}{i}" for i in range(3) for kind in ("w", "b")]
    weights = {name: np.asarray(a) for name, a in zip(names, parts(mlp), strict=True)}

    def apply(weights, x):
        return eqx.tree_at(parts, mlp, [weights[name] for name in names])(x)

    def first(weights, x):
        return jnp.tanh(weights["w0"] @ x + weights["b0"])

    layers = (Hidden(Tanh(), "w0", "w1", bias="b0"), Hidden(Tanh(), "w1", "w2", bias="b1", inputs=first))
    return Foreign(weights, apply, layers, "an Equinox MLP"), mlp


def models():
    rng = np.random.default_rng(0)
    found = {f"{name}-rows": theirs(ours(name, rng)) for name in NEURON}
    found |= {f"{name}-columns": theirs(ours(name, rng), True) for name in ("relu", "linear", "softplus")}
    found |= {case.name: theirs_deep(case.random(scale=0.7)) for case in NETWORKS if isinstance(case.zeros(), Deep)}
    found |= {"bias": with_bias(rng), "bias-column": with_bias(rng, shape=(WIDTH, 1)), "signal": signal_model(rng)}
    return found | {"skip": with_skip(rng), "equinox": from_equinox()[0]}


MODELS = models()
X_SHAPE = {"signal": (2, 3)}
LENSES = [pytest.param(name, i, id=f"{name}-{i}") for name, model in MODELS.items() for i in range(len(model.lenses()))]
over_lenses = pytest.mark.parametrize(("name", "layer"), LENSES)


def x_of(name):
    return inputs(X_SHAPE.get(name, (INPUTS,)))


# ------------------------------------------------------------------------------------------------------------------ laws


@over_lenses
def test_putting_back_what_was_got_changes_nothing_and_truncates_nothing(name, layer):
    # outside any 64-bit scope: NumPy in, NumPy out
    assert not jax.config.jax_enable_x64
    model = MODELS[name]
    lens = model.lenses()[layer]
    u, v = lens.get()
    assert {type(u), type(v)} == {np.ndarray}
    assert u.dtype == v.dtype == np.float64
    again = lens.put(u, v)
    assert list(again.arrays()) == list(model.arrays())
    for key, a in model.arrays().items():
        assert isinstance(again.arrays()[key], np.ndarray)
        assert again.arrays()[key].dtype == np.float64
        np.testing.assert_array_equal(again.arrays()[key], a, strict=True)
    assert jax.tree.structure(again) == jax.tree.structure(model)


@over_lenses
@pytest.mark.parametrize("more", [-2, 0, 3])
def test_what_was_put_is_got_at_any_width(name, layer, more, rng):
    lens = MODELS[name].lenses()[layer]
    u, v = (rng.normal(size=(len(a) + more, *a.shape[1:])) for a in lens.get())
    put = lens.put(u, v)
    for found in (put.lenses()[layer].get(), lens.of(put).get()):
        np.testing.assert_array_equal(found[0], u)
        np.testing.assert_array_equal(found[1], v)
    at = lens.hidden
    kept = set(put.arrays()) - {at.u, at.v, at.bias}
    assert all(put.arrays()[key] is MODELS[name].arrays()[key] for key in kept)
    assert {key: a.shape for key, a in put.arrays().items()} == {
        key: tuple(d.values()) for key, d in put.dims().items()
    }


@over_lenses
def test_a_true_lens_is_found_true(name, layer):
    lens = MODELS[name].lenses()[layer]
    assert wrong_lens(lens, x_of(name)) is None
    assert lens.supports("width") is None


def test_input_weights_are_rows_with_the_bias_last():
    model = MODELS["bias-column"]
    u, v = model.lenses()[0].get()
    np.testing.assert_array_equal(u, np.hstack([model.weights["w1"], model.weights["b1"]]))
    np.testing.assert_array_equal(v, model.weights["w2"].T[:, None])
    assert model.lenses()[0].put(u[:2], v[:2]).weights["b1"].shape == (2, 1)


def test_the_features_of_a_lens_see_its_inputs_and_bias(x64):
    model, x = MODELS["equinox"], inputs((INPUTS,))
    w = model.weights
    first = np.tanh(x @ w["w0"].T + w["b0"])
    second = np.tanh(first @ w["w1"].T + w["b1"])
    for lens, expected in zip(model.lenses(), (first, second), strict=True):
        found = jax.vmap(lambda x, lens=lens: lens.features(x, False))(x)
        np.testing.assert_allclose(found[:, :, 0], expected, rtol=0, atol=1e-14)


def test_a_model_is_differentiated_and_compiled_like_any_network():
    model = MODELS["bias"]
    with jax.enable_x64(True):
        x = inputs((INPUTS,))
        gradient = eqx.filter_jit(jax.grad(lambda model: jnp.sum(jax.vmap(model)(x) ** 2)))(model)
        u, _ = model.lenses()[0].of(gradient).get()
        assert u.shape == (WIDTH, INPUTS + 1)
        step = 1e-6
        bias = model.weights["b1"]
        values = [
            np.sum(outputs(model.with_arrays(model.weights | {"b1": bias + h * np.eye(WIDTH)[2]}), x) ** 2)
            for h in (step, -step)
        ]
        np.testing.assert_allclose(u[2, -1], (values[0] - values[1]) / (2 * step), rtol=1e-6)


# ---------------------------------------------------------------------------------------------------- agreement with ours


@pytest.mark.parametrize("name", list(NEURON))
@pytest.mark.parametrize("transposed", [False, True])
def test_embeddings_and_reductions_are_those_of_a_layer_of_ours(name, transposed, rng):
    layer = ours(name, rng)
    model = theirs(layer, transposed)
    mine, other = layer.lenses()[0], model.lenses()[0]
    np.testing.assert_allclose(outputs(model, inputs((INPUTS,))), outputs(layer, inputs((INPUTS,))), rtol=1e-12)
    for embedding in (
        Split(1, 0.3),
        Split(0, flip=True),
        Silent(2),
        Proportional(0, (2.0, 0.5), (0.25, 1.0)),
        Factorised(rng.normal(size=(6, 5))),
        Mixing(np.eye(5)[::-1], np.eye(5)[::-1]),
    ):
        reason = embedding.refuses(WIDTH, mine.facts)
        if reason is not None:
            with pytest.raises(ValueError, match="cannot embed"):
                embedding(other)
            continue
        wide = embedding(other)
        assert isinstance(wide, Foreign)
        for a, b in zip(mine.of(embedding(mine)).get(), other.of(wide).get(), strict=True):
            np.testing.assert_array_equal(a, b)
        found, expected = reduce(other.of(wide)), reduce(mine.of(embedding(mine)))
        assert (found.width, found.misfit, found.reason) == (expected.width, expected.misfit, expected.reason)


@pytest.mark.parametrize("name", ["linear", "relu", "quadratic", "tanh"])
def test_effective_width_and_minima_are_those_of_a_layer_of_ours(name, rng):
    layer = ours(name, rng)
    narrow = layer.lenses()[0].put(layer.u[:2], layer.v[:2])
    wide = Split(0, 0.4)(narrow.lenses()[0])
    x = rng.normal(size=(30, INPUTS))
    y = outputs(narrow, x) + 0.1 * rng.normal(size=(30, OUTPUTS))
    data = Samples(x, y, None)
    a, b = (effective_width(n, build(data, n, compress=False)) for n in (wide, theirs(wide, True)))
    assert a == b
    assert a.widths == (2,)
    a, b = (polish(n, build(data, n, compress=False)) for n in (narrow, theirs(narrow, True)))
    assert a.gradient < 1e-11
    assert b.gradient < 1e-11
    np.testing.assert_allclose(b.loss, a.loss, rtol=1e-11)


def test_deep_models_reduce_as_deep_networks_of_ours(rng):
    narrow = Deep.zeros(Tanh(), [3, 2], (INPUTS,), OUTPUTS)
    narrow = narrow.with_arrays({key: rng.normal(size=a.shape) for key, a in narrow.arrays().items()})
    wide = Silent()(Split(0, 0.4)(narrow.lenses()[0]).lenses()[1])
    model = theirs_deep(wide)
    x = rng.normal(size=(40, INPUTS))
    data = Samples(x, outputs(wide, x), None)
    assert effective_width(model, build(data, model)) == effective_width(wide, build(data, wide))
    found, expected = reduce_on_data(model, build(data, model)), reduce_on_data(wide, build(data, wide))
    assert found.complexity == expected.complexity
    assert found.complexity.widths == (3, 2)
    for key, a in expected.network.arrays().items():
        np.testing.assert_allclose(found.network.arrays()[key], a, rtol=1e-12, atol=1e-13)
    back, embeddings = found.back(found.network)
    assert len(embeddings) == 2
    np.testing.assert_allclose(outputs(back, x), outputs(wide, x), rtol=0, atol=1e-10)


def test_an_equinox_model_is_embedded_reduced_and_polished(rng):
    model, mlp = from_equinox()
    x = rng.normal(size=(30, INPUTS))
    with jax.enable_x64(True):
        expected = np.asarray(jax.vmap(mlp)(x))
    np.testing.assert_array_equal(outputs(model, x), expected)
    wide = model
    for layer in (0, 1):
        wide = Silent()(Split(1, -0.4, flip=True)(wide.lenses()[layer]).lenses()[layer])
    assert [wide.weights[name].shape for name in ("w0", "w1", "w2")] == [(8, 4), (8, 8), (2, 8)]
    np.testing.assert_allclose(outputs(wide, x), expected, rtol=0, atol=1e-14)
    for layer in (1, 0):
        found = reduce(wide.lenses()[layer])
        assert found.width == 6
        # input weights of the layer above are output weights of this one: also a copy's
        assert found.misfit < 1e-14
        wide = found.network
    np.testing.assert_allclose(outputs(wide, x), expected, rtol=0, atol=1e-14)
    narrow = model.lenses()[0].put(*(a[:2] for a in model.lenses()[0].get()))
    narrow = narrow.lenses()[1].put(*(a[:1] for a in narrow.lenses()[1].get()))
    objective = build(Samples(x, outputs(narrow, x), None), narrow)
    near = {key: a + 1e-2 * rng.normal(size=a.shape) for key, a in narrow.weights.items()}
    found = polish(narrow.with_arrays(near), objective)
    assert found.loss < 1e-24  # 1e-5 at the start
    assert all(isinstance(a, np.ndarray) and a.dtype == np.float64 for a in found.network.weights.values())
    assert effective_width(Split(0)(found.network.lenses()[0]), objective).widths == (2, 1)


# ---------------------------------------------------------------------------------------------------- lenses that are not true


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)
def test_all_lenses_of_ours_are_true(case):
    for scale in (1.0, 1e-6):
        for lens in case.random(scale=scale).lenses():
            assert wrong_lens(lens, inputs(case.x_shape)) is None


def test_lenses_on_weights_of_zero_are_true():
    for name in ("tanh-rows", "linear-columns", "bias", "equinox"):
        model = MODELS[name]
        for zero in (set(model.weights), {"w2", "b1", "b2"}, {"w1", "b1"}):
            weights = {key: (0 if key in zero else 1) * a for key, a in model.weights.items()}
            for lens in model.with_arrays(weights).lenses():
                assert wrong_lens(lens, inputs((INPUTS,))) is None


def scaled_units(w, x):
    return w["w2"] @ (w["scale"] * jax.nn.relu(w["w1"] @ x))


def normed(w, x):
    hidden = jax.nn.relu(w["w1"] @ x)
    return w["w2"] @ ((hidden - jnp.mean(hidden)) / (0.1 + jnp.std(hidden)))


def gated(w, x):
    # the units' outputs also decide on a factor
    hidden = jax.nn.relu(w["w1"] @ x)
    return w["w2"] @ hidden * jnp.sum(w["w2"] ** 2)


def test_a_lens_that_is_not_true_is_told_by_what_does_not_fit(rng):
    w = normal(rng, w1=(WIDTH, INPUTS), w2=(OUTPUTS, WIDTH), b1=(WIDTH,), b2=(OUTPUTS,), square=(WIDTH, WIDTH))
    two = {key: w[key] for key in ("w1", "w2")}
    zero = w | {"b1": np.zeros(WIDTH)}
    ones = two | {"scale": np.ones(WIDTH)}
    true, tanh = biased(Tanh().activation), rows_first(jnp.tanh)

    def deep(w, x):
        return w["w2"] @ jnp.tanh(w["square"] @ jnp.tanh(w["w1"] @ x + w["b1"]))

    above = Hidden(Tanh(), "square", "w2", inputs=lambda w, x: jnp.tanh(w["w1"] @ x + w["b1"]))
    assert wrong_lens(Foreign(w, deep, (above,)).lenses()[0], inputs((INPUTS,))) is None
    sum_says = "on sample 0 the output depends on more than the sum of phi v: check unit, inputs and bias"
    cases = [
        (two, tanh, Hidden(ReLU(), "w1", "w2"), sum_says),
        (two, tanh, Hidden(Linear(), "w1", "w2"), sum_says),
        (two, rows_first(jax.nn.relu), Hidden(Quadratic(), "w1", "w2"), sum_says),
        (w, true, Hidden(Tanh(), "w1", "w2"), "numbering the units otherwise changes the function"),
        (zero, true, Hidden(Tanh(), "w1", "w2"), "another unit does not fit.*incompatible shapes.*frozen_width"),
        (w, true, Hidden(Tanh(), "w1", "w2", bias="b1", direct=True), "not the sum of phi v.*direct=False"),
        (w, deep, Hidden(Tanh(), "square", "w2", inputs=lambda w, x: x), "cannot be computed from its input weights"),
        (w, deep, Hidden(Tanh(), "square", "w2", inputs=lambda w, x: jnp.tanh(w["w1"] @ x)), sum_says),
        (w, deep, Hidden(Tanh(), "w1", "w2", bias="b1"), "numbering the units otherwise"),
        (two | {"scale": w["b1"]}, scaled_units, Hidden(ReLU(), "w1", "w2"), "numbering the units otherwise"),
        (ones, scaled_units, Hidden(ReLU(), "w1", "w2"), "another unit does not fit.*frozen_width"),
        (two, normed, Hidden(ReLU(), "w1", "w2"), "splitting a unit in two changes the function"),
        (two, gated, Hidden(ReLU(), "w1", "w2"), "splitting a unit in two changes the function"),
        (two, gated, Hidden(ReLU(), "w1", "w2", frozen_width="so it is"), sum_says),
        (two, tanh, Hidden(Kernel(Tanh(), 2, 1), "w1", "w2"), "cannot be computed|features"),
    ]
    for weights, apply, hidden, says in cases:
        reason = wrong_lens(Foreign(weights, apply, (hidden,)).lenses()[0], inputs((INPUTS,)))
        assert reason is not None, (hidden, says)
        assert re.search(says, reason), (hidden, reason)


def test_one_unit_is_enough_to_tell_a_wrong_formula():
    # with one unit, no change of v alone leaves phi v as it is: input weights have to move too
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        weights = normal(rng, w1=(1, INPUTS), w2=(OUTPUTS, 1))
        for unit in (Tanh(), ReLU()):
            model = Foreign(weights, rows_first(jnp.tanh), (Hidden(unit, "w1", "w2"),))
            found.append(wrong_lens(model.lenses()[0], inputs((INPUTS,))))
    assert found[::2] == [None] * 10
    assert all("the sum of phi v" in reason for reason in found[1::2])


def test_a_width_that_other_weights_share_is_frozen(rng):
    weights = normal(rng, w1=(WIDTH, INPUTS), w2=(OUTPUTS, WIDTH)) | {"scale": np.ones(WIDTH)}
    hidden = Hidden(ReLU(), "w1", "w2", frozen_width="scale has the same axis.")
    lens = Foreign(weights, scaled_units, (hidden,), "a scaled layer").lenses()[0]
    assert wrong_lens(lens, inputs((INPUTS,))) is None
    assert lens.supports("width") == "scale has the same axis."
    assert lens.supports("u") is None
    with pytest.raises(ValueError, match="Split cannot embed ReLU units: scale has the same axis"):
        Split(0)(lens)
    with pytest.raises(ValueError, match="Layer 0 of a scaled layer cannot change its width: scale has the same axis"):
        lens.put(*(a[:3] for a in lens.get()))
    turned = Mixing(np.eye(WIDTH)[::-1], np.eye(WIDTH)[::-1])(lens)  # of the same width: allowed
    np.testing.assert_allclose(outputs(turned, inputs((INPUTS,))), outputs(lens.network, inputs((INPUTS,))), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("hidden", "says"),
    [
        (Hidden(ReLU(), "w0", "w2"), "names the weights 'w0': this model has 'w1', 'w2', 'b1', 'flat'"),
        (Hidden(ReLU(), "w1", "w2", bias="b"), "names the weights 'b': this model has"),
        (Hidden(ReLU(), "w1", "w2", u_axis=1), "one number of units.*found 4 in w1, 5 in w2. Check the axes"),
        (Hidden(ReLU(), "w1", "w2", v_axis=0), "found 5 in w1, 2 in w2"),
        (Hidden(ReLU(), "w1", "w2", bias="b2"), "found 5 in w1, 5 in w2, 2 in b2"),
        (Hidden(ReLU(), "w1", "flat"), r"axis 1 of flat, which has shape \[5\]: name another axis"),
        (Hidden(ReLU(), "w1", "w2", u_axis=-3), r"axis -3 of w1, which has shape \[5, 4\]"),
        (Hidden(ReLU(), "w1", "w2", bias="w1"), r"one bias for each unit: w1 has shape \[5, 4\]"),
    ],
)
def test_layers_that_there_are_not_are_refused(hidden, says):
    weights = {"w1": np.ones((5, 4)), "w2": np.ones((2, 5)), "b1": np.ones(5), "flat": np.ones(5), "b2": np.ones(2)}
    with pytest.raises(ValueError, match=says):
        Foreign(weights, rows_first(jax.nn.relu), (hidden,))
    with pytest.raises(ValueError, match=says):
        Foreign(weights, rows_first(jax.nn.relu), (Hidden(ReLU(), "w1", "w2"), hidden))


@pytest.mark.parametrize(
    ("u", "v"),
    [((5, 4), (5, 1, 2)), ((5, 5), (5, 2)), ((5, 5), (5, 1, 3)), ((5, 5), (4, 1, 2)), ((25,), (5, 1, 2))],
)
def test_weights_of_another_shape_cannot_be_put(u, v):
    says = re.escape(f"Layer 0 of foreign model takes u [units, 5] and v [units, 1, 2]: found {list(u)} and {list(v)}.")
    with pytest.raises(ValueError, match=says):
        MODELS["bias"].lenses()[0].put(np.zeros(u), np.zeros(v))


def test_axes_may_be_counted_from_the_end(rng):
    layer = ours("tanh", rng)
    model = theirs(layer)
    end = Foreign(model.weights, model.apply, (Hidden(Tanh(), "w1", "w2", u_axis=-2, v_axis=-1, direct=True),))
    for a, b in zip(end.lenses()[0].get(), model.lenses()[0].get(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert Silent()(end.lenses()[0]).weights["w2"].shape == (OUTPUTS, WIDTH + 1)


def test_a_model_without_layers_is_still_a_network():
    model = Foreign({"w": np.ones(4)}, lambda w, x: w["w"] @ x, ())
    assert model.lenses() == ()
    assert (model.form, model.title, model.num_weights()) == ("vectors", "foreign model", 4)
    assert outputs(model, inputs((INPUTS,))).shape == (7, 1)
