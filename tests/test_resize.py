"""Growing keeps function and gradient; pruning keeps the function with as few units as it needs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import small
from cases import DEEP, LAYERS, OWN, ids, inputs, outputs
from saddlescope import objective as objectives
from saddlescope.complexity import effective_width
from saddlescope.embeddings import Factorised, Silent, Split
from saddlescope.fixed_points import grow, insertion, polish, prune
from saddlescope.flow import gradient_flow
from saddlescope.networks import Deep, Foreign, Hidden, Layer
from saddlescope.tasks import Samples
from saddlescope.units import Quadratic, ReLU


def loss_of(case, network, samples=30):
    x = inputs(case.x_shape, samples)
    rng = np.random.default_rng(1)
    return objectives.build(Samples(x, rng.normal(size=(samples, case.outputs))), network), x


def gradient(network, loss):
    with jax.enable_x64(True):
        both = jax.tree.map(jnp.asarray, (network, loss))
        return np.asarray(ravel_pytree(both[1].loss_and_gradient(both[0])[1])[0])


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in LAYERS + DEEP
        if c.name
        in (
            "linear",
            "relu",
            "quadratic",
            "tanh",
            "softplus",
            "relu-kernel-3-1",
            "head-rank-1",
            "tanh-4-layers",
            "relu-3-layers",
        )
    ],
    ids=ids,
)
def test_growing_changes_neither_function_nor_gradient(case):
    network = case.random(2)
    loss, x = loss_of(case, network)
    before = gradient(network, loss)
    for layer, lens in enumerate(network.lenses()):
        grown = grow(network, loss, 3, layer=layer)
        wide = grown.network.lenses()[layer]
        assert wide.get()[0].shape[0] == lens.get()[0].shape[0] + 3
        np.testing.assert_allclose(outputs(grown.network, x), outputs(network, x), rtol=1e-12, atol=1e-12)
        assert grown.change < 1e-13
        # what has been there keeps its gradient, and silent units have none; shares of a split have a share of it
        after = gradient(grown.network, loss)
        if lens.facts.silent:
            assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), rel=1e-12)


def test_growth_of_a_stuck_network_lets_it_go_on():
    # one ReLU unit where two are needed: its minimum is a saddle of the wider landscape
    x, y = np.array([[1.5, 0.0], [0.0, 1.0]]), np.array([[1.4], [-1.4]])
    network, loss = small.neurons("relu", x, y, {"u": [[1.0, 0.0]], "v": [[1.4 / 1.5]]})
    same = grow(network, loss, 1)
    assert same.gradient < 1e-12
    still = gradient_flow(same.network, loss, until=50.0)
    assert still.loss[-1] == pytest.approx(still.loss[0], rel=1e-12)  # exact, so it never leaves
    free = grow(network, loss, 1, kick=1e-3)
    assert 0 < free.change < 1e-5
    assert gradient_flow(free.network, loss, until=50.0).loss[-1] < 1e-8
    # the new unit is turned towards what a silent unit would learn
    new = free.network.u[-1] / np.linalg.norm(free.network.u[-1])
    assert new @ insertion(network, loss).u > 0.99


def test_a_kick_lowers_the_loss_to_first_order_in_what_it_adds():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = (x[:, :1] ** 2) + 0.5 * x[:, 1:2] ** 2
    network, loss = small.neurons("quadratic", x, y, units=1, scale=0.5)
    stuck = polish(network, loss)
    for kick in (1e-1, 3e-2):
        assert float(loss.loss_of(outputs_on(loss, grow(stuck.network, loss, 2, kick=kick).network))) < stuck.loss


def outputs_on(loss, network):
    with jax.enable_x64(True):
        both = jax.tree.map(jnp.asarray, (network, loss))
        return np.asarray(both[1].outputs(both[0]))


def test_units_that_are_not_silent_at_zero_are_split():
    x = np.random.default_rng(0).normal(size=(20, 2))
    network = Layer.zeros(OWN["softplus"], 2, (2,), 1)
    network = network.lenses()[0].put(np.array([[1.0, 0.3], [-0.4, 0.8]]), np.array([[[1.0]], [[-0.5]]]))
    loss = objectives.build(Samples(x, x[:, :1] ** 2), network)
    grown = grow(network, loss, 3)
    assert [type(e).__name__ for e in grown.embeddings] == ["Split"] * 3
    assert grown.change < 1e-14
    assert all(np.any(grown.network.u[i] != 0) for i in range(5))


def test_nothing_is_grown_where_that_makes_no_sense():
    network, loss = small.neurons("relu", [[1.0, 0.0]], [[1.0]], units=2)
    with pytest.raises(ValueError, match=r"grow\(units=0\) needs at least one"):
        grow(network, loss, 0)
    weights = {"a": np.ones((2, 2)), "b": np.ones((1, 2))}
    tied = Foreign(
        weights,
        lambda w, x: w["b"] @ jnp.maximum(w["a"] @ x, 0),
        (Hidden(ReLU(), "a", "b", frozen_width="its norm has as many weights."),),
    )
    with pytest.raises(ValueError, match="its norm has as many weights"):
        grow(tied, loss, 1)


# ------------------------------------------------------------------------------------------------------------------- prune


@pytest.mark.parametrize("name", ["linear", "quadratic", "tanh", "relu"])
def test_what_was_embedded_is_pruned_back_to_its_width_and_function(name):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 3))
    network, loss = small.neurons(name, x, rng.normal(size=(50, 2)), units=2, scale=0.8)
    lens = network.lenses()[0]
    wide = Factorised(rng.normal(size=(20, 2)))(lens) if name == "linear" else Split(0, 0.3)(lens)
    wide = Silent(5)(lens.of(wide))
    cut = prune(wide, loss)
    assert cut.complexity.widths == (2,)
    assert cut.change < 1e-12
    reached = outputs_on(loss, cut.network)
    target = outputs_on(loss, wide)
    rows = np.sqrt(np.asarray(loss.weight))[:, None]
    scale = max(np.linalg.norm(rows * target), np.linalg.norm(rows * np.asarray(loss.y)))
    # the change reported is the change there is, recomputed here: both rounding
    assert np.linalg.norm(rows * (reached - target)) < 1e-11 * scale


def test_a_trained_wide_network_is_pruned_to_its_effective_width():
    # 200 quadratic units trained on two directions: cut to what is left, the function as it was
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = (x @ [1.0, 0.2, 0.0])[:, None] ** 2 + 0.6 * (x @ [0.0, 0.3, 1.0])[:, None] ** 2
    network, loss = small.neurons("quadratic", x, y, units=200, scale=1e-3)
    run = gradient_flow(network, loss, can_rest=small.rests_on(loss))
    trained = run.network(-1)
    cut = prune(trained, loss)
    assert cut.complexity.widths[0] == effective_width(trained, loss).widths[0] <= 3
    # two units can express the teacher, so it costs no more than what training has left to learn
    left = np.sqrt(2 * run.loss[-1]) / np.sqrt(np.mean(y**2))
    assert cut.change < 1.1 * left < 1e-5


def test_what_needs_all_its_units_is_not_cut():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    network, loss = small.neurons(
        "tanh", x, rng.normal(size=(60, 2)), {"u": 2 * np.eye(3), "v": rng.normal(size=(3, 2))}
    )
    cut = prune(network, loss)
    assert cut.complexity.widths == (3,)
    assert cut.change < 1e-12


def test_a_coarser_cut_says_what_it_cost():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    network, loss = small.neurons("linear", x, x, {"u": np.diag([1.0, 1.0, 0.3]), "v": np.diag([1.0, 1.0, 0.3])})
    cut = prune(network, loss, tau=0.1)
    assert cut.complexity.widths == (2,)
    rows = np.sqrt(np.asarray(loss.weight))[:, None]
    lost = np.linalg.norm(rows * (outputs_on(loss, cut.network) - outputs_on(loss, network)))
    scale = max(np.linalg.norm(rows * outputs_on(loss, network)), np.linalg.norm(rows * np.asarray(loss.y)))
    assert cut.change == pytest.approx(lost / scale, rel=1e-9)
    assert 0.01 < cut.change < 0.1


def test_nothing_is_left_of_nothing():
    network, loss = small.neurons("quadratic", [[1.0, 0.0], [0.3, 1.0]], [[1.0], [2.0]], units=3, scale=1e-9)
    cut = prune(network, loss)
    assert cut.network is None
    assert cut.complexity.kind == "origin"


def test_every_layer_of_a_deep_network_is_cut():
    rng = np.random.default_rng(2)
    narrow = Deep(Quadratic(), (rng.normal(size=(2, 3)), rng.normal(size=(2, 2)), rng.normal(size=(1, 2))))
    wide = Silent(4)(narrow.lenses()[0])
    wide = Split(0, 0.4)(wide.lenses()[1])
    x = rng.normal(size=(40, 3))
    loss = objectives.build(Samples(x, rng.normal(size=(40, 1))), wide)
    cut = prune(wide, loss, tau=1e-6)
    assert cut.complexity.widths == (2, 2)
    assert cut.change < 1e-10
