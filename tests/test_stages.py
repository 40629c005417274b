"""A run's plateaus: how many, at which loss, which saddle, and when they end; on the six networks of the paper's figure 1."""

import functools
import math

import numpy as np
import pytest

import saddlescope
import small
from saddlescope.fixed_points import certify
from saddlescope.flow import gradient_descent, gradient_flow
from saddlescope.series import crossing_time
from saddlescope.stages import Run, find_stages

ROOT = math.sqrt(2)
CONVOLUTION = {"architecture": "convolutional", "units": 50, "kernel_size": 2, "stride": 2}
PATCHES = {
    "kind": "convolutional_teacher",
    "kernel_size": 2,
    "positions": 2,
    "singular_values": [math.sqrt(2.4), math.sqrt(0.4)],  # s^2 / lam = 1.2, 0.8
    "input_eigenvalues": [2.0, 0.5],
}
# lam / (1 + (1 + tr / lam) / N) of each of two directions with lam = 1/2, N = 31 (THEORY 3.2), halved as our loss is
HEAD = 0.5 * 0.5 / (1 + 3 / 31)

# scales at which the second plateau of every one of ten seeds shows by more than the marginal 0.3 decades
# name: network, task, scale, heights with the last one the end's, kinds
FIGURE_1 = {
    "linear": (
        {"architecture": "fully_connected", "activation": "linear", "units": 50},
        {"kind": "linear_teacher", "singular_values": [ROOT, 1 / ROOT], "input_eigenvalues": [2.0, 0.5]},
        1e-4,
        (1.0, 0.5, 0.0),
        "rank",
    ),
    "relu": (
        {"architecture": "fully_connected", "activation": "relu", "units": 50},
        {"kind": "orthogonal_relu", "norms": [1.5, 1.0], "targets": [ROOT, -ROOT]},
        1e-5,
        (1.0, 0.5, 0.0),
        "rays",
    ),
    "quadratic": (
        {"architecture": "fully_connected", "activation": "quadratic", "units": 10},
        {"kind": "quadratic_teacher", "matrix": [[1.0, 0.0], [0.0, 1.0]]},
        1e-3,
        (4.0, 4 / 3, 0.0),
        "active",
    ),
    "linear convolution": (CONVOLUTION | {"activation": "linear"}, PATCHES, 1e-3, (1.0, 0.4, 0.0), "rank"),
    "relu convolution": (CONVOLUTION | {"activation": "relu"}, PATCHES, 1e-3, (1.0, 0.4, 0.0), "rays"),
    "attention": (
        {"architecture": "attention", "units": 10, "rank": 1, "input": "cubic"},
        {"kind": "in_context_regression", "eigenvalues": [0.5, 0.5], "context": 31, "samples": "population"},
        1e-3,
        (0.5, 0.5 - HEAD, 0.5 - 2 * HEAD),
        "active",
    ),
}
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 11))]


def spec(name, seed=0, **flow):
    network, task, scale, _, _ = FIGURE_1[name]
    return {"network": network, "task": task, "init": {"kind": "gaussian", "scale": scale, "seed": seed}, "flow": flow}


@functools.cache
def record(name, seed=0, **flow):
    return saddlescope.run(spec(name, seed, **flow))


def summary(name, seed=0, **flow):
    return saddlescope.summarize(record(name, seed, **flow))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FIGURE_1)
def test_six_networks_rest_twice_at_the_heights_of_the_theory(name, seed):
    *_, heights, kind = FIGURE_1[name]
    found = summary(name, seed)
    assert found["ended"] == "converged"
    stages = found["stages"]
    assert [s["height"] for s in stages] == pytest.approx(heights[:-1], abs=1e-6 * heights[0])
    assert found["end"]["height"] == pytest.approx(heights[-1], abs=1e-6 * heights[0])
    assert [s["height_source"] for s in stages] == ["fixed_point", "fixed_point"]
    assert [s["effective_width"] for s in stages] == [0, 1]
    # a kernel that both modes activate, whichever it learned first, learns both: a ray between the two axes, as no sign of v
    # keeps them apart; gaussian weights have a few
    assert found["end"]["effective_width"] in ((2, 3, 4, 5) if name == "relu convolution" else (2,))
    assert [s["kind"] for s in stages] == ["origin", kind]
    assert found["end"]["kind"] == kind
    assert not any(s["censored"] for s in stages)
    assert all(s["persistence"] > 0.3 for s in stages)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FIGURE_1)
def test_a_stage_ends_between_its_slowest_point_and_the_next_half_way_down(name, seed):
    run, heights = record(name, seed), FIGURE_1[name][3]
    stages = summary(name, seed)["stages"]
    t, loss, speed = (run[key].values for key in ("t", "loss", "speed"))
    assert stages[0]["t_start"] == 0
    assert stages[1]["t_start"] == stages[0]["t_end"]
    slowest = [float(run["snapshot_t"].values[int(i)]) for i in run["stage_snapshot"].values]
    assert slowest[0] < stages[0]["t_end"] < slowest[1] < stages[1]["t_end"] < t[-1]
    for stage, above, below in zip(stages, heights, heights[1:], strict=False):
        assert np.interp(stage["t_end"], t, loss) == pytest.approx((above + below) / 2, abs=1e-4 * heights[0])
        assert stage["t_end"] == pytest.approx(crossing_time(t, loss, speed, (above + below) / 2), rel=1e-6)


@pytest.mark.parametrize("name", FIGURE_1)
def test_the_error_of_a_time_covers_its_difference_from_a_much_tighter_run(name):
    found, tight = (summary(name, **flow)["stages"] for flow in ({}, {"rtol": 1e-12, "estimate_error": False}))
    for a, b in zip(found, tight, strict=True):
        assert abs(a["t_end"] - b["t_end"]) <= a["t_end_error"]
        assert a["t_end_error"] < 1e-6 * a["t_end"]  # and does not cover everything
        assert b["t_end_error"] is None


def test_the_index_is_the_formulas_and_the_escape_rate_the_singular_value():
    # (H - r) #{j not learned}, as the s^2/lam are equal (THEORY 6.3); rates s_1 and s_2
    stages = summary("linear")["stages"]
    assert [s["index"] for s in stages] == [50 * 2, 49 * 1]
    assert [s["escape"]["law"] for s in stages] == ["exponential"] * 2
    assert [s["escape"]["rate"] for s in stages] == pytest.approx([ROOT, 1 / ROOT], rel=1e-6)
    assert summary("linear")["end"]["index"] == 0


@pytest.mark.parametrize(("name", "degree"), [("quadratic", 3), ("attention", 3)])
def test_saddles_to_which_the_hessian_is_blind_have_index_zero_and_escape_algebraically(name, degree):
    for stage in summary(name)["stages"]:
        assert stage["index"] == 0
        assert stage["nullity"] > 0
        assert stage["escape"] == {"law": "algebraic", "rate": None, "degree": degree}


def test_the_cause_is_the_data_for_order_one_and_the_initialisation_above():
    causes = {name: summary(name)["cause"] for name in FIGURE_1}
    assert {name for name, cause in causes.items() if cause == "initialisation"} == {"quadratic", "attention"}
    assert set(causes.values()) == {"data", "initialisation"}


def middle(name):
    """Between the end of the first stage and that of the second, where the speed is lowest."""
    run, stages = record(name), summary(name)["stages"]
    t, speed = run["t"].values, run["speed"].values
    inside = (t > stages[0]["t_end"]) & (t < stages[1]["t_end"])
    return float(t[inside][np.argmin(speed[inside])])


@pytest.mark.parametrize("name", FIGURE_1)
@pytest.mark.parametrize("part", [0.97, 1.03])
def test_a_plateau_that_the_run_stopped_on_is_censored(name, part):
    # shortly before its slowest point, and shortly after
    first = summary(name)["stages"][0]
    until = first["t_end"] + part * (middle(name) - first["t_end"])
    found = summary(name, until=until, estimate_error=False)
    assert found["ended"] == "time"
    assert [s["effective_width"] for s in found["stages"]] == [0, 1]
    assert found["stages"][0]["t_end"] == pytest.approx(first["t_end"], rel=1e-6)
    last = found["stages"][1]
    assert last["censored"]
    assert last["t_end"] is None
    assert last["height"] == pytest.approx(FIGURE_1[name][3][1], abs=1e-6)
    assert last["height_source"] == "fixed_point"


@pytest.mark.parametrize("name", FIGURE_1)
def test_a_run_too_short_to_leave_its_first_plateau_has_one_censored_stage(name):
    found = summary(name, until=0.3 * summary(name)["stages"][0]["t_end"], estimate_error=False)
    assert len(found["stages"]) == 1
    stage = found["stages"][0]
    assert stage["censored"]
    assert stage["t_end"] is None
    assert stage["t_start"] == 0
    assert stage["effective_width"] == 0
    assert stage["kind"] == "origin"
    assert stage["height"] == pytest.approx(FIGURE_1[name][3][0], rel=1e-3)


@pytest.mark.parametrize("name", ["linear", "quadratic"])
def test_work_used_up_on_a_plateau_ends_on_it(name):
    until = middle(name)
    steps = summary(name, until=until, estimate_error=False)["cost"]["steps"]
    found = summary(name, max_steps=steps, estimate_error=False)
    assert found["ended"] == "on_plateau"
    assert found["stages"][-1]["censored"]


def beside_the_first_saddle(push):
    """Linear modes with the first learned and weights of size `push` besides."""
    x, y = small.modes((ROOT, 1 / ROOT), (2.0, 0.5))
    u, v = (push * np.random.default_rng(k).normal(size=(6, 2)) for k in (0, 1))
    size = math.sqrt(1 / ROOT)  # s / lam, shared
    u[0, 0] += size
    v[0, 0] += size
    return small.neurons("linear", x, y, {"u": u, "v": v})


def stages_of(network, loss, **flow):
    run = gradient_flow(network, loss, can_rest=small.rests_on(loss), throw=False, **flow)
    return run, find_stages(run_of(run, loss, range(len(run.states))))


def run_of(run, loss, kept):
    kept = list(kept)
    networks = [run.network(i) for i in kept]
    return Run(run.t, run.loss, run.speed, networks, run.state_index[kept], loss, run.ended)


def test_a_run_that_starts_on_the_second_plateau_has_one_stage():
    network, loss = beside_the_first_saddle(1e-4)
    _, (stages, end) = stages_of(network, loss)
    assert len(stages) == 1
    assert stages[0].t_start == 0
    assert stages[0].height == pytest.approx(0.5, abs=1e-9)
    assert stages[0].effective_width == 1
    assert not stages[0].censored
    assert end.effective_width == 2


def test_a_run_without_plateaus_has_no_stages():
    # from weights of size 1, one mode: the loss falls from the start
    x, y = small.modes((1.0, 1.0), (1.0, 1.0))
    network, loss = small.neurons("linear", x, y, {"u": 0.5 * np.eye(6)[:, :2], "v": 0.5 * np.eye(6)[:, :2]})
    run, (stages, end) = stages_of(network, loss)
    assert run.ended == "converged"
    assert stages == ()
    assert end.height == pytest.approx(0.0, abs=1e-12)


def test_where_no_fixed_point_is_accepted_the_height_is_read_off_the_curve(monkeypatch):
    network, loss = beside_the_first_saddle(1e-4)
    run, (known, _) = stages_of(network, loss)
    monkeypatch.setattr("saddlescope.stages.find.find", lambda *_, **__: None)
    stages, end = find_stages(run_of(run, loss, range(len(run.states))))
    assert [s.height_source for s in stages] == ["curve"]
    # the slowest point lies between two samples, which are at most 0.3 decades of speed apart
    slowest = np.argmin(np.where(run.loss > 0.3, run.speed, np.inf))
    assert run.loss[slowest + 1] <= stages[0].height <= run.loss[slowest - 1]
    assert stages[0].height == pytest.approx(run.loss[slowest], rel=1e-6)
    assert stages[0].index is None
    assert stages[0].escape["law"] == "unknown"
    # the end is then its last loss, and the time barely changes
    assert end.height == run.loss[-1]
    assert stages[0].t_end == pytest.approx(known[0].t_end, rel=1e-3)


def test_stages_do_not_hang_on_which_states_are_kept():
    network, loss = beside_the_first_saddle(1e-4)
    run, (stages, _) = stages_of(network, loss)
    thin, _ = find_stages(run_of(run, loss, sorted({0, stages[0].snapshot, len(run.states) - 1})))
    assert [s.height for s in thin] == pytest.approx([s.height for s in stages], rel=1e-12)
    assert [s.t_end for s in thin] == [s.t_end for s in stages]


def test_gradient_descent_visits_the_same_saddles():
    network, loss = beside_the_first_saddle(1e-4)
    run = gradient_descent(network, loss, learning_rate=0.05, steps=1500)
    stages, end = find_stages(run_of(run, loss, range(len(run.states))))
    assert [s.height for s in stages] == pytest.approx([0.5], abs=1e-9)
    assert end.height == pytest.approx(0.0, abs=1e-12)


def test_every_saddle_listed_is_one_that_the_flow_leaves():
    network, loss = beside_the_first_saddle(1e-4)
    run, (stages, _) = stages_of(network, loss)
    assert not certify(run.network(stages[0].snapshot), loss).rests
    assert certify(run.network(len(run.states) - 1), loss).rests
