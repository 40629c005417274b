"""Every plateau gets a certificate: which narrow network's saddle, how it is embedded, what lies around it, how near the run came."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest

import saddlescope
import small
from cases import Softplus
from saddlescope import objective as objectives
from saddlescope import runs
from saddlescope.cli._table import stages_table
from saddlescope.embeddings import Silent, Split
from saddlescope.experiments.figure_1 import PANELS
from saddlescope.fixed_points import find, fixed_points_of, landscape, match_of, polish
from saddlescope.flow import gradient_flow, weights_of, with_weights
from saddlescope.manifolds import Active, Rank, Rays
from saddlescope.networks import Layer
from saddlescope.results import RESULTS, ComputationError
from saddlescope.stages import Run, find_stages
from saddlescope.tasks import Samples

SEEDS = 2
# how each network's plateau is embedded, as the paper has it: directions, rays, single units
CONSTRUCTIONS = {
    "linear": ["factorised"],
    "linear convolution": ["factorised"],
    "ReLU": ["silent", "proportional"],
    "ReLU convolution": ["silent", "proportional"],
    "attention": ["silent"],
    "quadratic": ["silent"],
}
MANIFOLDS = {"rank": "rank", "rays": "rays", "active": "active"}


@functools.cache
def record(name, seed=0):
    spec = PANELS[name].spec
    return saddlescope.run(spec | {"init": spec["init"] | {"seed": seed}})


def summary(name, seed=0):
    return runs.summarize(record(name, seed))


def right(name, seed):
    """Whether every plateau of a run has the kind, width and height (to 1e-6) of the figure."""
    panel, found = PANELS[name], summary(name, seed)
    stages = found["stages"]
    return (
        [s["kind"] for s in stages] == ["origin", panel.kind]
        and [s["effective_width"] for s in stages] == [0, 1]
        and all(abs(s["height"] / stages[0]["height"] - h) < 1e-6 for s, h in zip(stages, panel.losses, strict=False))
        and all(s["height_source"] == "fixed_point" for s in stages)
        and [s["certificate"]["embedded_by"] for s in stages] == [["silent"], CONSTRUCTIONS[name]]
    )


@pytest.mark.parametrize("name", PANELS)
def test_every_plateau_is_named(name):
    for seed in range(SEEDS):
        assert right(name, seed)
        first, second = (s["certificate"] for s in summary(name, seed)["stages"])
        for card in (first, second):
            assert card["gradient"] <= 1e-11
            assert card["narrow_gradient"] <= 1e-12
            assert card["global_optimum"] is False
            assert card["insertion"]["exact"]
        assert second["match"]["best"]
        assert first["match"] is None
        assert "origin" in first["no_match"]
        assert second["moved"]["function"] < 0.1
        assert second["carrying"][0] >= 1


@pytest.mark.full
@pytest.mark.parametrize("name", PANELS)
def test_every_plateau_is_named_over_fifty_seeds(name):
    wrong = [seed for seed in range(50) if not right(name, seed)]
    record.cache_clear()
    assert wrong == []


def test_the_paper_says_when_it_ends_at_an_optimum():
    for name in PANELS:
        end = summary(name)["end"]
        assert end["certificate"]["global_optimum"] is True
        assert "global optimum" in end["certificate"]["sentence"]
        assert end["certificate"]["sentence"].startswith("the minimum of the width-2 network")


@pytest.mark.parametrize("name", PANELS)
def test_distances_to_the_manifold_are_those_of_the_kept_weights(name):
    run, found = record(name), summary(name)
    problem = runs.prepare(saddlescope.read_spec(PANELS[name].spec | {"init": PANELS[name].spec["init"] | {"seed": 0}}))
    stay = found["stages"][1]["certificate"]["manifold"]
    assert stay["kind"] == [MANIFOLDS[PANELS[name].kind]]
    assert found["stages"][0]["certificate"]["manifold"]["kind"] == ["active"]
    distances = run["stage_manifold_distance"].values
    assert distances.shape == (2, run.sizes["snapshot"])
    slowest = int(run["stage_snapshot"].values[1])
    assert stay["slowest"][0] == distances[1, slowest]
    # by hand: the smallest singular values of [U V] for a rank, what silent units hold for single units
    names = list(problem.network.arrays())
    u, v = (
        run[n].values[slowest].reshape(problem.network.lenses()[0].get()[0].shape[0], -1) for n in (names[0], names[-1])
    )
    if PANELS[name].kind == "rank":
        values = np.linalg.svd(np.hstack([u, v]), compute_uv=False)
        assert stay["slowest"][0] == pytest.approx(np.sqrt(np.sum(values[1:] ** 2)), rel=1e-9)
    if name == "quadratic":
        sizes = np.sqrt(np.sum(u**2, axis=1) + np.sum(v**2, axis=1))
        assert stay["slowest"][0] == pytest.approx(np.sqrt(np.sum(np.sort(sizes)[:-1] ** 2)), rel=1e-9)
    # the run comes near, and leaves again
    assert stay["departure"][0] > 2 * stay["slowest"][0]
    assert stay["t_arrival"] < found["stages"][1]["t_end"]
    assert found["stages"][1]["t_start"] < stay["t_arrival"] <= stay["t_departure"] < found["stages"][1]["t_end"]
    assert stay["interpretable"]


def test_a_stay_that_rounding_ends_is_not_interpretable():
    # exactly rank one to rounding, in a turned basis (THEORY 8.3): the second mode has to be made of rounding errors
    rng = np.random.default_rng(0)
    x, y = small.modes((1.0, 0.5), (1.0, 1.0), rng)
    singular = np.linalg.svd(y.T @ x / 2)
    u, v = 0.3 * singular[2][:1], 0.3 * singular[0].T[:1]
    mix = rng.normal(size=(4, 1))
    network, loss = small.neurons("linear", x, y, {"u": mix * u, "v": mix * v})
    found = stages_of_flow(network, loss)
    stay = next(s.card.residence for s in found if s.effective_width == 1)
    assert not stay.interpretable
    assert stay.horizon == pytest.approx(np.log(2.0**53) / 0.5)
    # the same with a departure that is there from the start
    kicked, _ = small.neurons("linear", x, y, {"u": mix * u + 1e-5 * rng.normal(size=(4, 2)), "v": mix * v})
    stay = next(s.card.residence for s in stages_of_flow(kicked, loss) if s.effective_width == 1)
    assert stay.interpretable


def stages_of_flow(network, loss):
    run = gradient_flow(network, loss, can_rest=small.rests_on(loss))
    networks = [run.network(i) for i in range(len(run.states))]
    seen = Run(run.t, run.loss, run.speed, networks, run.state_index, loss, run.ended)
    return find_stages(seen)[0]


# ------------------------------------------------------------------------------------------------------------- near misses


def narrow_saddle(unit="quadratic"):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 3))
    y = ((x @ rng.normal(size=(3, 2))) ** 2) @ [[1.0], [0.6]]
    network, loss = small.neurons(unit, x, y, units=1, scale=0.7)
    return polish(network, loss), loss


def test_a_point_a_thousandth_off_is_reported_at_that_distance():
    narrow, loss = narrow_saddle()
    wide = Silent(3)(narrow.network.lenses()[0])
    exact = find(wide, loss)
    assert exact.moved.weights < 1e-12
    weights = weights_of(wide)
    step = np.random.default_rng(0).normal(size=weights.size)
    off = with_weights(wide, weights + 1e-3 * np.linalg.norm(weights) * step / np.linalg.norm(step))
    near = find(off, loss)
    assert near.loss == pytest.approx(narrow.loss, rel=1e-12)
    # what is not along the set of fixed points of this function has to be made up for
    assert 5e-4 < near.moved.weights < 1.1e-3
    assert near.gradient < 1e-11
    # and the point itself is no fixed point of its width: nothing known matches it
    unpolished = narrow.network.with_arrays({n: a * (1 + 1e-3) for n, a in narrow.network.arrays().items()})
    known = fixed_points_of(narrow.network, loss)
    assert known.match(narrow.network).rank == 1
    assert known.match(unpolished).rank is None


def test_a_saddle_of_its_own_width_is_said_to_be_no_embedded_one():
    # three tanh units, all needed: a minimum of the width-3 landscape, which no narrower network has
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 3))
    u, v = 2 * rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    y = np.tanh(x @ u.T) @ v + 0.1 * rng.normal(size=(40, 2))
    network, loss = small.neurons("tanh", x, y, {"u": u, "v": v})
    there = polish(network, loss)
    point = find(there.network, loss)
    assert point.complexity.widths == (3,)
    assert point.constructions == ()
    assert point.manifolds in ((), (None,))
    assert point.moved.weights < 1e-6


def test_a_narrow_solution_that_units_refuse_to_embed_is_not_called_a_fixed_point():
    # softplus: phi(x; 0) is not zero, so the narrow function is there with silent units, but the wide network moves
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 1))
    wide = Layer.zeros(Softplus(), 3, (2,), 1)
    loss = objectives.build(Samples(x, y), wide)
    with pytest.raises(ComputationError) as error:
        find(wide, loss, whole=False)
    assert error.value.result is RESULTS.not_stationary
    assert find(wide, loss, whole=False, throw=False) is None


def test_a_saddle_that_is_not_the_lowest_of_its_width_is_said_to_be_that():
    # linear, the second mode learned first: number 2 of 2, left within the width
    x, y = small.modes((1.0, 0.6), (1.0, 1.0))
    wide, loss = small.neurons(
        "linear", x, y, {"u": [[0.0, 0.6**0.5], [0, 0], [0, 0]], "v": [[0.0, 0.6**0.5], [0, 0], [0, 0]]}
    )
    point = find(wide, loss)
    match, _ = match_of(point, loss)
    assert (match.rank, match.of, match.best) == (2, 2, False)
    assert match.gap == pytest.approx(0.5 * (1.0 - 0.36), rel=1e-9)
    seen = landscape(point, loss)
    assert seen.index == (3 - 1) * 1 + 1
    assert "number 2" in match.sentence


def test_a_kink_is_told():
    wide = saddlescope.run(PANELS["ReLU"].spec | {"flow": {"until": 1.0, "estimate_error": False}})
    (stage,) = runs.summarize(wide)["stages"]
    assert stage["index"] is None
    assert "kink" in stage["certificate"]["no_index"]
    assert stage["escape"]["law"] == "exponential"


# --------------------------------------------------------------------------------------------------------- manifolds, text, record


def test_the_manifold_of_each_kind_is_the_theorems():
    x, y = small.modes((1.0, 0.6), (1.0, 1.0))
    linear, loss = small.neurons("linear", x, y, {"u": [[1.0, 0], [0.5, 0], [0, 0]], "v": [[0.8, 0], [0.4, 0], [0, 0]]})
    assert isinstance(find(linear, loss).manifolds[0], Rank)
    narrow, loss = narrow_saddle()
    assert isinstance(find(Silent(2)(narrow.network.lenses()[0]), loss).manifolds[0], Active)
    split = find(Split(0, 0.3)(narrow.network.lenses()[0]), loss)
    assert "split" in split.constructions
    x, y = np.array([[1.5, 0.0], [0.0, 1.0]]), np.array([[1.4], [-1.4]])
    relu, loss = small.neurons("relu", x, y, {"u": [[1.0, 0], [0.5, 0], [0, 0]], "v": [[0.7], [0.35], [0]]})
    assert isinstance(find(relu, loss).manifolds[0], Rays)


def test_the_table_says_it_in_words():
    text = stages_table(summary("linear"))
    assert "2: the saddle of the width-1 network: rank 1 in 50 units (embedding: factorised)" in text
    assert "1: the origin: all 50 units silent; index 100, left exponentially at rate 1.41421." in text
    without = json.loads(json.dumps(summary("linear")))
    for stage in (*without["stages"], without["end"]):
        stage.pop("certificate")  # records of an earlier version have none
    assert "saddle of" not in stages_table(without)


def test_deep_networks_have_certificates_a_layer():
    found = runs.summarize(
        saddlescope.run(
            {
                "network": {"architecture": "fully_connected", "activation": "linear", "units": [6, 5]},
                "task": {"kind": "linear_teacher", "singular_values": [2.0, 1.0]},
                "init": {"scale": 0.02, "seed": 1},
                "flow": {"estimate_error": False},
            }
        )
    )
    first, second = found["stages"]
    assert first["escape"] == {"law": "algebraic", "rate": None, "degree": 3}
    assert second["effective_width"] == [1, 1]
    card = second["certificate"]
    assert card["manifold"]["kind"] == ["rank", "rank"]
    assert card["units"] == [6, 5]
    assert card["gradient"] < 1e-9
    assert card["insertion"] is None
    # the Hessian is blind: a second mode needs a new unit in both layers, three small factors
    assert second["escape"] == {"law": "algebraic", "rate": None, "degree": 3}
    assert card["escape_strength"] == pytest.approx(1.0, rel=1e-6)  # the mode left out
    assert second["index"] == 0
    assert found["end"]["certificate"]["global_optimum"] is True


def test_a_certificate_has_all_that_the_docs_list():
    card = summary("linear")["stages"][1]["certificate"]
    text = (Path(__file__).parents[1] / "docs" / "landscape.md").read_text(encoding="utf-8")
    for key in card:
        assert f"`{key}`" in text
    assert dataclasses.is_dataclass(saddlescope.stages.Card)
