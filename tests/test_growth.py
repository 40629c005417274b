"""Theorem 4 and Proposition 5 as exponents: they come out as committed, and a wrong exponent would be seen."""

import itertools
import json

import numpy as np
import pytest

from saddlescope import experiments, plots, runs
from saddlescope.experiments import _growth, proposition_5, theorem_4
from saddlescope.specs import read_spec


@pytest.fixture(scope="module", params=(theorem_4, proposition_5), ids=lambda module: module.NAME)
def quick(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    said = []
    return request.param, request.param.reproduce(out, True, lambda fraction, text: said.append(fraction)), said


def test_every_exponent_comes_out_as_expected(quick):
    module, outcome, said = quick
    for claim in outcome.claims:
        assert claim.outcome == claim.expected == "holds", f"{claim.panel}: {claim.interval} not in {claim.bounds}"
        assert (claim.experiment, claim.seeds) == (module.NAME, module.QUICK_SEEDS)
    assert len({claim.panel for claim in outcome.claims}) == len(outcome.claims) == len(module.CASES)
    json.dumps([claim.as_json() for claim in outcome.claims], allow_nan=False)
    assert [p.suffix for p in outcome.pictures] == [".png", ".pdf"]
    assert said == sorted(said)
    assert len(outcome.table.splitlines()) == len(module.CASES) + 1
    assert module.NAME in experiments.EXPERIMENTS
    assert module.SEEDS >= 10


def test_bounds_tell_the_exponents_of_the_theory_from_one_another(quick):
    _module, outcome, _ = quick
    # no bound of one exponent lets that of another case through
    spans = sorted({claim.bounds for claim in outcome.claims if claim.status == "theorem"})
    assert all(a[1] < b[0] for a, b in itertools.pairwise(spans) if abs(a[0] - b[0]) > 1e-6)


def test_a_slope_is_found_with_its_interval_and_a_wrong_one_is_not_within_the_bounds():
    rng = np.random.default_rng(0)
    scales = (1e-2, 1e-4, 1e-6)
    rests = 3.0 * np.asarray(scales) ** 0.4 * np.exp(0.01 * rng.standard_normal((20, 3)))
    found = _growth.exponent(scales, rests)
    assert found.interval[0] < 0.4 < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.002
    assert not found.interval[0] < 0.41 < found.interval[1]
    # two values: mean +- 12.7062 x half their distance
    two = _growth.exponent((1.0, np.e), np.exp([[0.0, 1.0], [0.0, 2.0]]))
    assert two.values == pytest.approx((1.0, 2.0))
    assert two.interval == pytest.approx((1.5 - 6.3531, 1.5 + 6.3531), abs=1e-3)


def linear(scale=1e-4):
    spec = {
        "network": {"architecture": "fully_connected", "activation": "linear", "units": 6},
        "task": theorem_4._teacher(theorem_4.S),
        "init": {"scale": scale},
    }
    return runs.prepare(read_spec(spec))


def test_directions_are_those_of_the_teacher():
    first = theorem_4.directions(linear())
    np.testing.assert_allclose(first.s, theorem_4.S, rtol=1e-12)
    assert first.variance == pytest.approx(theorem_4.LAMBDA[0])
    assert first.loss == pytest.approx(0.5 * sum(s**2 / v for s, v in zip(theorem_4.S, theorem_4.LAMBDA, strict=True)))


def test_sizes_tell_what_lies_along_the_directions_from_the_rest():
    problem = linear()
    first = theorem_4.directions(problem)
    units = np.arange(1.0, 7.0)[:, None]
    along = problem.network.with_arrays({"u": units * first.right[:, 0], "v": units * first.left[:, 0]})
    both = np.sqrt(2) * np.linalg.norm(units)
    for measure in (theorem_4.PROJECTION, theorem_4.RANK):
        assert theorem_4.sizes(first, 1, measure)(along) == pytest.approx((both, 0.0), abs=1e-12)
    other = problem.network.with_arrays({"u": units * first.right[:, 1], "v": units * first.left[:, 1]})
    assert theorem_4.sizes(first, 1, theorem_4.PROJECTION)(other) == pytest.approx((0.0, both), abs=1e-12)
    assert theorem_4.sizes(first, 2, theorem_4.PROJECTION)(other) == pytest.approx((both, 0.0), abs=1e-12)


def test_a_size_that_is_never_reached_is_said_to_be_so():
    problem = linear()
    sizes = theorem_4.sizes(theorem_4.directions(problem), 1, theorem_4.PROJECTION)
    with pytest.raises(ValueError, match="Follow the flow to a lower loss"):
        _growth.rest_when_grown(problem.network, problem.objective, sizes, 50.0, 0.3)


def test_the_picture_needs_a_panel_and_says_what_was_measured():
    law = plots.PowerLaw((1e-2, 1e-4), [[1e-1, 1e-2], [2e-1, 2e-2]], 0.5, (0.49, 0.51), 0.5)
    figure = plots.power_laws({"one": law}, "rest")
    assert "0.5000" in figure.axes[0].get_title()
    with pytest.raises(ValueError, match="at least one panel"):
        plots.power_laws({}, "rest")
