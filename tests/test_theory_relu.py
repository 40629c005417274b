"""Piecewise linear units on rays: predicted from data and initial weights, held against the simulated flow."""

import numpy as np
import pytest

from saddlescope.flow import gradient_flow
from saddlescope.runs import prepare
from saddlescope.series import crossing_time, find_plateaus
from saddlescope.specs import read_spec
from saddlescope.theory import Problem, predict
from saddlescope.theory.rays import late
from saddlescope.theory.rays.early import settle
from saddlescope.theory.rays.groups import rays_of
from saddlescope.theory.rays.orthogonal import OrthogonalRays


def orthogonal(*, norms, targets, units=20, scale=1e-4, seed=0, activation="relu"):
    return prepare(
        read_spec(
            {
                "network": {"architecture": "fully_connected", "activation": activation, "units": units},
                "task": {"kind": "orthogonal_relu", "norms": norms, "targets": targets, "rotate": True, "seed": 3},
                "init": {"scale": scale, "seed": seed},
            }
        )
    )


def convolution(*, units=40, scale=1e-4, seed=0, **task):
    return prepare(
        read_spec(
            {
                "network": {"architecture": "convolutional", "activation": "relu", "units": units, "kernel_size": 2},
                "task": {"kind": "convolutional_teacher", **task},
                "init": {"scale": scale, "seed": seed},
            }
        )
    )


def simulated(problem, prediction, rtol=1e-9):
    """Half-drops of the predicted levels, and the plateaus, of the true flow."""
    until = 1.5 * max(stage.t_end for stage in prediction.stages) + 10
    run = gradient_flow(problem.network, problem.objective, until=until, rtol=rtol)
    heights = [stage.height for stage in prediction.stages] + [prediction.end.height]
    levels = 0.5 * (np.array(heights[1:]) + heights[:-1])
    times = [crossing_time(run.t, run.loss, run.speed, level) for level in levels]
    return times, find_plateaus(run.t, run.loss, run.speed), float(run.loss[-1])


# few shapes: each is compiled once
CASES = {
    "unequal lengths": lambda: orthogonal(norms=[1.3, 0.8, 1.0], targets=[1.0, 0.7, -0.6]),
    "unequal lengths, tiny weights": lambda: orthogonal(norms=[1.3, 0.8, 1.0], targets=[1.0, 0.7, -0.6], scale=1e-7),
    "a target is zero": lambda: orthogonal(norms=[1.0, 1.0, 1.2], targets=[1.0, 0.0, -0.6]),
    "too narrow to fit everything": lambda: orthogonal(
        norms=[1.0, 1.1, 0.9], targets=[1.0, 0.8, -0.7], units=4, seed=4
    ),
    "kernels that serve two modes": lambda: convolution(),
    "kernels that serve one mode each": lambda: convolution(opposite=True),
}


@pytest.mark.parametrize("name", CASES)
def test_number_heights_and_ends_are_those_of_the_flow(name):
    # measured over 60 random problems of each kind (docs/theory_deep.md): ends to 3e-7 at scales up to 1e-4; the bound is 30 times that
    problem = CASES[name]()
    prediction = predict(problem.network, problem.objective)
    assert prediction.predictor == OrthogonalRays.name
    assert all(stage.source == "reduced ODE" for stage in prediction.stages)
    times, plateaus, end = simulated(problem, prediction)
    assert len(plateaus) == len(prediction.stages)
    for stage, t, plateau in zip(prediction.stages, times, plateaus, strict=True):
        assert abs(stage.t_end - t) < 1e-5 * t
        assert abs(stage.t_end - t) <= stage.t_end_error
        assert abs(stage.height - plateau.loss) < 5e-2 * stage.height  # a plateau is near its saddle, not on it
        assert stage.cost.state_size < stage.cost.whole_size
    assert abs(prediction.end.height - end) < 1e-4 * prediction.stages[0].height


def test_heights_are_the_losses_of_unfitted_signs():
    # Boursier, Pillaud-Vivien & Flammarion (2022): the fitted sign adds nothing, the other all it has
    targets = np.array([1.0, 0.7, -0.6, -0.5])
    problem = orthogonal(norms=[1.3, 0.8, 1.0, 1.2], targets=targets.tolist(), scale=1e-6)
    heights = [stage.height for stage in predict(problem.network, problem.objective).stages]
    assert heights == pytest.approx([0.125 * np.sum(targets**2), 0.125 * np.sum(targets[2:] ** 2)], rel=1e-12)


def test_the_expected_error_covers_at_large_scales_too():
    covered = []
    for seed in range(8):
        problem = orthogonal(norms=[1.3, 0.8, 1.0], targets=[1.0, 0.7, -0.6], scale=1e-2, seed=seed)
        prediction = predict(problem.network, problem.objective)
        times, _, _ = simulated(problem, prediction)
        covered += [abs(s.t_end - t) <= s.t_end_error for s, t in zip(prediction.stages, times, strict=True)]
    # 95% of problems: of 16 stages, three misses have a chance of 4%
    assert np.sum(~np.array(covered)) <= 2


def test_an_error_that_is_too_small_would_be_noticed():
    problem = orthogonal(norms=[1.3, 0.8, 1.0], targets=[1.0, 0.7, -0.6], scale=3e-2)
    prediction = predict(problem.network, problem.objective)
    times, _, _ = simulated(problem, prediction)
    assert any(abs(s.t_end - t) > 1e-4 * s.t_end_error for s, t in zip(prediction.stages, times, strict=True))


def test_the_early_phase_is_that_of_units_followed_one_by_one(rng):
    # the slow and obvious way: steps of a second-order method, each coordinate dead once it has reached 0
    pull, z, readout = rng.normal(size=3), rng.normal(size=(8, 3)), rng.normal(size=8)
    found = settle(z, readout, pull)
    steps = 4000
    for i in range(8):
        horizon = found.time[i] + 2.0
        state, alive, h = np.append(z[i], readout[i]), z[i] > 0, horizon / steps

        def velocity(y, alive):
            return np.append(np.where(alive, pull * y[-1], 0.0), np.sum(pull * y[:-1] * alive))

        for _ in range(steps):
            state = state + h * velocity(state + 0.5 * h * velocity(state, alive), alive)
            alive &= state[:-1] > 0
            state[:-1] = np.where(alive, state[:-1], np.minimum(state[:-1], 0.0))
        assert np.array_equal(alive, found.active[i])
        if found.rate[i] > 0:
            along = np.sum(pull * state[:-1] * alive) / found.rate[i]
            grown = found.growing[i] * np.exp(found.rate[i] * horizon)
            # the steps' own error, h per kink
            assert (along + state[-1]) / np.sqrt(2) == pytest.approx(grown, rel=1e-2)


def test_early_phase_joined_later_is_the_same(rng):
    pull, z, readout = rng.normal(size=3), rng.normal(size=(30, 3)), rng.normal(size=30)
    whole, cut = settle(z, readout, pull), settle(z, readout, pull, until=50.0)
    assert np.array_equal(whole.active, cut.active)
    assert np.allclose(whole.z, cut.z)
    assert np.allclose(whole.readout, cut.readout)


def test_a_plateau_that_does_not_show_is_listed_with_the_scale_at_which_it_would():
    def made(scale):
        return orthogonal(norms=[1.0, 1.0, 1.0], targets=[1.0, 0.1, -0.7], scale=scale, seed=1)

    problem = made(2e-2)
    prediction = predict(problem.network, problem.objective)
    assert [stage.kind for stage in prediction.stages] == ["origin"]
    (missing,) = prediction.merged
    assert not missing.separable
    assert missing.height == pytest.approx(0.49 / 6)
    size = np.sqrt(np.mean(np.concatenate([np.ravel(a) for a in problem.network.arrays().values()]) ** 2)) / 2e-2
    for factor, visible in ((1.6, False), (0.6, True)):
        # the same weights at another scale
        nearby = made(factor * missing.visible_scale / size)
        stages = predict(nearby.network, nearby.objective).stages
        _, plateaus, _ = simulated(nearby, predict(nearby.network, nearby.objective))
        assert any(stage.kind == "rays" for stage in stages) == visible
        assert (len(plateaus) == 2) == visible


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p, None),
        (
            lambda p: p._replace(objective=_with(p.objective, x=np.array([[1.0, 0.2], [0.3, 1.0]]))),
            "neither orthogonal",
        ),
        (
            lambda p: p._replace(objective=_with(p.objective, x=np.array([[1.0, 0.0], [-1.0, 0.0]]))),
            "neither orthogonal",
        ),
        (lambda p: p._replace(objective=_with(p.objective, y=np.zeros((2, 1)))), "nothing correlates"),
        (
            lambda p: p._replace(network=orthogonal(norms=[1.0, 1.0], targets=[1.0, 1.0], activation="tanh").network),
            "piecewise linear",
        ),
    ],
)
def test_refusals_say_which_assumption_fails(change, reason):
    problem = orthogonal(norms=[1.0, 1.0], targets=[1.0, -0.5])
    found = OrthogonalRays().refuses(change(Problem(problem.network, problem.objective)))
    assert found is None if reason is None else reason in found


def _with(objective, **parts):
    values = {"x": objective.x, "y": objective.y, "weight": objective.weight, "irreducible": objective.irreducible}
    return type(objective)(**(values | parts))


def test_targets_that_are_neither_parallel_nor_orthogonal_are_refused():
    problem = orthogonal(norms=[1.0, 1.0], targets=[[1.0, 0.0], [0.7, 0.7]])
    assert "neither parallel nor orthogonal" in rays_of(problem.network.lenses()[0], problem.objective)


def test_gradient_descent_is_predicted_to_first_order_in_its_step():
    # steps of 0.05 lengthen the waits by a percent or two; what is left is of second order
    from saddlescope.flow import gradient_descent

    problem = orthogonal(norms=[1.3, 1.0], targets=[1.0, -0.8])
    flow = predict(problem.network, problem.objective).stages
    steps = predict(problem.network, problem.objective, learning_rate=0.05).stages
    end = 0.05 * np.ceil(1.3 * steps[-1].t_end / 0.05)
    run = gradient_descent(problem.network, problem.objective, learning_rate=0.05, steps=round(end / 0.05))
    heights = [stage.height for stage in steps] + [0.0]
    for k, stage in enumerate(steps):
        t = crossing_time(run.t, run.loss, run.speed, 0.5 * (heights[k] + heights[k + 1]))
        assert stage.status == "heuristic"
        assert abs(stage.t_end - t) < 0.1 * abs(flow[k].t_end - t)
        assert abs(stage.t_end - t) < stage.t_end_error + 0.05


def test_ten_thousand_units_end_as_when_units_leave_one_by_one(monkeypatch):
    problem = orthogonal(norms=[1.0, 1.3, 0.8, 1.1], targets=[1.5, -0.5, 1.0, -0.4], units=10_000)
    prediction = predict(problem.network, problem.objective)
    monkeypatch.setattr(late, "STRIDE", 1.0)
    for coarse, fine in zip(prediction.stages, predict(problem.network, problem.objective).stages, strict=True):
        assert coarse.cost.evaluations < 0.8 * fine.cost.evaluations
        # measured: 3e-7, and 0 where units leave one by one
        assert 0 < abs(coarse.t_end - fine.t_end) < 1e-6 * fine.t_end


def test_no_end_is_told_where_its_expected_error_exceeds_the_wait():
    # the same rays from large and from small weights: the first end is after a wait of less than one, known no better than that, or well known
    given = {"norms": [4.46, 4.3], "targets": [-0.33, 0.69], "units": 3}
    for scale, known in ((0.3, False), (1e-4, True)):
        problem = orthogonal(**given, scale=scale, seed=1)
        prediction = predict(problem.network, problem.objective)
        assert prediction.stages
        for stage in prediction.stages:
            if stage.t_end is not None:
                assert stage.t_end_error <= stage.t_end - (stage.t_start or 0.0)
        first = prediction.stages[0]
        assert (first.t_end is not None) == known
        if not known:
            assert first.status == "outside assumptions"
            assert "smaller initial weights" in first.reason
