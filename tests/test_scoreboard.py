"""The scoreboard: it scores what it says, misses nothing silently, and a prediction that is off is seen to be so."""

import dataclasses
import json
import os

import numpy as np
import pytest

from saddlescope import experiments, plots, runs
from saddlescope.experiments import _baselines, _scored, _simulated, scoreboard
from saddlescope.experiments._in_processes import in_processes
from saddlescope.experiments._random_problems import problem
from saddlescope.flow import gradient_flow
from saddlescope.specs import read_spec
from saddlescope.theory import PredictedEnd, PredictedStage, Prediction, outside
from saddlescope.theory import Problem as Asked

DRAWN = problem("linear", 0)


def run(heights=(1.0, 0.4), ends=(3.0, 10.0), end=0.0):
    stages = [
        _simulated.SimulatedStage(h, "fixed_point", t, 1e-6, 2.0, 0.5, (k,))
        for k, (h, t) in enumerate(zip(heights, ends, strict=True))
    ]
    return _simulated.Simulated("settled", 1.0, tuple(stages), end, 100, 0.1)


def said(heights=(1.0, 0.4), ends=(3.0, 10.0), end=0.0, error=1e-3, recruits=((), ())):
    stages = [
        PredictedStage(h, 0.0, t, "asymptotic", "rank", k, t_end_error=error, recruits=recruits[k])
        for k, (h, t) in enumerate(zip(heights, ends, strict=True))
    ]
    return Prediction(tuple(stages), PredictedEnd(end, 2, "rank"), "data", "test")


# -------------------------------------------------------------------------------------------------------------- judging


def test_a_prediction_that_equals_its_run_has_no_error():
    judged = _scored.judge(DRAWN, run(), said())
    assert judged.count_right
    assert not judged.abstained
    assert [c.relative_error for c in judged.compared] == [0.0, 0.0]
    assert [c.height_error for c in judged.compared] == [0.0, 0.0]
    assert all(c.covered for c in judged.compared)


def test_errors_are_those_that_were_put_in():
    judged = _scored.judge(DRAWN, run(), said(ends=(3.03, 10.0), heights=(1.0, 0.45), error=0.01))
    first, second = judged.compared
    assert first.relative_error == pytest.approx(0.01)
    assert first.error_over_width == pytest.approx(0.06)
    assert not first.covered
    assert second.height_error == pytest.approx(0.05)  # a wrong height is an error, not a plateau that nobody compares
    assert _scored.judge(DRAWN, run(), said(ends=(3.009, 10.0), error=0.01)).compared[0].covered


def test_other_counts_of_plateaus_are_compared_by_height_and_counted_as_wrong():
    judged = _scored.judge(DRAWN, run(heights=(1.0, 0.4, 0.1), ends=(3.0, 10.0, 20.0)), said())
    assert judged.count_right is False
    # both plateaus are there, but the end of the second lies half way to another height
    assert [c.predicted for c in judged.compared] == [3.0, None]
    assert _scored.summarize([judged]).counts_right == 0.0


def test_marginal_plateaus_leave_the_count_open():
    stages = [dataclasses.replace(s, persistence=0.2) for s in run().stages]
    judged = _scored.judge(DRAWN, dataclasses.replace(run(), stages=tuple(stages)), said(heights=(1.0,), ends=(3.0,)))
    assert judged.marginal
    assert _scored.summarize([judged]).counts_right is None


def test_an_abstention_is_counted_and_says_why():
    judged = _scored.judge(DRAWN, run(), outside(Asked(None, None), ("units: none of these",)))  # type: ignore[arg-type]
    assert judged.abstained
    assert judged.reason == "units: none of these"
    summary = _scored.summarize([judged, _scored.judge(DRAWN, run(), said())])
    assert summary.abstained == 0.5
    assert summary.times == 2


def test_no_plateau_is_an_answer_where_the_end_is_known():
    none = Prediction((), PredictedEnd(0.0, 2, "rank"), "none", "test")
    assert not _scored.judge(DRAWN, run(heights=(), ends=()), none).abstained


@pytest.mark.parametrize(("recruits", "right"), [(((0,), (1,)), True), (((0,), (5,)), False), (((), ()), None)])
def test_the_unit_that_theory_names_is_compared_with_the_one_that_grew(recruits, right):
    assert _scored.judge(DRAWN, run(), said(recruits=recruits)).compared[1].recruited is right


def test_ends_read_off_a_curve_are_counted_and_not_compared():
    stages = (run().stages[0], dataclasses.replace(run().stages[1], height_source="curve"))
    judged = _scored.judge(DRAWN, dataclasses.replace(run(), stages=stages), said(ends=(4.0, 11.0)))
    assert [c.predicted for c in judged.compared] == [None, None]
    assert _scored.summarize([judged]).read_off == 2


def test_an_interval_covers_the_statistic_of_what_it_was_drawn_from():
    values = np.random.default_rng(1).standard_normal(400)
    low, high = _scored.interval(values, np.mean)
    assert low < 0.0 < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


# ------------------------------------------------------------------------------------------------------------ simulating


@pytest.mark.parametrize("family", ["linear", "linear convolution", "merged attention"])
def test_narrowed_networks_run_through_the_same_losses_and_speeds(family):
    made = runs.prepare(read_spec(problem(family, 0).spec))
    narrow = _simulated.narrowed(made.network)
    assert len(narrow.u) < len(made.network.u)
    curves = [gradient_flow(n, made.objective, until=6.0, rtol=1e-10) for n in (made.network, narrow)]
    for column in ("loss", "speed"):
        last = [getattr(c, column)[-1] for c in curves]
        first = [getattr(c, column)[0] for c in curves]
        # rounding of the QR at the start, and of the solver where a mode is half learned
        assert first[1] == pytest.approx(first[0], rel=1e-12)
        assert last[1] == pytest.approx(last[0], rel=1e-7)


def test_other_units_are_not_narrowed():
    made = runs.prepare(read_spec(problem("quadratic", 0).spec))
    assert _simulated.narrowed(made.network) is made.network


def test_stored_runs_come_back_and_half_written_lines_do_no_harm(tmp_path):
    store = _simulated.Store(tmp_path / "runs.jsonl")
    store.put(DRAWN.spec, run())
    with store.path.open("a") as file:
        file.write('{"key": "x", "ru')
    again = _simulated.Store(store.path)
    assert again.get(DRAWN.spec) == run()
    assert again.get(problem("linear", 1).spec) is None


def test_a_run_that_fails_is_handed_on_with_its_reason(monkeypatch):
    def broken(spec):
        raise ValueError("no such luck")

    monkeypatch.setattr(scoreboard, "simulate", broken)
    scored = scoreboard.score((DRAWN, None))
    assert (scored.run, scored.judged, scored.failures) == (None, None, ("ValueError: no such luck",))


def test_a_run_that_does_not_end_is_not_judged():
    scored = scoreboard.score((DRAWN, dataclasses.replace(run(), ended="max_steps")))
    assert scored.judged is None
    assert "max_steps" in scored.failures[0]


def doubled(number):
    if number == 13:
        raise ValueError("thirteen")
    return 2 * number, os.getpid()


def test_shares_are_neighbours_and_no_process_works_for_two():
    shares = list(in_processes(doubled, list(range(6)), workers=2))
    assert sorted([n for n, _ in share] for share in shares) == [[0, 2, 4], [6, 8, 10]]
    of = [{process for _, process in share} for share in shares]
    assert all(len(processes) == 1 for processes in of)
    assert not of[0] & of[1]
    assert list(in_processes(doubled, [])) == []
    with pytest.raises(ValueError, match="thirteen"):
        list(in_processes(doubled, [13], workers=1))


# ------------------------------------------------------------------------------------------------------------- baselines


def test_the_plain_blow_up_time_is_exact_for_a_balanced_unit():
    # Saxe's one-unit solution: along the top eigenvector, |u|^2 = 2 v^2, T = 1 / (2 mu v0)
    mu, v0 = 3.0, 1e-3
    u = np.array([[np.sqrt(2) * v0, 0.0]])
    assert _baselines.blow_up(np.diag([mu, 1.0]), u, np.array([v0])) == pytest.approx(1 / (2 * mu * v0), rel=1e-6)
    assert _baselines.blow_up(np.zeros((2, 2)), u, np.array([v0])) is None


def test_plain_rules_follow_the_number_of_small_factors():
    linear = runs.prepare(read_spec(DRAWN.spec))
    first = np.log(1 / DRAWN.scale) / DRAWN.singular_values[0]
    assert _baselines.baselines(DRAWN, linear.network, linear.objective)[0] == pytest.approx(first)
    drawn = problem("deep linear", 0)
    deep = runs.prepare(read_spec(drawn.spec))
    first = 1 / (drawn.scale * drawn.singular_values[0])
    assert _baselines.baselines(drawn, deep.network, deep.objective)[0] == pytest.approx(first)


# ------------------------------------------------------------------------------------------------------------ the whole


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The quick scoreboard of two families, and its folder, in which the runs are stored."""
    out = tmp_path_factory.mktemp("out")
    patch = pytest.MonkeyPatch()
    patch.setattr(scoreboard, "QUICK_PROBLEMS", 3)
    patch.setattr(scoreboard, "FAMILIES", {f: scoreboard.FAMILIES[f] for f in ("linear", "merged attention")})
    told = []
    outcome = scoreboard.reproduce(out, True, lambda fraction, text: told.append(fraction))
    yield out, outcome, told
    patch.undo()


def test_the_quick_scoreboard_comes_out_as_expected(few):
    out, outcome, told = few
    assert [c.panel for c in outcome.claims if c.outcome != c.expected] == []
    assert any(c.outcome == "holds" for c in outcome.claims)
    json.dumps([c.as_json() for c in outcome.claims], allow_nan=False)
    assert told == sorted(told)
    assert [p.suffix for p in outcome.pictures] == [".png", ".pdf"]
    compared = json.loads((out / "scoreboard" / "compared.json").read_text())
    assert len(compared["problems"]) == 2 * 3
    for word in (
        "By how far timescales are apart",
        "Worst ends",
        "Numbers of plateaus that differ",
        "Why theory abstains",
    ):
        assert word in outcome.table
    assert experiments.OURS["scoreboard"] is scoreboard


def test_the_worst_problems_can_be_run_again_from_their_specs(few):
    out, _, _ = few
    specs = sorted((out / "scoreboard" / "worst").glob("*.toml"))
    assert specs
    assert read_spec(specs[0]).network == read_spec(problem("linear", int(specs[0].stem.split("-")[-1])).spec).network


def here(work, items):
    """In place of processes, which would not see what a test has put in place of something."""
    return [[work(item)] for item in items]


def test_predictions_that_are_off_by_two_percent_do_not_pass(few, monkeypatch):
    out, _, _ = few

    def late(network, objective):
        right = scoreboard_predict(network, objective)
        stages = tuple(dataclasses.replace(s, t_end=None if s.t_end is None else 1.02 * s.t_end) for s in right.stages)
        return dataclasses.replace(right, stages=stages)

    scoreboard_predict = scoreboard.predict
    monkeypatch.setattr(scoreboard, "predict", late)
    monkeypatch.setattr(scoreboard, "in_processes", here)
    outcome = scoreboard.reproduce(out, True, lambda *_: None)
    failed = {c.name for c in outcome.claims if c.panel == "linear" and c.outcome == "fails"}
    assert {"median", "95th percentile", "coverage"} <= failed
    assert "heights" not in failed


def test_a_theory_that_breaks_or_abstains_does_not_pass(few, monkeypatch):
    out, _, _ = few

    def broken(network, objective):
        raise RuntimeError("nothing to say")

    monkeypatch.setattr(scoreboard, "predict", broken)
    monkeypatch.setattr(scoreboard, "in_processes", here)
    outcome = scoreboard.reproduce(out, True, lambda *_: None)
    abstained = [c for c in outcome.claims if c.name == "abstention"]
    assert [(c.value, c.outcome) for c in abstained] == [(1.0, "fails")] * 2
    assert "nothing to say" in outcome.table


def test_the_picture_says_where_there_is_no_prediction():
    ends = [plots.ScoredEnd(1.0, 1.1, "asymptotic", 2.0), plots.ScoredEnd(10.0, 10.1, "heuristic")]
    figure = plots.scoreboard({"one": ends, "none": []}, {"one": "2 ends"})
    assert "no prediction" in [t.get_text() for t in figure.axes[1].texts]
    with pytest.raises(ValueError, match="at least one family"):
        plots.scoreboard({})
