"""Units that a flow need not carry: left out, they change nothing; asked for, every weight is there."""

import jax
import numpy as np
import pytest

import cases
from saddlescope.flow import compress, gradient_descent, gradient_flow, weights_of
from saddlescope.networks import Deep, Layer
from saddlescope.objective import Objective, build
from saddlescope.tasks import Samples
from saddlescope.units import Kernel, Linear, Quadratic, ReLU, Tanh


def problem(network, seed=0, samples=30, scale=0.3):
    """Random weights, and data of a teacher of the same kind: inputs [samples, ...]."""
    rng = np.random.default_rng(seed)
    inputs = network.weights[0].shape[1] if isinstance(network, Deep) else {"vectors": 4, "signals": 6}[network.form]
    outputs = 3 if isinstance(network, Deep) else network.v.shape[-1]
    x = rng.normal(size=(samples, inputs))
    teacher = network.with_arrays({name: rng.normal(size=a.shape) / 2 for name, a in network.arrays().items()})
    y = cases.outputs(teacher, x)
    assert y.shape == (samples, outputs)
    data = Samples(x, y / np.sqrt(np.mean(y**2)))
    network = network.with_arrays({name: scale * rng.normal(size=a.shape) for name, a in network.arrays().items()})
    return network, build(data, network)


def layer(unit, units, outputs=3, inputs=4):
    return Layer.zeros(unit, units, (inputs,), outputs)


def both(network, objective, **options):
    options = {"until": 8.0, "rtol": 1e-10, **options}
    return [gradient_flow(network, objective, compress=c, **options) for c in (False, True)]


def agree(whole, narrow, tolerance):
    assert whole.loss[-1] < 0.9 * whole.loss[0]  # something happened
    for end in (0, -1):
        assert np.abs(weights_of(narrow.network(end)) - weights_of(whole.network(end))).max() < tolerance
    assert narrow.loss[-1] == pytest.approx(whole.loss[-1], rel=1e-8, abs=1e-10 * whole.loss[0])
    assert narrow.speed[-1] == pytest.approx(whole.speed[-1], rel=1e-6, abs=1e-6 * whole.speed[0])


@pytest.mark.parametrize("unit", [Linear(), Kernel(Linear(), 2, 2)], ids=["neurons", "kernels"])
def test_linear_units_move_as_few_do(unit):
    network, objective = problem(layer(unit, 40, inputs=4 if isinstance(unit, Linear) else 6))
    whole, narrow = both(network, objective)
    assert narrow.kept.shape[1] < whole.kept.shape[1]
    assert narrow.network(-1).u.shape == network.u.shape
    # an integration error of 1e-10 a step in weights of order 1, in both
    agree(whole, narrow, 1e-8)


def test_hidden_layers_of_deep_linear_networks_are_turned_one_by_one():
    network, objective = problem(Deep.zeros(Linear(), [30, 8], (4,), 3), scale=0.5)
    whole, narrow = both(network, objective)
    # layer 1 lies in 4 + 8 dimensions, layer 2 then in itself
    assert compress(network).narrow.weights[0].shape[0] == 12
    agree(whole, narrow, 1e-8)


def test_the_width_that_is_integrated_does_not_grow():
    sizes = {weights_of(compress(problem(layer(Linear(), units))[0]).narrow).size for units in (10, 100, 1000)}
    assert sizes == {7 * 7}


@pytest.mark.parametrize("unit", [Tanh(), Quadratic(), Linear()], ids=lambda u: type(u).__name__)
def test_copies_and_silent_units_cost_nothing(unit):
    network, objective = problem(layer(unit, 3), scale=0.5)
    u, v = np.asarray(network.u), np.asarray(network.v)
    rows = [0, 1, 0, 2, 0, 1]
    crowd = Layer(
        unit, np.vstack([u[rows], np.zeros((2, 4))]), np.vstack([v[rows], np.zeros((2, 1, 3))]), network.schema
    )
    assert len(compress(crowd).narrow.u) == (7 if unit.linear else 3)  # linear: 4 + 3 < 8 is what turning finds
    whole, narrow = both(crowd, objective)
    agree(whole, narrow, 1e-7)
    u = narrow.network(-1).u
    np.testing.assert_allclose(u[0], u[2], atol=1e-14 if unit.linear else 0)
    assert not np.any(u[6:])


def test_units_that_differ_by_rounding_are_no_copies():
    network, _ = problem(layer(Tanh(), 3))
    u = np.vstack([network.u, network.u[:1] * (1 + 4e-16)])
    assert not compress(Layer(Tanh(), u, np.vstack([network.v, network.v[:1]]), network.schema)).steps


def test_silent_units_that_are_no_zero_of_phi_stay():
    network, _ = problem(layer(cases.Softplus(), 3))
    u = np.vstack([network.u, np.zeros((1, 4))])
    assert not compress(Layer(cases.Softplus(), u, np.vstack([network.v, np.zeros((1, 1, 3))]), network.schema)).steps


def test_copies_of_piecewise_linear_units_are_carried_and_silent_ones_are_not():
    network, objective = problem(layer(ReLU(), 3))
    copies = Layer(ReLU(), np.vstack([network.u, network.u[:1]]), np.vstack([network.v, network.v[:1]]), network.schema)
    assert not compress(copies).steps
    silent = Layer(
        ReLU(), np.vstack([network.u, np.zeros((2, 4))]), np.vstack([network.v, np.zeros((2, 1, 3))]), network.schema
    )
    assert len(compress(silent).narrow.u) == 3
    whole, narrow = both(silent, objective, rtol=1e-8, until=1.0)
    agree(whole, narrow, 1e-6)


def test_rest_is_asked_of_all_units_where_silent_ones_could_leave():
    # at the optimum of one silent-padded unit the narrow flow rests; the whole network has a way out
    network, objective = problem(layer(Quadratic(), 1, outputs=1), scale=0.5)
    padded = Layer(
        Quadratic(),
        np.vstack([network.u, np.zeros((1, 4))]),
        np.vstack([network.v, np.zeros((1, 1, 1))]),
        network.schema,
    )
    asked = []

    def can_rest(candidate):
        asked.append(candidate.u.shape[0])
        return True

    gradient_flow(padded, objective, until="converged", can_rest=can_rest, rtol=1e-8)
    assert asked
    assert set(asked) == {2}


def test_gradient_descent_takes_the_same_steps_in_fewer_units():
    network, objective = problem(layer(Linear(), 40))
    whole, narrow = (gradient_descent(network, objective, learning_rate=0.05, steps=200, compress=c) for c in (0, 1))
    np.testing.assert_allclose(narrow.loss, whole.loss, rtol=1e-11, atol=1e-13 * whole.loss[0])
    np.testing.assert_allclose(narrow.states[-1], whole.states[-1], atol=1e-12)


def test_a_compression_that_is_no_isometry_is_noticed():
    network, objective = problem(layer(Linear(), 40))
    way = compress(network)
    off = 1.01 * way.steps[0].isometry
    u, v = (np.asarray(a) for a in way.narrow.lenses()[0].get())
    wrong = Layer(Linear(), off.T @ network.u, v, network.schema)
    with jax.enable_x64(True):
        right, moved = (float(objective.loss(n)) for n in (Layer(Linear(), u, v, network.schema), wrong))
    assert right == pytest.approx(float(objective_loss(objective, network)), rel=1e-12)
    assert abs(moved - right) > 1e-6 * right


def objective_loss(objective: Objective, network):
    with jax.enable_x64(True):
        return objective.loss(network)
