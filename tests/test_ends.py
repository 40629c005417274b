"""What is said of the end of a run: a fixed point only where the run has come to one."""

import numpy as np
import pytest

import saddlescope
import small
from saddlescope.cli._table import stages_table
from saddlescope.flow import gradient_flow
from saddlescope.stages import Run, find_stages
from saddlescope.stages.arrival import oscillation

LINEAR = {
    "network": {"architecture": "fully_connected", "activation": "linear", "units": 4},
    "task": {"kind": "linear_teacher", "singular_values": [3.0, 1.0]},
    "init": {"kind": "gaussian", "scale": 1e-3, "seed": 0},
}


def summary(**flow):
    return saddlescope.summarize(saddlescope.run(LINEAR | {"flow": flow}))


def test_descent_that_goes_round_a_minimum_is_not_at_it():
    # 0.35 s > 1: between 1/rate and sqrt(2)/rate the minimum is unstable and a cycle of two steps is not
    found = summary(method="gradient_descent", learning_rate=0.35, steps=200)
    end = found["end"]
    assert end["height"] == found["final_loss"] > 0.1
    assert end["certificate"] is None
    low, high = end["oscillation"]
    assert low < high
    assert found["final_loss"] in (low, high)
    assert "goes up and down" in stages_table(found)
    assert "+- one step" in stages_table(found)


def test_descent_that_comes_to_rest_is_at_its_minimum():
    end = summary(method="gradient_descent", learning_rate=0.05, steps=600)["end"]
    assert end["height"] == pytest.approx(0.0, abs=1e-12)
    assert end["effective_width"] == 2
    assert end["oscillation"] is None


def test_a_flow_on_its_way_ends_where_it_is_and_its_last_stage_where_it_would_have():
    far = summary(until=8.0, estimate_error=False)
    assert len(far["stages"]) == 2
    t_end = far["stages"][1]["t_end"]
    t = (t_end if t_end is not None else 8.0) + 0.5  # half way down and a little more
    found = summary(until=t, estimate_error=False)
    assert found["end"]["height"] == found["final_loss"]
    assert found["final_loss"] > 1e-3
    assert found["end"]["certificate"] is None


def test_a_flow_below_a_saddle_is_not_at_it():
    # a fiftieth of the first drop below the second saddle, which is at 0.5
    whole = saddlescope.run(LINEAR | {"flow": {"estimate_error": False}})
    t, loss = whole["t"].values, whole["loss"].values
    found = summary(until=float(t[np.argmax(loss < 0.41)]), estimate_error=False)
    assert found["final_loss"] < 0.42
    assert found["end"]["height"] == found["final_loss"]
    assert found["end"]["certificate"] is None
    assert found["stages"][1]["height"] == pytest.approx(0.5, abs=1e-9)
    assert found["stages"][1]["censored"]


def test_without_anything_to_learn_the_end_is_the_origin():
    x = np.random.default_rng(0).normal(size=(20, 3))
    network, loss = small.neurons("linear", x, np.zeros((20, 2)), small_weights())
    run = gradient_flow(network, loss, can_rest=small.rests_on(loss), throw=False)
    kept = range(len(run.states))
    _, end = find_stages(
        Run(run.t, run.loss, run.speed, [run.network(i) for i in kept], run.state_index, loss, run.ended)
    )
    assert (end.effective_width, end.kind, end.height) == (0, "origin", 0.0)


def small_weights():
    rng = np.random.default_rng(1)
    return {"u": 1e-2 * rng.normal(size=(4, 3)), "v": 1e-2 * rng.normal(size=(4, 2))}


def test_what_goes_up_and_down_is_told_from_what_falls():
    steps = np.arange(200)
    falls = np.exp(-0.1 * steps)
    assert oscillation(falls, 1e-3) is None
    assert oscillation(falls + 1e-6 * (-1.0) ** steps, 1e-3) is None
    assert oscillation(falls + 0.1 * (-1.0) ** steps, 1e-3) == pytest.approx((-0.1, 0.1), abs=1e-6)


def test_what_theory_does_not_say_is_left_out():
    unseen = {"height": 2.0, "t_end": None, "effective_width": None, "why": "not seen"}
    text = stages_table({"stages": [], "end": {}, "predicted_only": [unseen]})
    assert "theory expects a plateau at loss 2: not seen." in text
