"""The front door of theory: from Python, from the command line, and beside every run."""

import importlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

import saddlescope
from reference import data
from saddlescope import init, runs, tasks, theory
from saddlescope.cli import main
from saddlescope.flow import gradient_flow
from saddlescope.networks import build
from saddlescope.runs.expected import Expected, beside, expect, match
from saddlescope.series import find_plateaus
from saddlescope.specs import read_spec
from saddlescope.theory import PredictedEnd, PredictedStage, Prediction, prediction_text
from saddlescope.theory.lines.directions import Directions
from saddlescope.theory.lines.steps import follow

# the module, not the function of the same name
WHAT_IF = importlib.import_module("saddlescope.theory.what_if")
DOOR = importlib.import_module("saddlescope.theory.predict")

SPEC = {
    "network": {"architecture": "fully_connected", "activation": "linear", "units": 20},
    "task": {"kind": "linear_teacher", "singular_values": [2.0, 1.6, 0.3]},
    "init": {"scale": 1e-3, "seed": 1},
}
TOML = """
[network]
architecture = "fully_connected"
units = 20
[task]
kind = "linear_teacher"
singular_values = [2.0, 1.6, 0.3]
[init]
scale = 1e-3
seed = 1
"""
KEYS = [
    "schema",
    "stages",
    "end",
    "cause",
    "cause_basis",
    "outside",
    "merged",
    "notes",
    "what_if",
    "predictor",
    "provenance",
]


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def told():
    return saddlescope.predict(SPEC)


def replace_reason(one, reason):
    return one._replace(reason=reason, heights=(), t_end=())


def ends(prediction):
    return [stage.t_end for stage in prediction.stages]


def plain(value):
    """Whether a value is made of what JSON knows, without NaN."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(plain(v) for v in value)
    return math.isfinite(value) if isinstance(value, float) else value is None or type(value) in (str, int, bool)


# ------------------------------------------------------------------------------------------------------------ from Python


def test_every_way_in_gives_the_same_prediction(told, toml):
    problem = runs.prepare(read_spec(SPEC))
    network = build("fully_connected", (3,), 3, {"activation": "linear", "units": 20})
    task = tasks.LinearTeacher(singular_values=(2.0, 1.6, 0.3))
    weights = {name: np.asarray(a) for name, a in problem.network.arrays().items()}
    drawn = lambda empty: init.gaussian(empty, scale=1e-3, seed=1)  # noqa: E731
    for other in (
        saddlescope.predict(toml),
        saddlescope.predict(str(toml)),
        saddlescope.predict(read_spec(SPEC)),
        saddlescope.predict(problem),
        saddlescope.predict(network, task, drawn),
        theory.predict(network, task, weights),
        theory.predict(network, task.data("vectors"), drawn),
        theory.predict(problem.network, problem.objective),
    ):
        assert ends(other) == ends(told)
        assert other.end == told.end


def test_what_makes_no_sense_is_a_value_error_that_says_the_way_out():
    network = build("fully_connected", (3,), 3, {"activation": "linear", "units": 20})
    task = tasks.LinearTeacher(singular_values=(2.0, 1.6, 0.3))
    for arguments, words in (
        ((network, task), "not all zero"),
        ((SPEC, task), "beside a network only"),
        ((network, 3.0, {"u": np.ones((20, 3)), "v": np.ones((20, 3))}), "needs a task"),
    ):
        with pytest.raises(ValueError, match=words):
            saddlescope.predict(*arguments)
    with pytest.raises(ValueError, match="needs a network first"):
        theory.predict(SPEC, task)


def test_samples_are_predicted_by_their_own_moments():
    x, y = data.regression(3, 40, 4, 2)
    network = init.gaussian(build("fully_connected", (4,), 2, {"activation": "linear", "units": 9}), scale=1e-4)
    samples = tasks.Samples(x, y)
    raw = theory.predict(network, saddlescope.objective.build(samples, network, compress=False))
    assert ends(theory.predict(network, samples)) == pytest.approx(ends(raw), rel=1e-7)


def test_a_factor_ten_is_answered_by_predicting_again(told):
    changes = {(one.change, one.factor): one for one in told.what_if}
    assert set(changes) == {(c, f) for c in ("scale", "width") for f in (0.1, 10.0)}
    smaller = saddlescope.predict(SPEC | {"init": {"scale": 1e-4, "seed": 1}}, what_if=False)
    assert changes["scale", 0.1].t_end == pytest.approx(ends(smaller), rel=1e-9)
    assert changes["width", 10.0].value == 200
    # ten times the units start every direction ten times as strong: ln(10) / (2 s) earlier, up to the draw
    shift = told.stages[-1].t_end - changes["width", 10.0].t_end[-1]
    assert shift == pytest.approx(math.log(10) / (2 * 0.3), abs=2.0)


def test_a_plateau_that_is_not_separable_is_listed_with_its_scale(told):
    (merged,) = told.merged
    assert merged.effective_width == 1
    assert merged.visible_scale < 1e-3
    assert len(told.stages) == 2
    assert told.cause == "data"


def test_a_run_that_stops_early_is_told_of(told):
    short = saddlescope.predict(SPEC | {"flow": {"until": 4.0}})
    assert ends(short) == ends(told)
    assert any("stops at t = 4" in note for note in short.notes)


def test_outside_assumptions_there_is_a_reason_and_no_number(monkeypatch):
    monkeypatch.setattr(
        DOOR, "PREDICTORS", (Directions(),)
    )  # whatever other theories there are, this one has nothing to say
    task = SPEC["task"] | {"samples": 30}
    said = saddlescope.predict(SPEC | {"task": task, "network": SPEC["network"] | {"activation": "tanh"}})
    assert said.stages == said.merged == ()
    assert said.end.height is None
    assert said.outside == (
        "directions: needs units that are linear in their weights: these are of order 1 and not linear",
    )
    assert {one.reason for one in said.what_if} == set(said.outside)


# --------------------------------------------------------------------------------------------------- from the command line


def test_json_has_every_key_and_no_nan(toml, capsys):
    assert main(["predict", str(toml), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == KEYS
    assert found["schema"] == "saddlescope.prediction/1"
    assert plain(found)
    of_a_run = set(
        runs.summarize(saddlescope.run(SPEC | {"flow": {"until": 0.5, "estimate_error": False}}))["stages"][0]
    )
    for stage in found["stages"]:
        assert of_a_run <= set(stage)
        assert stage["status"] in theory._base.STATUSES
        assert stage["t_end_error"] > 0
        assert stage["height_error"] >= 0
        assert stage["cost"]["state_size"] < stage["cost"]["whole_size"]
        assert set(stage["predicted"]) == {"height", "t_end", "t_end_error", "status"}


def test_the_plain_form_says_it_in_sentences(toml, capsys):
    assert main(["predict", str(toml)]) == 0
    text = capsys.readouterr().out
    for words in (
        "the saddle at the origin",
        "cause of the plateaus: the data",
        "It becomes visible below",
        "what if:",
        "(learning rate) x (steps)",
    ):
        assert words in text
    assert "None" not in text
    assert "nan" not in text
    # a prediction in Python says the same of itself, and its repr leaves out the series that it was read off
    assert str(saddlescope.predict(toml)) == text.rstrip("\n")
    assert "extras" not in repr(saddlescope.predict(toml))


def test_what_was_refused_of_a_what_if_is_one_short_line(told):
    refused = [
        replace_reason(told.what_if[0], "; ".join(f"theory {k}: needs one thing or another" for k in range(6))),
        replace_reason(
            told.what_if[1], "left out: the changes before it took 2e+05 evaluations, above 1e+05; ask for it"
        ),
    ]
    lines = str(replace(told, what_if=tuple(refused))).splitlines()
    first, second = lines[lines.index("what if:") + 1 :][:2]
    assert first.endswith("no prediction: no theory's assumptions hold there")
    assert second.endswith("left out: the changes before it took 2e+05 evaluations, above 1e+05; ask for it")


def test_no_prediction_is_an_answer_too(told):
    said = theory.as_json(theory.outside(None, ("directions: needs units that are linear",)))
    assert "needs units that are linear" in prediction_text(said)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("units = 20", "unit = 20"), 2, "unit"),
        (("scale = 1e-3", "scale = 0.0"), 2, "scale"),
        (
            ('kind = "linear_teacher"\nsingular_values = [2.0, 1.6, 0.3]', 'kind = "arrays"\nfile = "none.npz"'),
            3,
            "none.npz",
        ),
    ],
)
def test_exit_codes_and_messages_of_one_line(toml, capsys, change, code, words):
    toml.write_text(TOML.replace(*change))
    assert main(["predict", str(toml)]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err
    assert told.err.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------- beside a run


@pytest.fixture(scope="module")
def summary():
    return runs.summarize(saddlescope.run(SPEC))


def test_each_stage_of_a_run_has_its_prediction(summary, told):
    assert [stage["predicted"]["t_end"] for stage in summary["stages"]] == ends(told)
    for stage in summary["stages"]:
        said = stage["predicted"]
        assert abs(said["t_end"] - stage["t_end"]) <= said["t_end_error"] + stage["t_end_error"]
        assert said["height"] == pytest.approx(stage["height"], rel=1e-9)
    assert summary["predicted_only"] == []
    assert summary["cause"] == "data"
    assert summary["prediction"]["predictor"] == "directions"


def _foretold(*heights, t_end=1.0):
    stages = tuple(PredictedStage(h, 0.0, t_end, "theorem", "rank", k) for k, h in enumerate(heights))
    return Expected(Prediction(stages, PredictedEnd(0.0, 3, "rank"), "data", "made up"))


class _Seen:
    def __init__(self, height):
        self.height = height


def test_stages_are_matched_by_height_whatever_their_times():
    seen = (_Seen(1.0), _Seen(0.4))
    pairs, unseen = beside(seen, 0.0, 0.0, _foretold(1.0, 0.41, t_end=1e9), 10.0)
    assert [one["t_end"] for one in pairs] == [1e9, 1e9]
    assert unseen == []


def test_a_stage_that_theory_misses_or_invents_is_not_hidden():
    seen = (_Seen(1.0), _Seen(0.4))
    pairs, unseen = beside(seen, 0.0, 0.0, _foretold(1.0, 0.7), 10.0)
    assert [one["height"] for one in pairs] == [1.0, None]
    assert [one["height"] for one in unseen] == [0.7]
    assert unseen[0]["why"] == "not seen"
    pairs, unseen = beside(seen, 0.0, 0.0, _foretold(1.0, 0.7, 0.4), 10.0)
    assert [one["height"] for one in pairs] == [1.0, 0.4]
    assert [one["height"] for one in unseen] == [0.7]
    pairs, _ = beside((_Seen(1.0), _Seen(0.7), _Seen(0.4)), 0.0, 0.0, _foretold(1.0, 0.4), 10.0)
    assert [one["height"] for one in pairs] == [1.0, None, 0.4]


def test_no_two_stages_share_a_prediction():
    pairs = match([1.0, 0.42, 0.38], 0.0, [1.0, 0.4], 0.0)
    assert len(set(pairs.values())) == len(pairs)


def test_a_theory_that_fails_loses_no_run(monkeypatch, summary):
    class Broken(theory.AbstractPredictor):
        name = "broken"

        def refuses(self, problem):
            raise ZeroDivisionError("a formula")

        def predict(self, problem):
            raise NotImplementedError

    monkeypatch.setattr(DOOR, "PREDICTORS", (Broken(),))
    problem = runs.prepare(read_spec(SPEC))
    assert expect(problem).failed == "ZeroDivisionError: a formula"
    found = runs.summarize(saddlescope.run(problem))
    assert found["prediction"]["failed"] == "ZeroDivisionError: a formula"
    for stage, whole in zip(found["stages"], summary["stages"], strict=True):
        assert stage["t_end"] == whole["t_end"]
        assert set(stage["predicted"].values()) == {None}


@pytest.mark.parametrize(
    ("activation", "scale", "kind"),
    [("linear", 0.4, "linear_teacher"), ("quadratic", 0.1, "quadratic_teacher"), ("linear", 1e-4, "linear_teacher")],
)
def test_the_origin_is_listed_whether_its_plateau_shows_or_not_and_the_cause_follows_one_rule(activation, scale, kind):
    data = {"singular_values": [1.0, 0.3]} if kind == "linear_teacher" else {"matrix": [[1.0, 0.0], [0.0, 0.9]]}
    told = saddlescope.predict(
        {
            "network": {"architecture": "fully_connected", "activation": activation, "units": 8},
            "task": {"kind": kind, **data},
            "init": {"scale": scale, "seed": 2},
        },
        what_if=False,
    )
    shows = scale == 1e-4
    assert [s.kind == "origin" for s in told.stages[:1]] == ([True] if shows else [False] * len(told.stages[:1]))
    origin = [s for s in (*told.stages, *told.merged) if s.kind == "origin"]
    assert [s.separable for s in origin] == [shows]
    target = (
        0.545 if kind == "linear_teacher" else 0.5 * (2 * (1 + 0.81) + (1.9) ** 2)
    )  # E (x^T B x)^2 = 2 tr B^2 + (tr B)^2
    assert origin[0].height == pytest.approx(target, rel=1e-10)
    assert (told.cause != "none") == any(s.kind != "origin" for s in told.stages)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("scale = 1e-3", "scale = 1e160"), 0, "within 64 bits"),
        (
            ("singular_values = [2.0, 1.6, 0.3]", "singular_values = [2.0]\nnoise = 1e200"),
            3,
            "y_y needs finite numbers",
        ),
        (("singular_values = [2.0, 1.6, 0.3]", "singular_values = [1e200, 1.0]"), 3, "y_y needs finite numbers"),
        (
            ("singular_values = [2.0, 1.6, 0.3]", "singular_values = [2.0, 1.0]\ninput_eigenvalues = [1e300, 1e-300]"),
            0,
            "within 64 bits",
        ),
    ],
)
def test_numbers_beyond_64_bits_are_refused_in_a_line_without_warnings(toml, capsys, change, code, words):
    assert TOML.replace(*change) != TOML
    toml.write_text(TOML.replace(*change))
    assert main(["predict", str(toml)]) == code  # pytest makes a warning an error
    told = capsys.readouterr()
    assert words in (told.err if code else told.out)
    assert told.err.count("\n") == (1 if code else 0)


def test_a_motion_that_leaves_64_bits_is_cut_and_ends():
    calls = iter([1.0])

    def field(y):
        return next(calls, np.nan) * y  # finite at the start, and nowhere else

    path = follow(field, np.ones((2, 1)), done=lambda t, y: False, rtol=1e-9, most_steps=10**9)
    assert path.cut
    assert not follow(lambda y: -y, np.ones((2, 1)), done=lambda t, y: t > 1, rtol=1e-9, most_steps=10**9).cut


def test_what_if_is_limited_by_counted_work_whatever_the_time(monkeypatch, told):
    monkeypatch.setattr(WHAT_IF, "MOST_WORK", 0)
    first, *later = saddlescope.predict(SPEC).what_if
    assert first.t_end == told.what_if[0].t_end
    assert all(one.t_end == () and "evaluations" in one.reason for one in later)
    assert not any(one.reason for one in told.what_if)


def test_the_meaning_of_expected_errors_is_said_as_far_as_it_was_measured(told):
    text = prediction_text(theory.as_json(told))
    assert "+- holds 95 of 100 true values" in text
    assert "heuristic" not in text
    guess = replace(told, stages=tuple(replace(stage, status="heuristic", separable=None) for stage in told.stages))
    text = prediction_text(theory.as_json(guess))
    assert "95 of 100" not in text
    assert "not known of stage 1" in text


RAYS = {"kind": "orthogonal_relu", "norms": [1.5, 1.0, 2.0], "targets": [1.4, -1.0, 0.8]}


@pytest.mark.parametrize(
    ("network", "task", "scale"),
    [
        ({"activation": "relu", "units": 30}, RAYS, 0.3),
        (
            {"activation": "quadratic", "units": 20},
            {"kind": "quadratic_teacher", "matrix": [[1.0, 0.0], [0.0, 0.5]]},
            0.3,
        ),
        ({"activation": "linear", "units": [1, 1]}, {"kind": "linear_teacher", "singular_values": [1.0]}, 0.7),
    ],
    ids=["rays", "crowds", "chain"],
)
def test_the_scale_from_which_on_the_origin_shows_is_that_of_the_flow(network, task, scale):
    spec = {"network": {"architecture": "fully_connected"} | network, "task": task, "init": {"scale": scale, "seed": 3}}
    problem = runs.prepare(read_spec(spec))
    told = theory.predict(problem.network, problem.objective)
    (origin,) = [stage for stage in told.merged if stage.kind == "origin"]
    weights = {name: np.asarray(a) for name, a in problem.network.arrays().items()}
    size = np.sqrt(sum(np.sum(a**2) for a in weights.values()) / sum(a.size for a in weights.values()))

    def rests(factor):
        start = problem.network.with_arrays(
            {name: factor * origin.visible_scale / size * a for name, a in weights.items()}
        )
        run = gradient_flow(start, problem.objective, until=60.0, rtol=1e-8, throw=False)
        return [p.t for p in find_plateaus(run.t, run.loss, run.speed)][:1] == [0.0]

    # it is found to a factor 1.25 from below
    assert rests(0.9)
    assert not rests(1.4)
