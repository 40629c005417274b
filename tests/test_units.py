"""Units: formulas against loops, and every declared fact against the formula that it is about."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import UNITS, WITH_KINKS, WITH_PSI, Swish, UnitCase, ids, inputs, phi
from reference import units as slow
from saddlescope.units import (
    NEURONS,
    AbstractNeuron,
    CubicHead,
    Facts,
    Kernel,
    Linear,
    ReLU,
    Tanh,
    TokenHead,
    features,
    wrong_facts,
)

over_units = pytest.mark.parametrize("case", UNITS, ids=ids)

# sums of at most 36 products of numbers of order 1: 36 x 1.1e-16, and two decades for larger terms that cancel
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}


def weights(case: UnitCase, rng, units: int = 5) -> np.ndarray:
    return rng.normal(size=(units, case.num_weights()))


# -------------------------------------------------------------------------------------------------------------- formulas


@over_units
def test_a_unit_is_the_loop_over_its_definition(case, rng):
    x, u = inputs(case.x_shape), weights(case, rng)
    expected = [[case.slow(x=one, **case.named(row)) for row in u] for one in x]
    np.testing.assert_allclose(phi(case.unit, x, u), expected, **ROUNDING)


def test_the_loops_give_a_sum_done_by_hand():
    # tokens (1, 2) and (3, 99); the query is the second and its target counts as 0
    x, key, query = [[1.0, 2.0], [3.0, 99.0]], [[1.0, 10.0]], [[2.0, 5.0]]
    scores = (2 * 3) * (1 + 20), (2 * 3) * 3  # (query . (3, 0)) times key . (1, 2), key . (3, 0)
    by_hand = [scores[0] * 1 + scores[1] * 3, scores[0] * 2.0]
    np.testing.assert_array_equal(slow.token_head(1, False, x, key=key, query=query), by_hand)
    np.testing.assert_array_equal(slow.token_head(1, True, x, key=key, query=query), by_hand)  # one context token
    np.testing.assert_array_equal(slow.cubic_head(x, key=key, query=query), [(1 + 20) * (2 * 3 + 5 * 99)])
    np.testing.assert_array_equal(slow.kernel("quadratic", 2, [1.0, 2, 3, 4, 5], [1.0, -1, 2]), [25.0, 81.0])


@pytest.mark.parametrize("rank", [1, 2])
def test_merging_key_and_query_leaves_the_head_as_it_was(rank, rng):
    x = inputs((4, 3))
    key, query = rng.normal(size=(2, rank, 3))
    separate = phi(TokenHead(rank=rank), x, np.concatenate([key, query]).reshape(1, -1))
    merged = phi(TokenHead(merged=True), x, (query.T @ key).reshape(1, -1))  # x_q^T A x_j
    np.testing.assert_allclose(merged, separate, **ROUNDING)
    cubic = phi(CubicHead(rank=rank), x[:, :2], np.concatenate([key, query]).reshape(1, -1))
    cubic_merged = phi(CubicHead(merged=True), x[:, :2], (key.T @ query).reshape(1, -1))  # beta^T A x_q
    np.testing.assert_allclose(cubic_merged, cubic, **ROUNDING)


def test_a_head_sees_the_targets_of_the_context_and_not_the_one_of_the_query(rng):
    head, x, u = TokenHead(rank=1, outputs=2), inputs((4, 5)), rng.normal(size=(3, 10))
    answered, lied_to = x.copy(), x.copy()
    answered[:, -1, 3:] = 1e3
    lied_to[:, 0, 4] += 1.0
    np.testing.assert_array_equal(phi(head, answered, u), phi(head, x, u))
    assert np.abs(phi(head, lied_to, u) - phi(head, x, u)).max() > 0.1  # of order 1


def test_a_head_divides_by_the_number_of_context_tokens(rng):
    x, u = inputs((4, 3)), rng.normal(size=(2, 6))
    np.testing.assert_allclose(3 * phi(TokenHead(), x, u), phi(TokenHead(normalise=False), x, u), **ROUNDING)


def test_relu_has_gradient_zero_at_its_kink_and_the_slopes_of_its_sides_beside_it(x64):
    x, u = jnp.array([1.0, -1.0]), jnp.array([[0.5, 0.5], [0.0, 0.0], [1e-300, 0.0], [-1e-300, 0.0]])
    gradient = jax.jit(jax.vmap(jax.jacobian(ReLU(), argnums=1), in_axes=(None, 0)))(x, u)[:, 0]
    np.testing.assert_array_equal(gradient, jnp.array([[0.0], [0.0], [1.0], [0.0]]) * x)


def test_features_are_the_units_one_at_a_time(x64, rng):
    x, u = rng.normal(size=6), rng.normal(size=(4, 3))
    unit = Kernel(Tanh(), 3, 1)
    one = jax.jit(unit)
    np.testing.assert_allclose(features(unit, x, u), [one(x, row) for row in u], **ROUNDING)


# ----------------------------------------------------------------------------------------------------------------- facts


def measured(unit, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Facts:
    """The facts, from values of the formula at many inputs and random weights u, w [units, weights] alone."""

    def same(a, b):
        return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9 * max(np.abs(a).max(), np.abs(b).max())))

    def at(weights):
        return phi(unit, x, weights)

    # halving weights this small halves phi `order` times; the next order changes that by a part of 1e-4
    size, half = (np.sqrt(np.mean(at(s * u) ** 2)) for s in (2e-4, 1e-4))
    order = np.log2(size / half)
    assert abs(order - round(order)) < 1e-2, f"phi starts with the power {order} of u"
    order = round(order)
    # if phi is homogeneous, its degree can only be its order
    degree = order if same(at(2.7 * u), 2.7**order * at(u)) else None
    signs = {"odd": -1, "even": 1}
    parity = [name for name, sign in signs.items() if same(at(-u), sign * at(u))]
    # along u -> -u every kink at u . row = 0 is met at 0; second differences there are of order h, and of h^2 if smooth
    h = 1e-5
    second = np.abs(at(h * u) - 2 * at(0 * u) + at(-h * u)).max()
    return Facts(
        degree=degree,
        linear=same(at(0.3 * u - 2 * w), 0.3 * at(u) - 2 * at(w)),
        silent=bool(np.all(at(0 * u) == 0)),
        order=order,
        parity=parity[0] if parity else "none",
        kinks=bool(second > h * 1e-2),
    )


@over_units
def test_declared_facts_are_facts_of_the_formula(case, rng):
    assert measured(case.unit, inputs(case.x_shape), weights(case, rng), weights(case, rng)) == case.unit.facts


class Liar(AbstractNeuron):
    """Says of a square the contrary of everything."""

    degree: ClassVar[int | None] = None
    linear: ClassVar[bool] = True
    silent: ClassVar[bool] = False
    order: ClassVar[int] = 1
    parity: ClassVar[str] = "odd"

    @property
    def kinks(self):
        return True

    def activation(self, z):
        return z**2


def test_the_measure_of_facts_sees_every_one_that_is_wrong(rng):
    found = measured(Liar(), inputs((4,)), rng.normal(size=(5, 4)), rng.normal(size=(5, 4)))
    assert found == Facts(degree=2, linear=False, silent=True, order=2, parity="even", kinks=False)
    assert not any(a == b for a, b in zip(found, Liar().facts, strict=True))


def test_every_neuron_of_a_spec_is_tested():
    assert {type(case.unit) for case in UNITS} >= set(NEURONS.values())


# ------------------------------------------------------------------------------------------------------- psi and kinks


@pytest.mark.parametrize("case", WITH_PSI, ids=ids)
def test_psi_times_lift_is_phi(case, rng, x64):
    x, u = inputs(case.x_shape), weights(case, rng)
    psi, lift = jax.jit(lambda x, u: (jax.vmap(case.unit.psi)(x), jax.vmap(case.unit.lift)(u)))(x, u)
    np.testing.assert_allclose(np.einsum("nfp,hp->nhf", psi, lift), phi(case.unit, x, u), **ROUNDING)


def test_psi_of_linear_quadratic_and_cubic_units_has_the_layout_that_tasks_know(x64, rng):
    # tasks give exact moments by these names and in these orders
    x, pair = rng.normal(size=4), rng.normal(size=(2, 3))
    rows, columns = np.triu_indices(4)
    known = {case.name: case.unit for case in WITH_PSI}
    assert known["linear"].psi_name == "inputs"
    np.testing.assert_array_equal(known["linear"].psi(x)[0], x)
    assert known["quadratic"].psi_name == "outer"
    np.testing.assert_array_equal(known["quadratic"].psi(x)[0], x[rows] * x[columns])
    assert known["cubic-rank-2"].psi_name == known["cubic-merged"].psi_name == "cubic"
    np.testing.assert_array_equal(known["cubic-rank-2"].psi(pair)[0], np.outer(*pair).ravel())
    assert known["linear-kernel-3-1"].psi_name == "patches"
    np.testing.assert_array_equal(Kernel(Linear(), 3, 1).psi(x), [x[:3], x[1:]])


def test_units_without_psi_or_kinks_say_so(x64):
    x = jnp.ones(3)
    for unit in (Tanh(), Swish()):
        assert unit.psi_name is None
        for missing in (unit.psi, unit.lift, unit.kink_rows):
            with pytest.raises(NotImplementedError, match=f"{type(unit).__name__} declares no"):
                missing(x)
    assert Kernel(ReLU(), 2, 1).psi_name is None


@pytest.mark.parametrize("case", WITH_KINKS, ids=ids)
def test_phi_is_a_slope_times_the_kink_row_by_its_side(case, rng, x64):
    x, u = inputs(case.x_shape), weights(case, rng)
    z = np.einsum("nfp,hp->nhf", jax.jit(jax.vmap(case.unit.kink_rows))(x), u)
    below, above = case.unit.kink_slopes
    assert np.any(z > 0)
    assert np.any(z < 0)
    np.testing.assert_allclose(np.where(z > 0, above, below) * z, phi(case.unit, x, u), **ROUNDING)


# ---------------------------------------------------------------------------------------------------------------- schema


@over_units
def test_schema_gives_phi_its_features_and_the_readout_its_shape(case, rng):
    *_, last = case.schema().values()
    assert last["outputs"] == case.outputs
    num_features = phi(case.unit, inputs(case.x_shape), weights(case, rng)).shape[2]
    assert np.prod(list(last.values())) == num_features * case.outputs


def test_schemas_name_the_arrays_of_an_init_file():
    assert Tanh().schema((4,), 2) == {"u": {"inputs": 4}, "v": {"outputs": 2}}
    assert Kernel(Tanh(), 3, 2).schema((8,), 2) == {"u": {"kernel": 3}, "v": {"positions": 3, "outputs": 2}}
    assert TokenHead(rank=2).schema((5, 4), 1) == {
        "key": {"rank": 2, "embedding": 4},
        "query": {"rank": 2, "embedding": 4},
        "value": {"embedding": 4, "outputs": 1},
    }
    assert CubicHead(merged=True).schema((2, 4), 1) == {
        "key_query": {"embedding": 4, "embedding_2": 4},
        "value": {"feature": 1, "outputs": 1},
    }


@pytest.mark.parametrize(
    ("unit", "x_shape", "outputs", "says"),
    [
        (Linear(), (4, 3), 1, r"takes inputs of shape \[inputs\].*gives \[4, 3\].*Flatten"),
        (Linear(), (), 1, r"takes inputs of shape \[inputs\].*gives \[\]"),
        (Kernel(ReLU(), 3, 1), (2,), 1, r"size 3.*length >= 3.*gives \[2\].*smaller kernel_size"),
        (Kernel(ReLU(), 3, 1), (4, 4), 1, r"signals of shape \[length\].*gives \[4, 4\]"),
        (TokenHead(), (5,), 1, r"tokens >= 2, embedding > outputs.*gives \[5\]"),
        (TokenHead(), (1, 4), 1, r"gives \[1, 4\]"),
        (TokenHead(outputs=2), (5, 2), 2, r"gives \[5, 2\] for one sample, with 2 outputs"),
        (CubicHead(), (3, 4), 1, r"\[2, inputs\].*gives \[3, 4\] with 1 outputs.*input = \"tokens\""),
        (CubicHead(), (2, 4), 2, r"one output.*with 2 outputs"),
    ],
)
def test_inputs_that_make_no_sense_are_refused_with_the_way_out(unit, x_shape, outputs, says):
    with pytest.raises(ValueError, match=says):
        unit.schema(x_shape, outputs)


# ------------------------------------------------------------------------------------------- the check of a user's neuron


@pytest.mark.parametrize("name", sorted(NEURONS))
def test_the_check_of_facts_finds_nothing_wrong_with_our_neurons(name):
    assert wrong_facts(NEURONS[name]()) == []


def test_the_check_of_facts_names_every_fact_that_is_wrong():
    class Wrong(Liar):
        degree: ClassVar[int | None] = 3

    found = " ".join(wrong_facts(Wrong()))
    for fact in ("degree = 3", "linear = True", "silent = False", "order = 1", 'parity = "odd"'):
        assert fact in found
