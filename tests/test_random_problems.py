"""The problems that theory is scored on: frozen, distributed as stated, and each a spec that runs."""

import numpy as np
import pytest

from saddlescope import runs
from saddlescope.experiments import _random_problems as drawn
from saddlescope.specs import read_spec

COUNT = 200
# of the list as it was before any predictor was tuned; it changes with every character of every spec
FROZEN = "3fcf1883c7bd5bca88ec56f3288cd8abe7ec246d3a7c175f1e5e69779f1f2481"


def test_the_problems_are_those_that_were_frozen():
    assert drawn.digest(COUNT) == FROZEN


def test_a_change_of_one_distribution_changes_the_digest(monkeypatch):
    before = drawn.digest(3)
    monkeypatch.setattr(drawn, "RATIO", (0.2, 0.8501))
    assert drawn.digest(3) != before


@pytest.mark.parametrize("family", drawn.FAMILIES)
def test_problems_are_distributed_as_stated(family):
    problems = [drawn.problem(family, number) for number in range(COUNT)]
    ratios = np.concatenate([np.divide(p.singular_values[1:], p.singular_values[:-1]) for p in problems])
    assert np.all((ratios >= 0.2 - 1e-5) & (ratios <= 0.85 + 1e-5))  # six digits
    scales = np.log10([p.scale for p in problems])
    low, high = drawn.FAMILIES[family][1]
    assert np.all((scales >= low) & (scales <= high))
    # means of uniform draws, four standard errors
    assert abs(scales.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * COUNT)
    if "attention" not in family:  # there ratios are drawn again where input eigenvalues are too far apart
        assert abs(ratios.mean() - 0.525) < 4 * 0.65 / np.sqrt(12 * len(ratios))
    widths = [np.ravel(p.spec["network"]["units"])[0] for p in problems]
    assert set(widths) == set(drawn.WIDTHS)
    assert len({p.spec["init"]["seed"] for p in problems}) == COUNT


@pytest.mark.parametrize("family", drawn.FAMILIES)
def test_every_spec_can_be_run_and_has_the_singular_values_that_it_was_drawn_with(family):
    for number in range(4):
        problem = drawn.problem(family, number)
        made = runs.prepare(read_spec(problem.spec))
        x, y, weight = (np.asarray(a) for a in (made.objective.x, made.objective.y, made.objective.weight))
        if family == "ReLU":
            sides = [np.linalg.norm(np.where(y * s > 0, weight[:, None] * y * x, 0).sum(axis=0)) for s in (1, -1)]
            found = np.sort(sides)[::-1]
        elif family == "quadratic":
            found = np.sort(np.abs(np.linalg.eigvalsh(problem.spec["task"]["matrix"])))[::-1]
        elif family == "linear convolution":
            rows = x.reshape(len(y), made.network.v.shape[1], -1)
            found = np.linalg.svd(np.einsum("n,nfp,no->pfo", weight, rows, y).reshape(rows.shape[2], -1))[1]
        elif "attention" in family:
            size = round(x[0].size ** 0.5)
            found = np.linalg.svd((weight @ (y * x.reshape(len(y), -1))).reshape(size, size))[1]
        else:
            found = np.linalg.svd(np.einsum("n,ni,no->io", weight, x.reshape(len(y), -1), y))[1]
        np.testing.assert_allclose(found[: len(problem.singular_values)], problem.singular_values, rtol=1e-4)
