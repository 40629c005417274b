"""Many flows in one call: each as it would be alone, and one that fails fails alone."""

import numpy as np
import pytest

from saddlescope.flow import gradient_flow, gradient_flows
from saddlescope.init import INITS
from saddlescope.results import RESULTS
from saddlescope.runs import prepare
from saddlescope.specs import read_spec


def linear(seed, units=20, scale=1e-3, values=(2.0, 1.0)):
    tables = {
        "network": {"architecture": "fully_connected", "activation": "linear", "units": units},
        "task": {"kind": "linear_teacher", "singular_values": list(values), "inputs": 3},
        "init": {"scale": scale, "seed": seed},
    }
    return prepare(read_spec(tables))


def quadratic(seeds, tmp_path, scale=3e-2):
    np.savez(tmp_path / "teacher.npz", matrix=np.diag([1.0, 0.6]), covariance=np.eye(2))
    tables = {
        "network": {"architecture": "fully_connected", "activation": "quadratic", "units": 4},
        "task": {"kind": "quadratic_teacher", "file": str(tmp_path / "teacher.npz"), "samples": "population"},
        "init": {"scale": scale},
    }
    problem = prepare(read_spec(tables))
    networks = [INITS["gaussian"](problem.network, scale=scale, seed=s, convention="weight") for s in seeds]
    return networks, problem.objective


def same(a, b):
    assert (a.ended, a.cost["steps"], a.cost["hessian_evaluations"]) == (
        b.ended,
        b.cost["steps"],
        b.cost["hessian_evaluations"],
    )
    for one, other in ((a.t, b.t), (a.loss, b.loss), (a.speed, b.speed), (a.states[-1], b.states[-1])):
        assert one.shape == other.shape
        # promised: 1e-10; the same steps, with sums that a compiler may order differently
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())


def test_members_of_other_seed_scale_spectrum_and_width_equal_their_run_alone():
    problems = [linear(0), linear(1, scale=1e-5), linear(2, values=(3.0, 0.5)), linear(3, units=30), linear(4)]
    networks, objectives = [p.network for p in problems], [p.objective for p in problems]
    together = gradient_flows(networks, objectives, until=30.0)
    for network, objective, found in zip(networks, objectives, together, strict=True):
        same(found, gradient_flow(network, objective, until=30.0, keep_states=False))
    assert len({t.cost["steps"] for t in together}) > 1  # nobody waits for anybody


def test_members_that_change_method_equal_their_run_alone(tmp_path):
    networks, objective = quadratic(range(3), tmp_path)
    together = gradient_flows(networks, objective, until=2000.0)
    for network, found in zip(networks, together, strict=True):
        same(found, gradient_flow(network, objective, until=2000.0, keep_states=False))
    assert all(t.cost["hessian_evaluations"] > 0 for t in together)


def test_one_bad_member_fails_alone():
    good, zero, huge, wild = (linear(s) for s in range(4))
    networks = [
        good.network,
        zero.network.with_arrays({k: 0 * np.asarray(a) for k, a in zero.network.arrays().items()}),
        huge.network.with_arrays({k: 1e200 * np.asarray(a) for k, a in huge.network.arrays().items()}),
        wild.network,
    ]
    objectives = [p.objective for p in (good, zero, huge, wild)]
    found = gradient_flows(networks, objectives, until=20.0)
    same(found[0], gradient_flow(good.network, good.objective, until=20.0, keep_states=False))
    same(found[3], gradient_flow(wild.network, wild.objective, until=20.0, keep_states=False))
    assert isinstance(found[1], ValueError)
    assert "zero" in str(found[1])
    assert isinstance(found[2], ValueError)


def test_a_member_that_runs_out_of_steps_says_so_and_the_others_end():
    # the small scale needs more steps than it is given
    problems = [linear(0, scale=1e-1), linear(0, scale=1e-12)]
    few = [gradient_flow(p.network, p.objective, until="settled", keep_states=False).cost["steps"] for p in problems]
    assert few[0] < few[1]
    found = gradient_flows(
        [p.network for p in problems],
        [p.objective for p in problems],
        until="settled",
        max_steps=(few[0] + few[1]) // 2,
    )
    assert [t.ended for t in found] == ["settled", "max_steps"]
    assert found[1].result is RESULTS.max_steps
    assert found[1].t.size > 10  # what was computed is kept


@pytest.mark.parametrize("count", [1, 7, 33])
def test_any_number_of_members_will_do_in_their_order(count):
    problems = [linear(s) for s in range(count)]
    found = gradient_flows([p.network for p in problems], [p.objective for p in problems], until=5.0, workers=2)
    assert len(found) == count
    for problem, trajectory in zip(problems, found, strict=True):
        np.testing.assert_allclose(trajectory.network(0).u, problem.network.u, atol=1e-17)


def test_times_may_differ_from_member_to_member():
    problems = [linear(s) for s in range(3)]
    found = gradient_flows([p.network for p in problems], problems[0].objective, until=[1.0, 2.0, 3.0])
    assert [t.t[-1] for t in found] == [1.0, 2.0, 3.0]


def test_lists_that_do_not_fit_are_refused():
    problem = linear(0)
    with pytest.raises(ValueError, match="one each of 2 networks: found 3"):
        gradient_flows([problem.network] * 2, problem.objective, until=[1.0, 2.0, 3.0])
