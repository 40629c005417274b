"""Sets that the flow does not leave: distances by brute force, tangent gradients for every unit, and what breaks without each assumption."""

from functools import cache

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
from cases import LAYERS, NETWORKS, Magnitude, Softplus, Swish, inputs
from reference import manifolds as slow
from saddlescope.flow import gradient_flow
from saddlescope.manifolds import (
    Active,
    Copies,
    Rank,
    Rays,
    dependent_units,
    equal_units,
    interpretable,
    proportional_units,
    round_off_horizon,
    silent_unit,
)
from saddlescope.manifolds import rays as rays_module
from saddlescope.networks import Layer
from saddlescope.objective import build
from saddlescope.series import crossing_time
from saddlescope.tasks import Samples
from saddlescope.units import Linear, Quadratic, ReLU, Tanh

CASES = {case.name: case for case in LAYERS}


def every_manifold(units):
    """One of each kind for a layer of 2 or more units, whether its units admit it or not."""
    labels = {2: (0, 0), 3: (0, 0, -1), 4: (0, 1, 0, -1), 5: (0, 1, 0, -1, 1), 6: (0, 1, 0, -1, 1, 1)}[units]
    free = [max(label, 0) for label in labels]
    signs = [-1 if i % 3 == 0 else 1 for i in range(units)]
    kept = [i % 2 == 0 for i in range(units)]
    return {
        "rank 0": Rank(0),
        "rank 1": Rank(1),
        "rank, one less": Rank(units - 1),
        "copies": Copies(free),
        "copies, turned": Copies(free, signs),
        "copies and silent ones": Copies(labels),
        "rays": Rays(free),
        "rays, turned": Rays(free, signs),
        "rays and silent ones": Rays(labels),
        "active": Active(kept),
        "active, outputs free": Active(kept, outputs=False),
    }


def admitted(facts, units):
    return {name: m for name, m in every_manifold(units).items() if m.refuses(facts) is None}


def layer(unit, u, v):
    """The lens on a layer of neurons: u [units, inputs], v [units, outputs]."""
    u, v = np.asarray(u, float), np.asarray(v, float)
    return Layer.zeros(unit, len(u), u.shape[1:], v.shape[1]).with_arrays({"u": u, "v": v}).lenses()[0]


def rows(lens):
    u, v = (np.asarray(a) for a in lens.get())
    return np.hstack([u, v.reshape(len(u), -1)])


def with_rows(lens, theta):
    u, v = lens.get()
    return lens.of(lens.put(theta[:, : u.shape[1]], theta[:, u.shape[1] :].reshape(v.shape)))


def num_inputs(lens):
    return lens.get()[0].shape[1]


def random_lens(unit, rng, units=5, num_inputs=3, outputs=2):
    return layer(unit, rng.normal(size=(units, num_inputs)), rng.normal(size=(units, outputs)))


@eqx.filter_jit
def _gradient(network, objective):
    return jax.grad(objective.loss)(network)


def flow_rows(lens, objective):
    """-grad L, in rows."""
    with jax.enable_x64(True):
        return -rows(lens.of(_gradient(lens.network, objective)))


def leaves(manifold, lens, objective, facts=None):
    """The part of the flow that leads off the manifold at a point on it, as if the units had other facts."""
    flow = flow_rows(lens, objective)
    rest = manifold.normal_part(rows(lens), flow, num_inputs(lens), facts or lens.facts)
    return np.linalg.norm(rest) / np.linalg.norm(flow)


def drifts(manifold, lens, objective, facts=None, step=1e-6):
    """The same from distances alone: how far a small step of the flow ends from the manifold, relative to its length."""
    flow, theta = flow_rows(lens, objective), rows(lens)
    length = step * np.linalg.norm(theta)
    moved = theta + length * flow / np.linalg.norm(flow)
    return np.linalg.norm(moved - manifold.project(moved, num_inputs(lens), facts or lens.facts)) / length


def random_data(rng, x_shape=(3,), outputs=2, samples=9):
    return Samples(rng.normal(size=(samples, *x_shape)), rng.normal(size=(samples, outputs)))


@cache
def data_of(name):
    case = next(case for case in NETWORKS if case.name == name)
    x = inputs(case.x_shape)
    y = np.random.default_rng(1).normal(size=(len(x), case.outputs))
    return build(Samples(x, y), case.zeros())


# ------------------------------------------------------------------------------------------------------------- theorem 3

# layers whose weights hang on another's have no embedding, and no manifold, of their own: test_networks
LENSES = [(case, i) for case in NETWORKS for i, lens in enumerate(case.zeros().lenses()) if lens.tied is None]


@pytest.mark.parametrize(("case", "depth"), LENSES, ids=lambda part: part.name if hasattr(part, "name") else None)
def test_the_gradient_is_tangent_to_every_manifold_that_the_facts_admit(case, depth):
    objective = data_of(case.name)
    found = []
    for seed in range(2):
        lens = case.random(seed).lenses()[depth]
        for name, manifold in admitted(lens.facts, len(rows(lens))).items():
            near = manifold.nearest(lens)
            # an identity, to rounding: 1.1e-15 is the worst over six seeds of all of these
            assert manifold.normal(lens, objective) <= 1e-13, name
            assert manifold.normal(lens.of(near), objective) <= 1e-13, name
            found.append(name)
    assert "copies" in found


@pytest.mark.parametrize("name", ["linear", "relu", "quadratic", "tanh", "magnitude", "relu-kernel-3-1"])
def test_a_small_step_of_the_flow_stays_near_every_admitted_manifold(name):
    # no projector of a velocity here: distances only
    objective = data_of(name)
    lens = CASES[name].random(3).lenses()[0]
    for name, manifold in admitted(lens.facts, 5).items():
        if name == "rank 0":
            continue  # the origin, where nothing moves
        near = lens.of(manifold.nearest(lens))
        # rounding of the weights over the relative step of 1e-6: measured at most 5e-10
        assert drifts(manifold, near, objective) < 1e-8


@pytest.mark.parametrize(
    ("unit", "manifold", "pretended"),
    [
        pytest.param(Quadratic(), Rays((0, 0, 1, 1, 1)), {"degree": 1}, id="rays of quadratic units"),
        pytest.param(Tanh(), Rays((0, 0, 1, 1, 1)), {"degree": 1}, id="rays of tanh units"),
        pytest.param(ReLU(), Rays((0, 0, 0, 1, 1)), {"parity": "odd"}, id="opposite rays of ReLU units"),
        pytest.param(ReLU(), Rays((0, 0, 0, 1, 1), (1, -1, 1, 1, 1)), {"parity": "even"}, id="mirrored rays of ReLU units"),
        pytest.param(ReLU(), Rank(2), {"linear": True}, id="dependent ReLU units"),
        pytest.param(Tanh(), Rank(2), {"linear": True}, id="dependent tanh units"),
        pytest.param(Quadratic(), Rank(2), {"linear": True}, id="dependent quadratic units"),
        pytest.param(Linear(), Active((1, 1, 1, 0, 0), outputs=False), {}, id="linear units with u = 0 and v"),
        pytest.param(Tanh(), Active((1, 1, 1, 0, 0), outputs=False), {}, id="tanh units with u = 0 and v"),
        pytest.param(Softplus(), Active((1, 1, 1, 0, 0)), {"silent": True}, id="silent softplus units"),
        pytest.param(ReLU(), Copies((0, 0, 1, 2, 3), (1, -1, 1, 1, 1)), {"parity": "odd"}, id="odd copies of ReLU units"),
        pytest.param(Swish(), Copies((0, 0, 1, 2, 3), (1, -1, 1, 1, 1)), {"parity": "even"}, id="even copies of swish units"),
        pytest.param(Tanh(), Copies((0, 0, 1, 2, 3), (1, -1, 1, 1, 1)), {"parity": "even"}, id="even copies of tanh units"),
        pytest.param(Quadratic(), Copies((0, 0, 1, 2, 3), (1, -1, 1, 1, 1)), {"parity": "odd"}, id="odd copies of quadratic units"),
    ],
)  # fmt: skip
def test_without_its_assumption_the_gradient_leads_off_the_manifold(unit, manifold, pretended, rng):
    facts = unit.facts._replace(**pretended)
    if pretended.keys() - {"parity"} or isinstance(manifold, Active):
        assert manifold.refuses(unit.facts) is not None
    for _ in range(3):
        lens = random_lens(unit, rng)
        objective = build(random_data(rng), lens.network)
        theta = rows(lens)
        if isinstance(manifold, Rays) and facts.parity != "odd":
            theta = manifold.turned(
                np.abs(theta), 3, facts
            )  # to one side, or the nearest point leaves single units of a group
        on_it = with_rows(lens, manifold.project(theta, 3, facts))
        found = leaves(manifold, on_it, objective, facts)
        assert found > 1e-3
        assert drifts(manifold, on_it, objective, facts) == pytest.approx(found, rel=1e-2)


@pytest.mark.parametrize(("unit", "stays"), [(Quadratic(), True), (ReLU(), True), (Magnitude(), False)])
def test_units_with_u_zero_and_output_weights_stay_where_their_slope_vanishes(unit, stays, rng):
    # ReLU by the convention phi'(0) = 0 alone, which is why it is refused; the slope of |z| at 0 is 1 in JAX
    lens = random_lens(unit, rng)
    manifold = Active((1, 1, 1, 0, 0), outputs=False)
    on_it = with_rows(lens, manifold.project(rows(lens), 3, unit.facts))
    assert np.all(rows(on_it)[3:, 3:] != 0)
    found = leaves(manifold, on_it, build(random_data(rng), lens.network))
    assert found == 0 if stays else found > 1e-3
    assert (manifold.refuses(unit.facts) is None) == (unit.order == 2)


def test_at_a_point_of_lower_rank_the_free_directions_are_those_of_the_tangent_cone(rng):
    lens = random_lens(Linear(), rng, units=6, num_inputs=4, outputs=3)
    point = Rank(1).project(rows(lens), 4, Linear().facts)
    for width in (1, 2, 3, 4):
        flow = rng.normal(size=point.shape)
        found = np.linalg.norm(Rank(width).normal_part(point, flow, 4, Linear().facts))
        moved = point + 1e-6 * flow
        expected = np.linalg.norm(moved - Rank(width).project(moved, 4, Linear().facts)) / 1e-6
        assert found == pytest.approx(expected, rel=1e-4)  # the set curves: relative to the step, 1e-6


@pytest.mark.parametrize("unit", [ReLU(), Magnitude(), Linear()])
def test_at_a_ray_with_zero_factors_they_can_only_grow(unit, rng):
    manifold = Rays((0, 0, 0, 1, 1, 2))
    point = manifold.project(rng.normal(size=(6, 5)), 3, unit.facts)
    point[2] = point[3:5] = 0.0
    for _ in range(20):
        flow = rng.normal(size=point.shape)
        found = np.linalg.norm(manifold.normal_part(point, flow, 3, unit.facts))
        moved = point + 1e-6 * flow
        expected = np.linalg.norm(moved - manifold.project(moved, 3, unit.facts)) / 1e-6
        assert found == pytest.approx(expected, rel=1e-4)


def test_the_normal_part_is_the_same_at_any_scale_and_nothing_where_nothing_moves(rng):
    lens = random_lens(Tanh(), rng)
    x = rng.normal(size=(9, 3))
    manifold = Copies((0, 0, 1, 1, 1), (1, -1, 1, 1, 1))
    loss = build(Samples(x, rng.normal(size=(9, 2))), lens.network)
    still = build(Samples(x, np.zeros((9, 2))), lens.network)
    assert manifold.normal(with_rows(lens, 1e-150 * rows(lens)), loss) < 1e-13
    assert manifold.normal(with_rows(lens, 0 * rows(lens)), still) == 0


# ------------------------------------------------------------------------------------------------------------- distances


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    units=st.integers(1, 5), columns=st.tuples(st.integers(1, 3), st.integers(1, 2)), width=st.integers(0, 4),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_distance_to_a_rank_is_the_lowest_over_all_factorisations(units, columns, width, seed):
    rng = np.random.default_rng(seed)
    lens = random_lens(Linear(), rng, units, *columns)
    expected = slow.to_rank(rows(lens), width, rng, starts=4)
    assert Rank(width).distance(lens) == pytest.approx(expected, abs=1e-7)  # where it is 0, the search ends above


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    groups=st.lists(st.integers(-1, 2), min_size=1, max_size=5),
    unit=st.sampled_from([Linear(), Quadratic(), Tanh(), Magnitude()]), turned=st.booleans(), seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_distance_to_copies_is_the_lowest_over_all_representatives(groups, unit, turned, seed):
    rng = np.random.default_rng(seed)
    lens = random_lens(unit, rng, len(groups), 2, 1)
    signs = rng.choice([-1, 1], size=len(groups)) if turned else np.ones(len(groups), int)
    expected = slow.to_copies(rows(lens), groups, signs, 2, unit.parity, rng)
    assert Copies(groups, signs).distance(lens) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=12, derandomize=True, deadline=None)
@given(
    groups=st.lists(st.integers(-1, 1), min_size=1, max_size=5),
    unit=st.sampled_from([Linear(), ReLU(), Magnitude()]), turned=st.booleans(), seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_distance_to_rays_is_the_lowest_over_all_factors_and_rays(groups, unit, turned, seed):
    rng = np.random.default_rng(seed)
    lens = random_lens(unit, rng, len(groups), 2, 1)
    signs = rng.choice([-1, 1], size=len(groups)) if turned and unit.parity != "none" else np.ones(len(groups), int)
    expected = slow.to_rays(rows(lens), groups, signs, 2, unit.parity, rng, starts=10)
    assert Rays(groups, signs).distance(lens) == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_of_two_units_on_opposite_sides_the_smaller_is_dropped():
    # no ray is better than one of them alone where their product is negative
    lens = layer(ReLU(), [[3.0, 0.0], [-1.0, 0.0]], [[0.0], [2.0]])
    assert Rays((0, 0)).distance(lens) == pytest.approx(5**0.5, rel=1e-15)
    np.testing.assert_allclose(rows(lens.of(Rays((0, 0)).nearest(lens))), [[3, 0, 0], [0, 0, 0]], rtol=0, atol=1e-15)


def test_the_nearest_ray_in_the_plane_is_the_best_of_all_angles(rng):
    angles = np.linspace(0, 2 * np.pi, 20001)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    for _ in range(20):
        theta = rng.normal(size=(7, 2))
        gain = np.max(np.sum(np.maximum(theta @ directions, 0) ** 2, axis=0))
        found = np.sum(theta**2) - np.sum((theta - rays_module._on_a_ray(theta, lines=False)) ** 2)
        assert gain <= found * (1 + 1e-12)
        assert found <= gain * (1 + 1e-6)  # half the spacing of the angles, squared, is 2.5e-8


def test_the_search_in_large_groups_is_an_upper_bound_and_close(rng, monkeypatch):
    pairs = []
    for _ in range(60):
        theta = rng.normal(size=(rng.integers(3, 11), rng.integers(1, 8)))
        exact = np.linalg.norm(theta - rays_module._on_a_ray(theta, lines=False))
        with monkeypatch.context() as patch:
            patch.setattr(rays_module, "EXACT", 1)
            pairs.append((np.linalg.norm(theta - rays_module._on_a_ray(theta, lines=False)), exact))
    found, exact = np.array(pairs).T
    assert np.all(found >= exact - 1e-12)
    assert np.mean(found > exact + 1e-9) < 0.05  # 0 of 300 when it was written
    two_sides = np.concatenate(
        [rng.uniform(1, 2, size=(40, 1)) * [1.0, 0, 0], rng.uniform(0.1, 0.5, size=(30, 1)) * [-1.0, 0, 0]]
    )
    kept = rays_module._on_a_ray(two_sides, lines=False)
    np.testing.assert_allclose(kept[:40], two_sides[:40], rtol=0, atol=1e-14)
    assert not kept[40:].any()


PROPERTIES = given(
    units=st.sampled_from([2, 3, 5, 6]), num_inputs=st.integers(1, 3), outputs=st.integers(1, 2),
    unit=st.sampled_from([Linear(), ReLU(), Quadratic(), Tanh(), Magnitude(), Softplus()]), which=st.integers(0, 30),
    seed=st.integers(0, 1000),
)  # fmt: skip


def one(which, facts, units):
    found = list(admitted(facts, units).values())
    return found[which % len(found)]


@settings(max_examples=150, derandomize=True, deadline=None)
@PROPERTIES
def test_the_nearest_point_is_on_the_manifold_at_the_distance_and_its_own_nearest(
    units, num_inputs, outputs, unit, which, seed
):
    lens = random_lens(unit, np.random.default_rng(seed), units, num_inputs, outputs)
    manifold = one(which, unit.facts, units)
    near = lens.of(manifold.nearest(lens))
    size, d = np.linalg.norm(rows(lens)), manifold.distance(lens)
    assert isinstance(near.get()[0], np.ndarray)
    assert near.get()[0].dtype == np.float64
    assert np.linalg.norm(rows(lens) - rows(near)) == pytest.approx(d, abs=1e-14 * size)
    assert manifold.distance(near) <= 3e-14 * size  # measured in 9300 others: 5e-15
    assert manifold.contains(near)
    assert manifold.contains(lens) == (d <= 1e-12 * size)
    np.testing.assert_allclose(rows(lens.of(manifold.nearest(near))), rows(near), rtol=0, atol=3e-14 * size)


@settings(max_examples=150, derandomize=True, deadline=None)
@PROPERTIES
def test_distances_grow_no_faster_than_one_moves_and_scale_with_the_weights(
    units, num_inputs, outputs, unit, which, seed
):
    rng = np.random.default_rng(seed)
    lens = random_lens(unit, rng, units, num_inputs, outputs)
    manifold = one(which, unit.facts, units)
    d = manifold.distance(lens)
    for move in (1e-3, 1.0):
        step = move * rng.normal(size=rows(lens).shape)
        assert abs(manifold.distance(with_rows(lens, rows(lens) + step)) - d) <= np.linalg.norm(step) + 1e-14
    for scale in (1e-200, 7.0):
        assert manifold.distance(with_rows(lens, scale * rows(lens))) == pytest.approx(
            scale * d, rel=1e-12, abs=1e-14 * scale
        )


@settings(max_examples=100, derandomize=True, deadline=None)
@PROPERTIES
def test_permuting_units_permutes_the_nearest_point(units, num_inputs, outputs, unit, which, seed):
    rng = np.random.default_rng(seed)
    lens = random_lens(unit, rng, units, num_inputs, outputs)
    manifold = one(which, unit.facts, units)
    order = rng.permutation(units)
    other = manifold
    if isinstance(manifold, Active):
        other = Active([manifold.kept[i] for i in order], manifold.outputs)
    elif not isinstance(manifold, Rank):
        signs = None if manifold.signs is None else [manifold.signs[i] for i in order]
        other = type(manifold)([manifold.groups[i] for i in order], signs)
    permuted = with_rows(lens, rows(lens)[order])
    size = np.linalg.norm(rows(lens))
    # two distances may be equal in exact arithmetic, with different nearest points: never for these numbers
    np.testing.assert_allclose(
        rows(permuted.of(other.nearest(permuted))),
        rows(lens.of(manifold.nearest(lens)))[order],
        rtol=0,
        atol=1e-12 * size,
    )


def test_a_network_off_a_manifold_is_reported_as_far_as_it_is(rng):
    for unit in (Linear(), ReLU(), Quadratic(), Tanh(), Magnitude()):
        for name, manifold in admitted(unit.facts, 5).items():
            lens = random_lens(unit, rng, num_inputs=5)
            near = rows(lens.of(manifold.nearest(lens)))
            away = (rows(lens) - near) / np.linalg.norm(rows(lens) - near)
            # on the way from a point to its nearest one, the nearest one stays the nearest
            off = with_rows(lens, near + 1e-3 * away)
            assert manifold.distance(off) == pytest.approx(1e-3, rel=1e-11), name
            assert not manifold.contains(off)
            assert manifold.contains(off, tolerance=1.01e-3 / np.linalg.norm(rows(off)))
            assert not manifold.contains(off, tolerance=0.99e-3 / np.linalg.norm(rows(off)))


def test_the_origin_is_on_every_manifold():
    for unit in (Linear(), ReLU(), Quadratic(), Tanh()):
        lens = layer(unit, np.zeros((5, 3)), np.zeros((5, 2)))
        for manifold in admitted(unit.facts, 5).values():
            assert manifold.distance(lens) == 0
            assert manifold.contains(lens, tolerance=0)


def test_the_lens_of_a_deep_layer_leaves_all_other_weights_alone():
    network = next(case for case in NETWORKS if case.name == "tanh-4-layers").random(0)
    lens = network.lenses()[2]
    near = Copies((0, 1, 2, 3, 4, 4)).nearest(lens)
    np.testing.assert_array_equal(near.weights[0], network.weights[0])
    np.testing.assert_array_equal(near.weights[1], network.weights[1])
    moved = [np.linalg.norm(a - b) for a, b in zip(near.weights[2:], network.weights[2:], strict=True)]
    assert Copies((0, 1, 2, 3, 4, 4)).distance(lens) == pytest.approx(np.hypot(*moved), rel=1e-14)


# --------------------------------------------------------------------------------------------------------- one unit less


def test_one_unit_less_is_the_manifold_of_the_theorem(rng):
    u, v = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    lens = layer(Linear(), u, v)
    theta = rows(lens)
    a, b = theta[1], theta[3]
    assert equal_units(lens, 1, 3).distance(lens) == pytest.approx(np.linalg.norm(a - b) / 2**0.5)
    assert equal_units(lens, 1, 3, sign=-1).distance(lens) == pytest.approx(np.linalg.norm(a + b) / 2**0.5)
    assert silent_unit(lens, 2).distance(lens) == pytest.approx(np.linalg.norm(theta[2]))
    least = np.linalg.svd(np.stack([a, b]), compute_uv=False)[1]
    assert proportional_units(lens, 1, 3).distance(lens) == pytest.approx(least)
    assert dependent_units(lens).distance(lens) == pytest.approx(np.linalg.svd(theta, compute_uv=False)[3])


def test_proportional_units_of_an_even_phi_may_face_each_other():
    lens = layer(Magnitude(), [[1.0, 2.0], [-2.0, -4.0], [0.3, 0.1]], [[1.0], [2.0], [0.5]])
    for i, j in ((0, 1), (1, 0)):
        assert proportional_units(lens, i, j).contains(lens)
    assert not Rays((0, 0, 1)).contains(lens)
    assert proportional_units(lens, 0, 2).distance(lens) == pytest.approx(Rays((0, 1, 0)).distance(lens))


# -------------------------------------------------------------------------------------------------------------- refusals

REFUSED = {
    "linear": {"active, outputs free"},
    "relu": {"rank 0", "rank 1", "rank, one less", "copies, turned", "rays, turned", "active, outputs free"},
    "quadratic": {"rank 0", "rank 1", "rank, one less", "rays", "rays, turned", "rays and silent ones"},
    "tanh": {"rank 0", "rank 1", "rank, one less", "rays", "rays, turned", "rays and silent ones", "active, outputs free"},
    "magnitude": {"rank 0", "rank 1", "rank, one less", "active, outputs free"},
    "cubed": {"rank 0", "rank 1", "rank, one less", "rays", "rays, turned", "rays and silent ones"},
    "softplus": set(every_manifold(5)) - {"copies"},
    "head-rank-1": {"rank 0", "rank 1", "rank, one less", "rays", "rays, turned", "rays and silent ones"},
    "head-merged": {"active, outputs free"},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_each_unit_admits_what_the_theorem_says(name):
    facts = CASES[name].zeros().lenses()[0].facts
    assert set(every_manifold(5)) - set(admitted(facts, 5)) == REFUSED[name]


@pytest.mark.parametrize(
    ("unit", "manifold", "reason"),
    [
        (ReLU(), Rank(1), "Rank is not invariant for ReLU units: .* only where phi is linear in u. Rays holds"),
        (Tanh(), Rank(1), "only where phi is linear in u. Copies holds for any phi"),
        (Quadratic(), Rays((0, 0, 1)), "of degree 1 in u: this one is of degree 2. Copies holds"),
        (Tanh(), Rays((0, 0, 1)), "of degree 1 in u: this one is homogeneous of no degree"),
        (ReLU(), Rays((0, 0, 1), (1, -1, 1)), "a sign of -1 needs phi odd or even in u, and this phi is neither"),
        (Softplus(), Copies((0, 0, -1)), r"only where phi\(x; 0\) = 0"),
        (Softplus(), Active((1, 1, 0)), r"only where phi\(x; 0\) = 0"),
        (Tanh(), Active((1, 1, 0), outputs=False), "of order 2 or more in u: this one is of order 1. Take outputs=True"),
        (ReLU(), Active((1, 1, 0), outputs=False), "order 1, and would stay only by a convention"),
        (Linear(), Copies((0, 0)), "2 labels need as many units, this layer has 3"),
        (Linear(), Active((1, 0, 1, 1)), "kept names 4 units, this layer has 3"),
    ],
)  # fmt: skip
def test_what_is_not_invariant_is_refused_with_the_reason(unit, manifold, reason, rng):
    lens = random_lens(unit, rng, units=3)
    for ask in (manifold.nearest, manifold.distance, manifold.contains):
        with pytest.raises(ValueError, match=reason):
            ask(lens)
    with pytest.raises(ValueError, match=reason):
        manifold.normal(lens, build(random_data(rng), lens.network))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Rank(-1), r"Rank\(width=-1\) needs a width of at least 0"),
        (lambda: Copies((0, -2)), "labels from 0, or -1 for silent units: found -2"),
        (lambda: Rays((0, 0), (1, 2)), r"a sign, 1 or -1, for each of 2 labels: found signs=\(1, 2\)"),
        (lambda: Rays((0, 0), (1,)), r"for each of 2 labels: found signs=\(1,\)"),
    ],
)
def test_labels_that_make_no_sense_are_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()


def test_one_unit_less_needs_units_that_exist_and_facts_that_allow_it(rng):
    lens = random_lens(Tanh(), rng, units=3)
    with pytest.raises(ValueError, match="Unit 3 was asked for, which needs a unit from 0 to 2: this layer has 3"):
        silent_unit(lens, 3)
    with pytest.raises(ValueError, match="Units 1 and 1 were asked for, which needs two different ones"):
        equal_units(lens, 1, 1)
    with pytest.raises(ValueError, match="Rays is not invariant for Tanh units"):
        proportional_units(lens, 0, 1)
    with pytest.raises(ValueError, match="Rank is not invariant for Tanh units"):
        dependent_units(lens)
    with pytest.raises(ValueError, match="needs phi odd or even"):
        equal_units(random_lens(ReLU(), rng), 0, 1, sign=-1)


def test_weights_that_are_not_finite_have_no_distance(rng):
    lens = random_lens(Tanh(), rng)
    with pytest.raises(ValueError, match="A distance needs finite weights"):
        Copies((0, 0, 1, 2, 3)).distance(with_rows(lens, np.nan * rows(lens)))


# ----------------------------------------------------------------------------------------------------------- along a flow


@pytest.mark.parametrize(
    ("activation", "manifold"),
    [
        ("linear", Rank(1)),
        ("relu", Rays((0, 0, 1, 1))),
        ("tanh", Copies((0, 0, 1, -1), (1, -1, 1, 1))),
        ("quadratic", Active((1, 0, 1, 0), outputs=False)),
    ],
)
def test_a_flow_that_starts_on_a_manifold_stays_and_one_beside_it_does_not_come_back_to_it(activation, manifold, rng):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    network, loss = small.neurons(activation, x, y, scale=0.4)
    lens = network.lenses()[0]
    near = lens.of(manifold.nearest(lens))
    away = rows(lens) - rows(near)
    beside = with_rows(near, rows(near) + 1e-3 * away / np.linalg.norm(away))
    assert manifold.distance(beside) == pytest.approx(1e-3, rel=1e-10)
    start, stays, leaves_it = (
        loss.loss(near.network),
        *(gradient_flow(at.network, loss, until=3.0, compress=False) for at in (near, beside)),
    )
    assert stays.loss[-1] < 0.95 * start  # it has gone somewhere
    for i in range(len(stays.states)):
        at = lens.of(stays.network(i))
        assert manifold.distance(at) < 1e-10 * np.linalg.norm(rows(at))
    end = manifold.distance(lens.of(leaves_it.network(len(leaves_it.states) - 1)))
    assert 1e-5 < end < 1e-1


# --------------------------------------------------------------------------------------------------------------- horizon


def test_the_horizon_is_the_logarithm_of_round_off_over_the_rate():
    # THEORY 8.3: ln(1/u) with u = 2^-53 and 2^-24
    assert round_off_horizon(1.0) == pytest.approx(53 * np.log(2), rel=1e-15)
    assert round_off_horizon(0.5, np.float32) == pytest.approx(48 * np.log(2), rel=1e-15)
    with pytest.raises(ValueError, match="needs a rate > 0: found 0"):
        round_off_horizon(0.0)


def residence(off, rtol, s=(1.0, 0.5)):
    """How long linear units of order 1 that start `off` a rank-one saddle stay, in a basis without zeros, and |weights| there."""
    rng = np.random.default_rng(4)
    x, y = small.modes(s, (1.0, 1.0), rng)
    left, values, right = np.linalg.svd(y.T @ x / 2)
    assert values == pytest.approx(s)
    # the saddle itself up to rounding, balanced, and a balanced unit of the second mode beside it
    mixing = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    u = np.outer(mixing[0], right[0]) + off * np.outer(mixing[1], right[1])
    v = np.outer(mixing[0], left[:, 0]) + off * np.outer(mixing[1], left[:, 1])
    network, loss = small.neurons("linear", x, y, {"u": u, "v": v})
    run = gradient_flow(network, loss, until=110.0, rtol=rtol)
    middle = 0.5 * s[1] ** 2 / 2
    lens = network.lenses()[0]
    return crossing_time(run.t, run.loss, run.speed, middle), Rank(1).distance(lens), np.linalg.norm(rows(lens))


def test_a_residence_within_the_horizon_is_interpretable_and_one_seeded_by_rounding_is_not():
    # amplitude a = off^2 to half of the loss, 1 - 1/sqrt(2) of s_2 (THEORY 1.1): the duration in closed form
    for off in (1e-4, 1e-10):
        # below the absolute tolerance steps are not controlled for what grows: 5e-5 late at 1e-10, 2e-3 at rtol 1e-8
        found, distance, size = residence(off, rtol=1e-10)
        a0 = off**2
        half = (1 - 0.5**0.5) * 0.5
        expected = np.log(half * (0.5 - a0) / (a0 * (0.5 - half)))  # over 2 s_2 = 1
        assert distance == pytest.approx(2**0.5 * off, rel=1e-4)
        assert found == pytest.approx(expected, rel=2e-4)
        assert interpretable(found, 0.5, distance, size)
    for rtol in (1e-6, 1e-8, 1e-10):
        found, distance, size = residence(0.0, rtol)
        assert found == pytest.approx(round_off_horizon(0.5), abs=4 / 0.5)  # O(1)/s: 79.1, 73.1, 72.0 around 73.5
        assert distance < 10 * 1.2e-16 * size  # 2 u |theta|: on the manifold as far as numbers go
        assert not interpretable(found, 0.5, distance, size)
        assert not interpretable(found, 0.5, 1e-9, size)  # the duration alone tells


@pytest.mark.parametrize(("duration", "distance", "answer"), [
    (30.0, 1e-9, True),
    (34.0, 1e-9, True),
    (35.0, 1e-9, False),  # longer than 36.7 - 2.3: what grew was less than the distance
    (30.0, 1e-15, False),  # the seed is below ten roundings
    (30.0, 1.2e-15, True),
    (np.inf, 1e-9, False),
    (30.0, 0.0, False),
])  # fmt: skip
def test_a_residence_is_interpretable_if_its_seed_is_above_rounding_and_it_is_within_the_horizon(
    duration, distance, answer
):
    assert interpretable(duration, 1.0, distance, 1.0) == answer
    assert interpretable(duration / 3, 3.0, 5 * distance, 5.0) == answer


def test_rounding_is_coarser_in_32_bits():
    assert interpretable(14.0, 1.0, 1e-6, 1.0, dtype=np.float32)
    assert not interpretable(15.0, 1.0, 1e-6, 1.0, dtype=np.float32)
    assert not interpretable(14.0, 1.0, 1e-7, 1.0, dtype=np.float32)
    assert interpretable(15.0, 1.0, 1e-7, 1.0)


def test_at_the_origin_the_horizon_is_that_of_the_whole_growth():
    # weights of 1e-30 are stored as exactly as those of order 1: 69 / s to grow is no sign of rounding
    assert interpretable(69.0, 1.0, 1e-30, 1e-30, grown=1.0)
    assert not interpretable(69.0, 1.0, 1e-30, 1.0)
    assert interpretable(69.0 + 34.0, 1.0, 1e-30, 1e-30, grown=1.0)
    assert not interpretable(69.0 + 35.0, 1.0, 1e-30, 1e-30, grown=1.0)


@pytest.mark.parametrize(("values", "reason"), [
    ((-1.0, 1.0, 1e-3, 1.0), "duration >= 0: found -1"),
    ((1.0, 1.0, np.nan, 1.0), "distance >= 0: found nan"),
    ((1.0, 1.0, 1e-3, 0.0), "a finite size > 0: found size=0"),
    ((1.0, -1.0, 1e-3, 1.0), "needs a rate > 0: found -1"),
])  # fmt: skip
def test_a_residence_that_makes_no_sense_is_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        interpretable(*values)
