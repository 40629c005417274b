"""Networks: sums over units, the laws of lenses, names and shapes of weights, and building them from a spec's options."""

import jax
import numpy as np
import pytest

from cases import (
    DEEP,
    LAYERS,
    NETWORKS,
    SKIPS,
    STACKS,
    UNITS,
    Cubed,
    Swish,
    ids,
    inputs,
    outputs,
    with_random_weights,
)
from reference import deep as slow
from reference.units import ACTIVATIONS, dot
from saddlescope.complexity import effective_width, reduce
from saddlescope.embeddings import Split
from saddlescope.manifolds import Copies
from saddlescope.networks import ARCHITECTURES, Deep, Layer, Skip, Stack, build, form, neuron
from saddlescope.objective import Objective
from saddlescope.units import NEURONS, CubicHead, Kernel, Linear, Quadratic, ReLU, SoftmaxHead, TokenHead

over_networks = pytest.mark.parametrize("case", NETWORKS, ids=ids)
over_layers = pytest.mark.parametrize("case", LAYERS, ids=ids)
over_deep = pytest.mark.parametrize("case", DEEP, ids=ids)
over_stacks = pytest.mark.parametrize("case", STACKS, ids=ids)
over_skips = pytest.mark.parametrize("case", SKIPS, ids=ids)

# sums of at most a few hundred products of order 1, and terms up to 1e2 that may cancel
ROUNDING = {"rtol": 1e-12, "atol": 1e-11}


def same(a, b) -> bool:
    """Whether two networks have the same weights, bit for bit, in the same arrays."""
    a, b = a.arrays(), b.arrays()
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------------------------------------------------- functions


@over_layers
def test_a_layer_is_the_sum_over_its_units_and_their_features(case):
    network, x = case.random(), inputs(case.x_shape)
    *first, last = network.arrays()
    expected = np.zeros((len(x), case.outputs))
    for i in range(5):
        one = {name: np.asarray(a[i]) for name, a in network.arrays().items()}
        readout = one[last].reshape(-1, case.outputs)
        for n in range(len(x)):
            for f, value in enumerate(case.unit.slow(x=x[n], **{name: one[name] for name in first})):
                expected[n] += value * readout[f]
    np.testing.assert_allclose(outputs(network, x), expected, **ROUNDING)


@over_deep
def test_a_deep_network_is_one_layer_after_the_other(case):
    network, x = case.random(scale=0.7), inputs(case.x_shape)
    activation = ACTIVATIONS[case.name.split("-")[0]]
    for n, f in enumerate(outputs(network, x)):
        values = list(x[n])
        for depth, w in enumerate(network.weights):
            z = [dot(row, values) for row in w]
            values = [activation(value) for value in z] if depth + 1 < len(network.weights) else z
        np.testing.assert_allclose(f, values, **ROUNDING)


@over_stacks
def test_a_stack_is_one_layer_of_units_after_the_other(case):
    network, x = case.random(scale=0.7), inputs(case.x_shape)
    first = next(unit.slow for unit in UNITS if unit.unit == network.units[0])
    activations = [name for unit in network.units[1:] for name, known in NEURONS.items() if type(unit) is known]
    assert len(activations) == len(network.units) - 1
    expected = [slow.stack(first, activations, one, network.arrays()) for one in x]
    np.testing.assert_allclose(outputs(network, x), expected, **ROUNDING)


@over_skips
def test_a_skip_connection_adds_the_first_hidden_layer_to_a_later_one(case):
    network, x = case.random(scale=0.7), inputs(case.x_shape)
    expected = [slow.skip(case.name.split("-")[0], network.skip, one, network.weights) for one in x]
    np.testing.assert_allclose(outputs(network, x), expected, **ROUNDING)


def test_linear_networks_with_a_skip_are_the_products_that_one_would_write():
    one, two = (case.random() for case in SKIPS[:2])
    x = inputs((5,))
    w1, w2, w3, w4 = one.weights
    np.testing.assert_allclose(outputs(one, x), x @ (w4 @ w3 @ (np.eye(4) + w2) @ w1).T, **ROUNDING)
    assert one.homogeneity == 3
    w1, w2, w3, w4 = two.weights
    np.testing.assert_allclose(outputs(two, x), x @ (w4 @ (np.eye(4) + w3 @ w2) @ w1).T, **ROUNDING)
    assert two.homogeneity == 2


@pytest.mark.parametrize("case", [*STACKS, *SKIPS], ids=ids)
def test_gradients_are_those_of_finite_differences(case, rng, x64):
    # along a random direction, with the fourth-order formula: steps of 1e-3 leave 1e-12 times fifth derivatives
    network, x = case.random(scale=0.7), inputs(case.x_shape)
    objective = Objective(x, rng.normal(size=(len(x), case.outputs)), np.full(len(x), 1 / len(x)), np.float64(0.0))
    loss_and_gradient = jax.jit(lambda network: objective.loss_and_gradient(network))
    along = {name: rng.normal(size=a.shape) for name, a in network.arrays().items()}
    gradient = loss_and_gradient(network)[1].arrays()
    step = 1e-5 if "relu" in case.name else 1e-3  # no kink in between
    at = {
        k: float(
            loss_and_gradient(network.with_arrays({n: a + k * step * along[n] for n, a in network.arrays().items()}))[0]
        )
        for k in (-2, -1, 1, 2)
    }
    slope = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
    expected = sum(float(np.sum(np.asarray(gradient[n]) * along[n])) for n in along)
    assert slope == pytest.approx(expected, rel=1e-7)
    assert slope != pytest.approx(1.001 * expected, rel=1e-5)


@over_networks
def test_a_network_of_zero_weights_is_zero_unless_its_units_are_not_silent(case):
    network = case.zeros()
    assert all(not np.any(a) for a in network.arrays().values())
    np.testing.assert_array_equal(outputs(network, inputs(case.x_shape)), 0.0)


@pytest.mark.parametrize("case", [c for c in NETWORKS if c.zeros().psi_name], ids=ids)
def test_f_is_a_function_of_psi_alone_and_linear_in_it(case, x64):
    network, x = case.random(), inputs(case.x_shape)
    psi = np.asarray(jax.jit(jax.vmap(network.psi))(x))
    from_psi = jax.jit(jax.vmap(network.from_psi))
    np.testing.assert_allclose(from_psi(psi), outputs(network, x), **ROUNDING)
    mixed = from_psi(0.3 * psi - 2.0 * psi[::-1])
    np.testing.assert_allclose(mixed, 0.3 * from_psi(psi) - 2 * from_psi(psi)[::-1], **ROUNDING)


def test_networks_without_psi_say_so(x64):
    without = {case.name: case.zeros() for case in NETWORKS if case.zeros().psi_name is None}
    assert set(without) == {
        *("relu", "tanh", "sigmoid", "sine", "xtanhx", "cubed", "swish", "softplus", "magnitude"),
        *("softmax-rank-1", "softmax-rank-2", "softmax-merged"),
        *("relu-kernel-3-1", "tanh-kernel-2-3"),
        *("relu-3-layers", "quadratic-3-layers", "cubed-3-layers", "tanh-4-layers"),
        *("relu-kernel-then-relu", "softmax-then-relu", "linear-then-quadratic-then-sine"),
        *("relu-skip-1", "tanh-skip-2", "quadratic-skip-1"),
    }
    with pytest.raises(NotImplementedError, match="Tanh declares no psi"):
        without["tanh"].psi(np.ones(4))


@over_networks
def test_homogeneity_is_the_power_with_which_f_starts(case):
    # halving weights this small halves f `homogeneity` times; softplus corrects that by a part of 1e-3
    network = case.random()
    size = []
    for scale in (2e-3, 1e-3):
        small = network.with_arrays({name: scale * a for name, a in network.arrays().items()})
        size.append(np.sqrt(np.mean(outputs(small, inputs(case.x_shape)) ** 2)))
    assert abs(np.log2(size[0] / size[1]) - network.homogeneity) < 1e-2


# ----------------------------------------------------------------------------------------------------- arrays and shapes


@over_networks
def test_dims_are_the_shapes_of_the_arrays(case):
    network = case.random()
    arrays, dims = network.arrays(), network.dims()
    assert list(arrays) == list(dims)
    assert {name: a.shape for name, a in arrays.items()} == {name: tuple(d.values()) for name, d in dims.items()}
    assert network.num_weights() == sum(a.size for a in arrays.values())


@over_networks
def test_arrays_make_the_network_again(case):
    network = case.random()
    again = case.zeros().with_arrays(network.arrays())
    assert same(again, network)
    assert jax.tree.structure(again) == jax.tree.structure(network)
    assert not same(again, case.random(seed=1))


@over_networks
def test_the_only_leaves_of_a_network_are_its_weights_in_numpy_float64(case):
    network = case.random()
    leaves = jax.tree.leaves(network)
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype == np.float64 for leaf in leaves)
    assert sum(leaf.size for leaf in leaves) == network.num_weights()


def test_arrays_of_twice_the_width_make_a_network_of_twice_the_width():
    for case in LAYERS:
        arrays = case.random().arrays()
        twice = case.zeros().with_arrays({name: np.concatenate([a, a]) for name, a in arrays.items()})
        assert all(dims["units"] == 10 for dims in twice.dims().values())
    x = inputs(case.x_shape)  # of the last one: one is enough to see that the units are all there
    np.testing.assert_allclose(outputs(twice, x), 2 * outputs(case.random(), x), **ROUNDING)


def test_names_and_dimensions_are_those_of_init_files():
    by_name = {case.name: case.zeros().dims() for case in NETWORKS}
    assert by_name["tanh"] == {"u": {"units": 5, "inputs": 4}, "v": {"units": 5, "outputs": 2}}
    assert by_name["linear-kernel-3-1"]["v"] == {"units": 5, "positions": 4, "outputs": 2}
    assert by_name["head-rank-2"]["key"] == {"units": 5, "rank": 2, "embedding": 3}
    assert list(by_name["head-rank-2"]) == ["key", "query", "value"]
    assert by_name["cubic-merged"] == {
        "key_query": {"units": 5, "embedding": 3, "embedding_2": 3},
        "value": {"units": 5, "feature": 1, "outputs": 1},
    }
    assert by_name["tanh-4-layers"] == {
        "W1": {"hidden_1": 3, "inputs": 4},
        "W2": {"hidden_2": 5, "hidden_1": 3},
        "W3": {"hidden_3": 6, "hidden_2": 5},
        "W4": {"outputs": 2, "hidden_3": 6},
    }
    assert by_name["linear-kernel-then-linear"] == {
        "layers.0.u": {"hidden_1": 4, "kernel": 2},
        "layers.1.u": {"hidden_2": 3, "hidden_1": 4, "positions": 3},
        "layers.1.v": {"hidden_2": 3, "outputs": 2},
    }
    assert by_name["head-then-linear"]["layers.0.key"] == {"hidden_1": 4, "rank": 1, "embedding": 3}
    assert by_name["head-then-linear"]["layers.1.u"] == {"hidden_2": 3, "hidden_1": 4, "embedding": 3}
    assert list(by_name["linear-then-quadratic-then-sine"]) == ["layers.0.u", "layers.1.u", "layers.2.u", "layers.2.v"]
    assert list(by_name["relu-skip-1"]) == ["W1", "W2", "W3", "W4"]


# ---------------------------------------------------------------------------------------------------------------- lenses


def lenses():
    return [pytest.param(c, i, id=f"{c.name}-{i}") for c in NETWORKS for i in range(len(c.zeros().lenses()))]


over_lenses = pytest.mark.parametrize(("case", "layer"), lenses())


@over_lenses
def test_putting_back_what_was_got_changes_nothing(case, layer):
    network = case.random()
    lens = network.lenses()[layer]
    assert same(lens.put(*lens.get()), network)
    assert lens.facts == lens.unit.facts
    assert lens.supports("u") is None
    assert all(lens.supports(change) == lens.tied for change in ("width", "v"))
    assert (lens.tied is not None) == (isinstance(network, Skip) and layer in (0, network.skip))


@over_lenses
@pytest.mark.parametrize("more", [-1, 0, 3])
def test_what_was_put_is_got_at_any_width(case, layer, more, rng):
    lens = case.random().lenses()[layer]
    u, v = (rng.normal(size=(a.shape[0] + more, *a.shape[1:])) for a in lens.get())
    put = lens.put(u, v)
    found = put.lenses()[layer].get()
    np.testing.assert_array_equal(found[0], u)
    np.testing.assert_array_equal(found[1], v)
    assert {name: a.shape for name, a in put.arrays().items()} == {
        name: tuple(d.values()) for name, d in put.dims().items()
    }


@over_lenses
def test_putting_changes_no_other_layer(case, layer, rng):
    network = case.random()
    lens = network.lenses()[layer]
    changed = lens.put(*(rng.normal(size=a.shape) for a in lens.get()))
    kept = [name for name, a in network.arrays().items() if np.array_equal(a, changed.arrays()[name])]
    if isinstance(network, Layer):
        assert kept == []
        return
    names, last = list(network.arrays()), len(network.lenses()) - 1
    touched = {f"W{layer + 1}", f"W{layer + 2}"}
    if isinstance(network, Stack):
        touched = {name for name in names if name.startswith(f"layers.{layer}.")} - {f"layers.{last}.v"}
        touched |= {f"layers.{layer}.v" if layer == last else f"layers.{layer + 1}.u"}
    assert set(kept) == set(names) - touched


@over_deep
def test_the_neighbours_of_a_deep_layer_fix_its_two_other_sizes(case, rng):
    lens = case.random().lenses()[1]
    (width, weights), (_, _, readout) = (a.shape for a in lens.get())
    says = rf"Layer 1 of .*takes u \[units, {weights}\] and v \[units, 1, {readout}\].*neighbours"
    for u, v in (((width, weights + 1), (width, 1, readout)), ((width, weights), (width, 1, readout + 1))):
        with pytest.raises(ValueError, match=says):
            lens.put(np.zeros(u), np.zeros(v))


@pytest.mark.parametrize(
    ("case", "layer"), [p for p in lenses() if p.values[0] in LAYERS + DEEP]
)  # of others test_foreign asks whether they are true
def test_a_lens_shows_what_its_units_put_out(case, layer, x64):
    network, x = case.random(scale=0.7), inputs(case.x_shape)
    lens = network.lenses()[layer]
    u, v = lens.get()
    phi = np.asarray(jax.jit(jax.vmap(lambda x: lens.features(x, False)))(x))
    assert phi.shape == (len(x), len(u), v.shape[1])
    # what follows the layer: nothing, or the layers above applied to their input
    after = np.einsum("nhf,hfo->no", phi, v)
    for w in network.weights[layer + 2 :] if isinstance(network, Deep) else ():
        after = np.vectorize(ACTIVATIONS[case.name.split("-")[0]])(after) @ w.T
    np.testing.assert_allclose(after, outputs(network, x), **ROUNDING)


WITH_ROWS = [p for p in lenses() if p.values[0].zeros().lenses()[p.values[1]].unit.psi_name]


@pytest.mark.parametrize(("case", "layer"), WITH_ROWS)
def test_rows_of_a_lens_times_lift_are_its_features_from_inputs_and_from_psi(case, layer, x64):
    network = case.random()
    lens = network.lenses()[layer]

    def of(x):
        # a deep network may have units with a psi and none itself
        given = [(x, False)] + ([(network.psi(x), True)] if network.psi_name else [])
        return [lens.rows(*one) for one in given], [lens.features(*one) for one in given]

    rows, phi = jax.jit(jax.vmap(of))(inputs(case.x_shape))
    lift = jax.jit(jax.vmap(lens.unit.lift))(lens.get()[0])
    for i in range(len(rows)):
        np.testing.assert_allclose(np.einsum("nfp,hp->nhf", rows[i], lift), phi[0], **ROUNDING)
        np.testing.assert_allclose(phi[i], phi[0], **ROUNDING)


def test_units_without_psi_have_no_rows(x64):
    for case in (NETWORKS[1], DEEP[-1]):
        for lens in case.random().lenses():
            with pytest.raises(NotImplementedError, match="declares no psi"):
                lens.rows(inputs(case.x_shape)[0], False)


# ----------------------------------------------------------------------------------------------------------------- build


def test_build_gives_the_architectures_of_a_spec_with_zero_weights():
    made = build("fully_connected", (4,), 2, {"activation": "relu", "units": 7})
    assert {name: a.shape for name, a in made.arrays().items()} == {"u": (7, 4), "v": (7, 2)}
    assert made.title == "relu, fully connected, 7 units"
    deep = build("fully_connected", (4,), 2, {"activation": "tanh", "units": [5, 3]})
    assert [a.shape for a in deep.arrays().values()] == [(5, 4), (3, 5), (2, 3)]
    assert deep.title == "tanh, 3 layers, hidden layers 5-3"
    one = build("fully_connected", (4,), 2, {"activation": "tanh", "units": [1]})
    assert {name: a.shape for name, a in one.arrays().items()} == {"W1": (1, 4), "W2": (2, 1)}  # a list is deep
    side_by_side = build("convolutional", (6,), 1, {"activation": "linear", "units": 2, "kernel_size": 3})
    assert side_by_side.unit == Kernel(neuron("linear"), 3, 3)
    overlap = build("convolutional", (6,), 1, {"activation": "linear", "units": 2, "kernel_size": 3, "stride": 1})
    assert overlap.unit == Kernel(neuron("linear"), 3, 1)
    tokens = build("attention", (5, 4), 2, {"units": 3, "rank": 2, "normalise": False})
    assert tokens.unit == TokenHead(rank=2, normalise=False, outputs=2)
    cubic = build("attention", (2, 4), 1, {"units": 3, "merged": True, "input": "cubic"})
    assert cubic.unit == CubicHead(merged=True)
    softmax = build("attention", (5, 4), 2, {"units": 3, "rank": 2, "softmax": True, "normalise": None})
    assert softmax.unit == SoftmaxHead(rank=2, outputs=2)
    skips = build("fully_connected", (4,), 2, {"activation": "relu", "units": [5, 3, 5], "skip": 2})
    assert skips.title == "relu, 4 layers, skip 2, hidden layers 5-3-5"
    mixed = build(
        *("layers", (6,), 2),
        {
            "layers": [
                {"architecture": "convolutional", "activation": "quadratic", "units": 4, "kernel_size": 3, "stride": 1},
                {"architecture": "fully_connected", "activation": "linear", "units": 3, "skip": None},
            ]
        },
    )
    assert mixed.units == (Kernel(Quadratic(), 3, 1), Linear())
    assert mixed.title == "quadratic convolution then linear, layers 4-3"
    for network in (made, deep, side_by_side, tokens, cubic, softmax, skips, mixed):
        assert not any(np.any(a) for a in network.arrays().values())


def test_the_form_of_x_follows_from_the_architecture():
    networks = {
        "fully_connected": ((4,), {"activation": "relu", "units": [2, 2]}),
        "convolutional": ((4,), {"activation": "relu", "units": 2, "kernel_size": 2}),
        "attention": ((4, 4), {"units": 2}),
        "layers": (
            (4, 4),
            {
                "layers": [
                    {"architecture": "attention", "units": 2, "softmax": True},
                    {"architecture": "fully_connected", "activation": "relu", "units": 2},
                ]
            },
        ),
    }
    assert set(networks) == set(ARCHITECTURES)
    for architecture, (x_shape, options) in networks.items():
        assert build(architecture, x_shape, 1, options).form == form(architecture, options)
    cubic = {"units": 2, "input": "cubic"}
    assert build("attention", (2, 4), 1, cubic).form == form("attention", cubic) == "cubic"


@pytest.mark.parametrize("own", [Cubed, Swish])
def test_a_users_own_neuron_is_built_from_its_module_and_class(own):
    name = f"cases:{own.__name__}"
    assert neuron(name) == own()
    x, activation = inputs((4,)), ACTIVATIONS[own.__name__.lower()]
    for units in (5, [3, 2]):
        zeros = build("fully_connected", (4,), 2, {"activation": name, "units": units})
        assert zeros.title.startswith(name)
        network = with_random_weights(zeros, np.random.default_rng(0))
        values = x.T
        *hidden, last = network.weights if isinstance(units, list) else (network.u, network.v[:, 0].T)
        for w in hidden:
            values = np.vectorize(activation)(w @ values)
        np.testing.assert_allclose(outputs(network, x), (last @ values).T, **ROUNDING)
    conv = build("convolutional", (6,), 1, {"activation": name, "units": 2, "kernel_size": 3})
    assert conv.unit == Kernel(own(), 3, 3)


@pytest.mark.parametrize(
    ("activation", "says"),
    [
        ("gelu", f'activation = "gelu" is not one of {", ".join(NEURONS)}; a unit of your own is "module:Class"'),
        ("nowhere_to_be_found:Neuron", "a module beside the spec, or one that Python finds.*nowhere_to_be_found"),
        ("cases:Nobody", "a class in it.*Nobody"),
        ("cases:UnitCase", "a class without arguments"),
        ("collections:OrderedDict", "subclass of saddlescope.units.AbstractNeuron: found OrderedDict"),
    ],
)
def test_neurons_that_there_are_not_are_refused_with_the_way_out(activation, says):
    with pytest.raises(ValueError, match=says):
        neuron(activation)


# ------------------------------------------------------------------------------------------------- layers that are tied


@over_skips
def test_a_change_of_a_tied_layer_unties_it_and_putting_it_back_ties_it_again(case, rng):
    network = case.random()
    for layer in (0, network.skip):
        lens = network.lenses()[layer]
        u, v = lens.get()
        wider = lens.put(np.vstack([u, u[:1]]), np.concatenate([v, np.zeros_like(v[:1])]))
        assert wider.bypass is not None
        np.testing.assert_allclose(outputs(wider, inputs((5,))), outputs(network, inputs((5,))), **ROUNDING)
        assert all(one.tied is None for one in wider.lenses())  # its layers are free
        assert lens.put(u, v).bypass is None
        # turning units of the layer and what reads them turns nothing of the function, though the other layer has stayed
        order = rng.permutation(len(u))
        np.testing.assert_allclose(
            outputs(lens.put(u[order], v[order]), inputs((5,))), outputs(network, inputs((5,))), **ROUNDING
        )


@pytest.mark.parametrize(
    ("units", "widths", "says"),
    [
        ((Linear(),), (3,), "two layers of units or more"),
        (
            (Linear(), Kernel(Linear(), 2, 2)),
            (3, 2),
            "Layer 1 of a stack reads the vector .* needs neurons: found Kernel",
        ),
        ((Kernel(Linear(), 9, 2), ReLU()), (3, 2), "kernel of size 9"),
    ],
)
def test_layers_that_do_not_fit_are_refused(units, widths, says):
    with pytest.raises(ValueError, match=says):
        Stack.zeros(units, widths, (4,), 1)


def test_a_skip_connection_needs_two_layers_of_one_width():
    for widths, skip in (([3, 4], 1), ([3, 3], 2), ([3], 1), ([3, 3], 0)):
        with pytest.raises(ValueError, match=f"skip = {skip} adds hidden layer 1 to hidden layer {skip + 1}"):
            Skip.zeros(Linear(), widths, skip, (5,), 2)


@over_skips
def test_a_tied_layer_has_no_embedding_manifold_or_symmetry_of_its_own_but_an_effective_width(case):
    x, rng = inputs((5,)), np.random.default_rng(1)
    network = case.random(scale=0.7)
    lens = network.lenses()[0]
    with pytest.raises(ValueError, match=r"Split cannot embed .*joined to hidden layer .* by the skip connection"):
        Split(0)(lens)
    with pytest.raises(ValueError, match=r"Copies is not invariant .*joined to hidden layer"):
        Copies(np.array([0, 0, *range(1, len(lens.get()[0]) - 1)])).nearest(lens)
    objective = Objective(x, rng.normal(size=(len(x), 2)), np.full(len(x), 1 / len(x)), np.float64(0.0))
    # a channel that nothing reads or writes is one that is not needed
    weights = [np.array(w) for w in network.weights]
    for w in (weights[0], weights[network.skip]):
        w[-1] = 0.0
    silent = network.with_arrays({f"W{k + 1}": w for k, w in enumerate(weights)})
    most = effective_width(silent, objective, 1e-9).widths
    assert most[0] <= len(weights[0]) - 1
    left = reduce(silent, objective, 1e-9)
    assert left.complexity.widths == most
    assert left.change <= 1e-9
    assert left.network.weights[0].shape == network.weights[0].shape  # its width is measured, not changed
    back, matrices = left.back(left.network)
    assert back.bypass is None
    np.testing.assert_allclose(outputs(back, x), outputs(silent, x), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(matrices[0].a, np.eye(len(weights[0])))
