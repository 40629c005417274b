"""Data or initialisation, found by changing one and keeping the other: it agrees with the facts of the units, without asking for them."""

import dataclasses
import json

import numpy as np
import pytest

import saddlescope as ss
from saddlescope import runs
from saddlescope.cli import main
from saddlescope.objective import Objective
from saddlescope.runs import intervention
from saddlescope.runs.counterfactual import spectrum_of
from saddlescope.specs import read_spec


def neurons(activation, units, task, scale):
    network = {"architecture": "fully_connected", "activation": activation, "units": units}
    return {"network": network, "task": task, "init": {"scale": scale}}


def heads(eigenvalues, scale, **options):
    network = {"architecture": "attention", "units": 8, "input": "cubic"} | options
    task = {"kind": "in_context_regression", "eigenvalues": eigenvalues, "context": 31}
    return {"network": network, "task": task, "init": {"scale": scale}}


LINEAR = neurons("linear", 20, {"kind": "linear_teacher", "singular_values": [2.0, 0.8]}, 1e-4)
QUADRATIC = neurons("quadratic", 8, {"kind": "quadratic_teacher", "matrix": [[1.0, 0.0], [0.0, 1.0]]}, 3e-3)
UNEVEN = neurons("quadratic", 8, {"kind": "quadratic_teacher", "matrix": [[1.0, 0.0], [0.0, 0.5]]}, 3e-3)
RELU = neurons("relu", 50, {"kind": "orthogonal_relu"}, 1e-5)
CONVOLUTION = {
    "network": {"architecture": "convolutional", "activation": "linear", "units": 20, "kernel_size": 2, "stride": 2},
    "task": {"kind": "convolutional_teacher"},
    "init": {"scale": 1e-5},
}

#: name -> spec, the cause by facts and spectrum, the weights' structure on the plateau
CASES = {
    "linear": (LINEAR, "data", "low-rank"),
    "linear convolution": (CONVOLUTION, "data", "low-rank"),
    "ReLU": (RELU, "data", "low-rank"),
    "quadratic, white": (QUADRATIC, "initialisation", "sparse"),
    "quadratic": (UNEVEN, "both", "sparse"),
    "attention, white": (heads([0.7, 0.7], 3e-3), "initialisation", "sparse"),
    "merged attention": (heads([1.0, 0.7], 1e-3, merged=True), "none", None),
}


@pytest.fixture(scope="module")
def found():
    """Each case's intervention, computed when first asked for."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = ss.cause(CASES[name][0], seeds=4, data_seeds=2)
        return known[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_agrees_with_the_facts_of_the_units(name, found):
    _, cause, structure = CASES[name]
    got = found(name)
    assert (got.cause, got.structure) == (cause, structure)
    assert got.unfinished == 0
    assert len(got.plateaus) == 4
    json.dumps(got.as_json(), allow_nan=False)


@pytest.mark.parametrize("name", ["linear", "ReLU", "linear convolution"])
def test_where_data_are_the_cause_durations_are_theirs_and_grow_with_the_logarithm(name, found):
    got = found(name)
    assert got.shares["data"] > 0.9
    assert max(got.same_data) / min(got.same_data) < 1.3
    # d ln(c ln(1/eps)) / d ln(1/eps) is 1 / ln(1/eps): 0.109 at 1e-4, 0.087 at 1e-5, with an offset that moves it a little
    low, high = got.elasticity_interval
    assert 0.05 < low < high < 0.2
    assert set(got.plateaus_white) == {0}


@pytest.mark.parametrize("name", ["quadratic, white", "attention, white"])
def test_where_weights_are_the_cause_durations_are_theirs_and_grow_with_a_power(name, found):
    got = found(name)
    assert got.shares["initialisation"] > 0.5
    assert max(got.same_data) / min(got.same_data) > 1.3
    assert got.elasticity == pytest.approx(1.0, abs=0.1)  # 1/eps for a product of three small factors
    assert min(got.plateaus_white) >= 1


def test_participation_counts_directions_and_units(found):
    assert found("linear").directions == pytest.approx(1.0, abs=0.05)
    assert found("linear").units > 4.0
    assert found("quadratic, white").units == pytest.approx(1.0, abs=0.1)


# ------------------------------------------------------------------------------------------------------- other data


@pytest.mark.parametrize("name", CASES)
def test_white_data_have_equal_rates_and_new_data_the_rates_that_were_asked_for(name):
    problem = runs.prepare(read_spec(CASES[name][0]))
    spectrum = spectrum_of(problem.network, problem.objective)
    assert not isinstance(spectrum, str)
    white = spectrum_of(problem.network, spectrum.white())
    # equal to rounding: equal rates may stand there once or more often
    np.testing.assert_allclose(white.rates, spectrum.rates.mean(), rtol=1e-8)
    factors = np.linspace(1.0, 0.7, len(spectrum.rates))
    other = spectrum_of(problem.network, spectrum.changed(lambda rates: rates * factors, False))
    np.testing.assert_allclose(other.rates, spectrum.rates * factors, rtol=1e-8)
    same = spectrum.changed(lambda rates: rates, False)
    again = spectrum_of(problem.network, same)
    np.testing.assert_allclose(again.rates, spectrum.rates, rtol=1e-8)


def test_unchanged_rates_leave_the_problem_as_it_was():
    problem = runs.prepare(read_spec(LINEAR))
    same = spectrum_of(problem.network, problem.objective).changed(lambda rates: rates, False)
    assert isinstance(same, Objective)
    assert float(same.loss(problem.network)) == pytest.approx(float(problem.objective.loss(problem.network)), rel=1e-6)


def test_units_without_a_known_spectrum_are_told_so_and_judged_by_their_durations(monkeypatch):
    monkeypatch.setattr(intervention, "spectrum_of", lambda *_: "no spectrum")
    got = ss.cause(QUADRATIC, seeds=3, data_seeds=1)
    assert (got.cause, got.white_unknown, got.plateaus_white, got.shares) == (
        "initialisation",
        "no spectrum",
        None,
        None,
    )


# -------------------------------------------------------------------------------------------------------- verdicts


def seen(*plateaus):
    return [intervention._Seen(p, 1.0 if p else None, None, None, True) for p in plateaus]


@pytest.mark.parametrize(
    ("base", "white", "spread", "elasticity", "verdict"),
    [
        ((0, 0, 1), (0, 0, 0), 2.0, None, "none"),
        ((1, 1, 1), (0, 0, 1), 2.0, 0.1, "data"),
        ((1, 1, 1), (1, 0, 1), 1.0, 1.0, "initialisation"),
        ((1, 1, 1), (1, 0, 1), 2.0, 1.0, "both"),
        ((1, 1, 1), None, None, 0.1, "data"),
        ((1, 1, 1), None, None, 0.9, "initialisation"),
    ],
)
def test_the_verdict_follows_the_majority_of_seeds(base, white, spread, elasticity, verdict):
    given = (seen(*base), None if white is None else seen(*white), spread, elasticity)
    assert intervention._verdict(*given) == verdict


def test_shares_of_variance_find_what_was_put_in():
    def grid(of):
        return [[intervention._Seen(1, float(np.exp(of(i, j))), None, None, True) for j in range(5)] for i in range(4)]

    assert intervention._shares(grid(lambda i, j: i))["data"] == pytest.approx(1.0)
    assert intervention._shares(grid(lambda i, j: j))["initialisation"] == pytest.approx(1.0)
    assert intervention._shares(grid(lambda i, j: (i % 2 - 0.5) * (j % 2 - 0.4)))["interaction"] > 0.7
    assert intervention._shares(grid(lambda i, j: 0.0)) is None


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="seeds >= 3"):
        ss.cause(LINEAR, seeds=2)


def test_the_summary_of_a_run_says_that_the_cause_was_found_by_intervention(found):
    record = ss.run(LINEAR)
    assert ss.summarize(record)["cause_basis"] == "facts"
    summary = ss.summarize(runs.with_cause(record, found("linear")))
    assert (summary["cause"], summary["cause_basis"]) == ("data", "intervention")
    assert summary["intervention"] == json.loads(json.dumps(dataclasses.asdict(found("linear"))))


def test_the_command_line_intervenes_on_request(tmp_path, found, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(runs, "cause", lambda problem, progress: asked.append(problem.spec) or found("linear"))
    path = tmp_path / "small.toml"
    path.write_text(
        '[network]\narchitecture = "fully_connected"\nactivation = "linear"\nunits = 20\n'
        '[task]\nkind = "linear_teacher"\nsingular_values = [2.0, 0.8]\n[init]\nscale = 1e-4\n'
    )
    for flags, basis in (([], "facts"), (["--intervene"], "intervention")):
        out = tmp_path / basis
        assert main(["run", str(path), "--out", str(out), "--json", *flags]) == 0
        printed = json.loads(capsys.readouterr().out)
        saved = json.loads((out / "summary.json").read_text())
        assert printed["cause_basis"] == saved["cause_basis"] == basis
        assert ("intervention" in saved) == bool(flags)
    assert len(asked) == 1
