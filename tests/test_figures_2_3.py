"""Figures 2 and 3 and Table 1: quick, they come out as committed; and a wrong law, line or reduction would be seen."""

import json

import numpy as np
import pytest

from saddlescope import experiments, runs
from saddlescope.experiments import _digit_pairs, _three_modes, figure_2, figure_3, table_1
from saddlescope.experiments import _figure_2_claims as claims_of
from saddlescope.experiments import _figure_2_width as width_of
from saddlescope.experiments._three_modes import ATTENTION, LINEAR, Setting, follow, saddle_losses
from saddlescope.specs import read_spec
from saddlescope.tasks import Digits


@pytest.fixture(scope="module")
def swept():
    """The quick sweeps of Figure 2."""
    return figure_2.measure(figure_2.QUICK, lambda *_: None)


@pytest.fixture(scope="module", params=(figure_3, table_1), ids=lambda module: module.NAME)
def digits(request, tmp_path_factory):
    said = []
    out = tmp_path_factory.mktemp("out")
    return request.param, request.param.reproduce(out, True, lambda part, text: said.append(part)), said


def check(name, claims):
    for one in claims:
        assert one.outcome == one.expected, f"{one.panel}, {one.name}: {one.value} {one.interval} not in {one.bounds}"
        assert one.experiment == name
        assert one.bounds[0] <= one.bounds[1]
    names = [(one.panel, one.name) for one in claims]
    assert len(set(names)) == len(names)
    json.dumps([one.as_json() for one in claims], allow_nan=False)
    assert name in experiments.EXPERIMENTS


# ------------------------------------------------------------------------------------------------------------- figure 2


def test_figure_2_comes_out_as_expected(swept):
    found = figure_2.judge(swept, figure_2.QUICK.width_plateaus)
    check("figure-2", found)
    # what the paper's sentence on width does not say of either convention, and at one scale
    failed = {(one.panel, one.name) for one in found if one.outcome == "fails"}
    contrast = {("A: contrast", "contrast at 1e-2"), ("A: contrast", "little at 1e-2")}
    assert failed == {("A: attention, layer", "slope 1"), *contrast}
    assert not any(one.undecided for one in found)
    assert figure_2.FULL.width_seeds[LINEAR] >= 10
    assert figure_2.FULL.seeds >= 10


def tampered(sweeps, network, change):
    """The same sweeps with every run of a network changed."""
    return [
        sweep._replace(runs=[[change(run) for run in row] for row in sweep.runs]) if sweep.network == network else sweep
        for sweep in sweeps
    ]


def fails(before, after):
    """Names of claims that held and no longer do."""
    return {b.name for a, b in zip(before, after, strict=True) if a.outcome == "holds" and b.outcome == "fails"}


def test_wrong_laws_and_lines_are_seen(swept):
    right = figure_2.judge(swept, 1)

    def after(network, change):
        return fails(right, figure_2.judge(tampered(swept, network, change), 1))

    late = after(LINEAR, lambda run: run._replace(ends=1.03 * run.ends))
    assert {"law 1", "law 2", "law 3", "error"} <= late
    # a wait as the scale to the power -1.2 in place of -1
    slower = after(ATTENTION, lambda run: run._replace(ends=run.ends * run.setting.scale**-0.2))
    assert {"law 1", "law 2", "law 3", "equal modes, scale 2"} <= slower
    assert {"plateaus", "small", "large", "never more"} <= after(
        ATTENTION, lambda run: run._replace(plateaus=2 if run.setting.scale < 1 else 3)
    )
    # a tenth of the exponent that "little" allows
    wide = after(LINEAR, lambda run: run._replace(ends=run.ends * run.setting.units**-0.014))
    assert {"slope 1", "slope 2", "slope 3", "law"} <= wide
    assert "little at 1e-6" not in wide
    assert "little at 1e-6" in after(LINEAR, lambda run: run._replace(ends=run.ends * run.setting.units**-0.15))
    # kappa, on which nothing else depends
    for network in (LINEAR, ATTENTION):
        steep = after(network, lambda run: run._replace(ends=run.ends * np.exp(0.6 * run.setting.kappa)))
        assert "slope 1" in steep
    bent = after(LINEAR, lambda run: run._replace(bend=0.7))
    assert {"exponential drop", "drop after a plateau"} <= bent


@pytest.mark.parametrize("network", [LINEAR, ATTENTION])
@pytest.mark.parametrize("kappa", [0.5, 1.0])
def test_losses_of_saddles_are_those_of_the_theory(network, kappa):
    setting = Setting(network, kappa, 8, 1e-9 if network == LINEAR else 1e-4)
    prediction = runs.predict(runs.prepare(read_spec(setting.spec())), what_if=False)
    heights = [*(stage.height for stage in prediction.stages), prediction.end.height]
    np.testing.assert_allclose(heights, saddle_losses(network, kappa), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("network", [LINEAR, ATTENTION])
def test_a_large_part_lies_on_its_manifold_with_the_right_sign(network):
    for seed in range(4):
        setting = Setting(network, 1.0, 5, 1e-9, "weight", seed, 0.3)
        problem = runs.prepare(read_spec(setting.spec()))
        made = _three_modes.start(problem.network, setting)
        u, v = (np.asarray(a) for a in made.lenses()[0].get())
        rows = np.hstack([u, v.reshape(5, -1)])
        assert np.linalg.svd(rows, compute_uv=False)[1] < 1e-7
        if network == ATTENTION:
            assert np.count_nonzero(np.linalg.norm(rows, axis=1) > 1e-7) == 1
        for name, a in made.arrays().items():
            assert np.linalg.norm(a) == pytest.approx(0.3, rel=1e-6), name
        if network == LINEAR:
            assert float(u[:, 0] @ v[:, 0, 0]) > 0  # the first mode is the first axis
        else:
            assert saddle_losses(network, 1.0)[0] > float(problem.objective.loss(made))


@pytest.mark.parametrize("convention", ["weight", "layer"])
def test_mean_ends_are_those_of_runs(convention):
    runs_of = follow(
        [Setting(LINEAR, 0.7, 12, 1e-7, convention, seed) for seed in range(256)], foretold=lambda _: False
    )
    ends = np.array([run.ends for run in runs_of])
    error = np.std(ends, axis=0, ddof=1) / np.sqrt(len(ends))
    # three standard errors: a part of 1/400 each, and seeds are fixed
    mean, theory = ends.mean(axis=0), width_of.mean_ends(12, 1e-7, convention, 0.7)
    assert np.all(np.abs(mean - theory) < 3 * error)
    # another scale would be seen
    assert np.all(np.abs(mean - width_of.mean_ends(12, 1.2e-7, convention, 0.7)) > 3 * error)


def test_ends_that_theory_merges_are_not_compared():
    (run,) = follow([Setting(LINEAR, 0.0, 8, 1e-6)])
    assert run.plateaus == 1
    assert run.seen.tolist() == [True, False, False]
    assert np.isnan(run.predicted).all()
    assert np.all(np.diff(run.ends) > 0)


# ------------------------------------------------------------------------------------------------- figure 3 and table 1


def test_digits_come_out_as_expected(digits):
    module, outcome, said = digits
    check(module.NAME, outcome.claims)
    assert all(one.outcome == "holds" for one in outcome.claims)
    assert said == sorted(said)
    assert [p.suffix for p in outcome.pictures] == [".png", ".pdf"]
    assert all(p.stat().st_size > 10_000 for p in outcome.pictures)
    assert module.FULL.source == "mnist"
    assert (module.FULL.units, module.FULL.seeds) == (1000, 10)


def test_a_krylov_basis_is_orthonormal_and_no_larger_than_the_space():
    one = _digit_pairs.pair("sklearn", (0, 1), 30)
    sigma, b = one.x.T @ one.x / 60, one.x.T @ one.y / 60
    basis = _digit_pairs.krylov(sigma, b, 4)
    assert basis.shape == (one.x.shape[1], 8)
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-13)
    for power in range(4):
        reached = np.linalg.matrix_power(sigma, power) @ b
        assert np.linalg.norm(reached - basis @ (basis.T @ reached)) < 1e-12 * np.linalg.norm(reached)
    assert _digit_pairs.krylov(sigma, b, 99).shape == (one.x.shape[1],) * 2


def test_too_few_powers_are_seen(monkeypatch):
    monkeypatch.setattr(_digit_pairs, "POWERS", 1)
    one = _digit_pairs.pair("sklearn", (0, 1), 60)
    (run,) = _digit_pairs.linear_runs([(one, 0)], 100, 1e-6, singular=False)
    whole = _digit_pairs.all_pixels(one, 100, 1e-6, 0)
    assert np.max(np.abs(whole / run.ends - 1)) > 2 * table_1.SAME[1]


def test_heights_of_a_pair_are_those_of_regressions():
    one = _digit_pairs.pair("sklearn", (3, 5), 40)
    left = np.linalg.lstsq(one.x, one.y, rcond=1e-5)[0]
    assert one.losses[0] == pytest.approx(0.5)
    assert one.losses[2] == pytest.approx(0.5 * np.mean(np.sum((one.y - one.x @ left) ** 2, axis=1)), abs=1e-8)
    assert one.losses[0] > one.losses[1] > one.losses[2]


def test_a_wrong_order_and_a_wrong_line_of_pairs_are_seen():
    pairs = [_digit_pairs.pair("sklearn", classes, 40) for classes in table_1.PAIRS]
    none = np.zeros(0)
    made = [
        _digit_pairs.PairRun(none, none, np.array([1.0, 1.0 + d]), 2, none, none, 0, 0, np.array([1.0, 1.0 + 1.02 * d]))
        for d in (3.0, 2.0, 1.0)
    ]
    found = {one.name: one.outcome for one in table_1._claims(pairs, made, pairs, 1, 1e-3)}
    assert found == {"plateaus": "holds", "order": "fails", "theory": "fails", "harder": "fails", "all pixels": "fails"}


def test_bounds_do_not_come_from_the_data():
    assert pytest.approx(np.log(1.1) / np.log(2)) == width_of.LITTLE
    assert claims_of.EXPONENTIAL[1] < claims_of.AFTER_A_PLATEAU[0]
    assert np.log(2) / np.log(10) < claims_of.EXPONENTIAL[1]


def test_images_from_a_file_are_read_as_those_of_the_package_are(tmp_path):
    whole = Digits(source="sklearn", classes=tuple(range(10))).data("vectors")
    np.savez(tmp_path / "own.npz", x=whole.x.reshape(-1, 8, 8), y=np.argmax(whole.y, axis=1))
    own, ours = _digit_pairs.pair("mnist", (3, 5), file=tmp_path / "own.npz"), _digit_pairs.pair("sklearn", (3, 5))
    assert np.array_equal(own.x, ours.x)
    assert np.array_equal(own.y, ours.y)
    assert own.s == pytest.approx(ours.s, rel=1e-14)
    assert "own.npz, 7 units" in _digit_pairs.described("mnist", 7, tmp_path / "own.npz")
