"""The experiments on embeddings, manifolds and linear saddles: they hold when quick, and they fail where something is broken."""

import json

import numpy as np
import pytest

from saddlescope import embeddings, experiments, plots
from saddlescope.experiments import (
    _constructions,
    _manifold_sets,
    _problems,
    _rows,
    corollary_2,
    lemma_6,
    theorem_1,
    theorem_3,
)

EXPERIMENTS = (theorem_1, corollary_2, theorem_3, lemma_6)


@pytest.fixture(scope="module", params=EXPERIMENTS, ids=lambda module: module.NAME)
def quick(request, tmp_path_factory):
    """An experiment and its quick outcome, with what it said on the way."""
    said = []
    out = tmp_path_factory.mktemp("out")
    outcome = request.param.reproduce(out, True, lambda fraction, text: said.append((fraction, text)))
    return request.param, outcome, said


def test_every_claim_comes_out_as_expected(quick):
    module, outcome, _ = quick
    assert len(outcome.claims) >= 20
    for claim in outcome.claims:
        assert claim.outcome == claim.expected == "holds", f"{claim.panel}, {claim.name}: {claim.interval}"
        assert claim.experiment == module.NAME
        assert claim.bounds[0] <= claim.bounds[1]
    json.dumps([claim.as_json() for claim in outcome.claims], allow_nan=False)


def test_claims_have_names_of_their_own(quick):
    _, outcome, _ = quick
    names = [(claim.panel, claim.name) for claim in outcome.claims]
    assert len(set(names)) == len(names)
    sentences = [(claim.panel, claim.sentence) for claim in outcome.claims]
    assert len(set(sentences)) == len(sentences)


def test_what_holds_and_what_breaks_are_decades_apart(quick):
    _, outcome, _ = quick
    highest = max(c.bounds[1] for c in outcome.claims if c.bounds == _rows.RESTS)
    lowest = min(c.bounds[0] for c in outcome.claims if c.status == "heuristic" and c.bounds[0] > 0)
    assert highest == 1e-13  # what the paper's theorems are held to
    assert lowest >= 1e10 * highest
    assert any(c.bounds[0] == lowest for c in outcome.claims)


def test_the_table_says_what_was_dropped_and_pictures_are_there(quick):
    module, outcome, said = quick
    assert "assumptions hold" in outcome.table
    assert "one assumption dropped" in outcome.table
    assert "breaks" in outcome.table
    assert [p.name for p in outcome.pictures] == [f"{module.NAME}.png", f"{module.NAME}.pdf"]
    assert all(p.stat().st_size > 10_000 for p in outcome.pictures)
    assert said == sorted(said, key=lambda one: one[0])
    assert 0.0 <= said[0][0] <= said[-1][0] < 1.0


def test_the_setting_says_how_many_seeds(quick):
    module, outcome, _ = quick
    assert outcome.setting.startswith(f"{module.QUICK_SEEDS} ")
    assert module.QUICK_SEEDS < module.SEEDS
    assert module.SEEDS * (3 if module is lemma_6 else 1) >= (100 if module is lemma_6 else 10)


def test_experiments_stand_in_the_order_of_the_paper():
    names = [name for name in experiments.EXPERIMENTS if not name.startswith(("figure", "table")) or name == "figure-1"]
    first = ["figure-1", "theorem-1", "corollary-2", "theorem-3", "theorem-4", "proposition-5", "lemma-6"]
    assert names[: len(first)] == first


# ------------------------------------------------------------------------------------------------------------ theorem 1


@pytest.mark.parametrize("name", _problems.KINDS)
def test_narrow_networks_rest_at_points_that_leave_something_to_learn(name):
    one = _problems.problem(name, 1)
    outputs, gradient = _problems.look(one.lens.network, one.objective)
    np.testing.assert_allclose(outputs, one.outputs, rtol=0, atol=1e-13)
    assert np.linalg.norm(gradient) <= 1e-14
    assert np.sqrt(np.mean((outputs - np.asarray(one.objective.y)) ** 2)) > 0.1
    assert len(one.lens.get()[0]) == _problems.NARROW


@pytest.mark.parametrize(
    ("group", "kind", "construction"),
    [
        (theorem_1.SPLIT, "softplus", embeddings.Split),
        (theorem_1.PROPORTIONAL, "linear kernel", embeddings.Proportional),
        (theorem_1.FACTORISED, "merged head", embeddings.Factorised),
    ],
)
def test_an_embedding_that_is_off_by_a_thousandth_is_caught(group, kind, construction, monkeypatch):
    case = next(c for c in theorem_1._cases() if c.group == group and not c.dropped)
    one = _problems.problem(kind, 0)
    assert _rows.row_claim("theorem-1", theorem_1._row(case, kind, [one], 0)).outcome == "holds"
    matrices = construction.matrices

    def off(self, width, facts):
        a, b = matrices(self, width, facts)
        return a, 1.001 * b

    monkeypatch.setattr(construction, "matrices", off)
    monkeypatch.setattr("saddlescope.embeddings._base.refusal", lambda *_: None)
    row = theorem_1._row(case, kind, [one], 0)
    claim = _rows.row_claim("theorem-1", row)
    assert claim.outcome == "fails"
    assert 1e-6 < claim.value < 1.0
    assert theorem_1._function_claims([row])[0].outcome == "fails"


def test_a_silent_unit_that_is_not_quite_is_caught(monkeypatch):
    case = next(c for c in theorem_1._cases() if c.group == theorem_1.SILENT and not c.dropped)
    one = _problems.problem("linear kernel", 0)
    plain = embeddings.Silent.__call__

    def loud(self, lens):
        wide = plain(self, lens).lenses()[0]
        u, v = wide.get()
        return wide.put(u, v + 1e-9)

    monkeypatch.setattr(embeddings.Silent, "__call__", loud)
    assert _rows.row_claim("theorem-1", theorem_1._row(case, "linear kernel", [one], 0)).outcome == "fails"


def test_what_breaks_would_not_pass_as_resting_nor_the_reverse():
    one = _problems.problem("softplus", 0)
    for case in theorem_1._cases():
        if "softplus" in case.kinds:
            row = theorem_1._row(case, "softplus", [one], 0)
            assert _rows.row_claim("theorem-1", row).outcome == "holds"
            assert _rows.row_claim("theorem-1", row._replace(rests=not row.rests)).outcome == "fails"


def test_units_of_the_experiment_are_what_they_declare():
    from saddlescope.units import wrong_facts

    assert wrong_facts(_problems.Sigmoid()) == wrong_facts(_problems.Softplus()) == []


@pytest.mark.parametrize(("degree", "sign"), [(1, 1.0), (1, -1.0), (2, 1.0)])
def test_factors_add_up(degree, sign, rng):
    g, h = (np.array(part) for part in _constructions.factors(rng, degree, sign))
    assert np.sum(g**degree * h) == pytest.approx(1.0, abs=1e-14)
    assert (np.sign(g) == (1, sign, 1)).all()
    assert (h < 0).any()


def test_a_left_inverse_is_not_the_pseudo_inverse(rng):
    g, left = _constructions.inverses(rng)
    np.testing.assert_allclose(left @ g, np.eye(_problems.NARROW), atol=1e-14)
    assert np.linalg.norm(left - np.linalg.pinv(g)) > 0.1


# ------------------------------------------------------------------------------------------------- corollary 2, theorem 3


def test_one_broken_layer_of_a_deep_network_is_caught():
    def off_in_the_second(lens, rng):
        wide = _constructions.split(lens, rng).lenses()[lens.layer]
        u, v = wide.get()
        return wide.put(u, v * (1.001 if lens.layer == 1 else 1.0))

    alone = [corollary_2.problem("tanh", 2, layer, 0) for layer in range(2)]
    values = [corollary_2._widened(one, (layer,), off_in_the_second, 0)[0] for layer, one in enumerate(alone)]
    assert values[0] <= 1e-13 < 1e-6 < values[1]
    every = corollary_2.problem("tanh", 2, None, 0)
    assert corollary_2._widened(every, range(2), _constructions.split, 0)[0] <= 1e-13
    assert corollary_2._widened(every, range(2), off_in_the_second, 0)[0] > 1e-6


def test_euler_steps_see_a_start_that_is_off_the_manifold():
    case = next(c for c in _manifold_sets.cases() if c.group == theorem_3.EQUAL and not c.dropped)

    def nearly(lens, rng):
        equal = lens.of(_manifold_sets.on_equal(lens, rng))
        u, v = equal.get()
        return equal.put(u * [[1.0], [1.001], [1.0], [1.0]], v)

    good, bad = (theorem_3._row(c, "softplus", 1) for c in (case, case._replace(start=nearly)))
    assert good.changes[0] <= theorem_3.STEPPED[1] < 1.0 < bad.changes[0]


def test_a_run_that_leaves_is_seen_to_leave():
    case = next(c for c in _manifold_sets.cases() if c.dropped == "v not 0" and "tanh" in c.kinds)
    assert theorem_3._run(case, "tanh", 0) > 1e-3
    stays = next(c for c in _manifold_sets.cases() if c.group == theorem_3.SILENT and not c.dropped)
    assert theorem_3._run(stays, "tanh", 0) <= 1e-9


# --------------------------------------------------------------------------------------------------------------- lemma 6


@pytest.mark.parametrize("kind", lemma_6.KINDS)
def test_inputs_are_of_the_kind_they_are_called(kind):
    one = lemma_6.problem(kind, 2)
    white = np.linalg.norm(one.xx - np.eye(lemma_6.INPUTS))
    commutator = np.linalg.norm(one.yx.T @ one.yx @ one.xx - one.xx @ one.yx.T @ one.yx)
    assert (white < 1e-13) == (kind == "white")
    assert (commutator < 1e-12) == (kind != "non-commuting")
    assert 0.5 * np.trace(one.yy) > one.loss((0,)) > one.loss((0, 1)) > one.loss((0, 1, 2)) > 0


def test_a_wrong_index_or_loss_is_caught(monkeypatch):
    one, rng = lemma_6.problem("non-commuting", 0), np.random.default_rng(0)
    found = lemma_6._measured(one, rng)
    assert found.wrong == 0
    assert max(found.gradient, found.loss, found.listed) <= 1e-13
    # without the pairs that a better mode has not been learned
    naive = lambda self, subset, width: (width - len(subset)) * (lemma_6.OUTPUTS - len(subset))  # noqa: E731
    monkeypatch.setattr(lemma_6.Problem, "index", naive)
    assert lemma_6._measured(one, rng).wrong > 0
    rotated = one._replace(modes=np.linalg.qr(one.modes + 0.1 * rng.normal(size=one.modes.shape))[0])
    assert lemma_6._measured(rotated, rng).gradient > 1e-3


def test_a_fixed_point_that_is_not_listed_is_caught():
    one = lemma_6.problem("white", 0)
    assert lemma_6._searched(one, 0).distance <= 1e-6
    # a list of other eigenvectors
    off = one._replace(modes=one.modes @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    assert lemma_6._searched(off, 0).distance > 1e-3


# --------------------------------------------------------------------------------------------------------------- picture


def test_strips_draw_one_mark_a_seed_and_zero_at_the_floor():
    rows = [plots.Strip("holds", [0.0, 3e-16, None], True), plots.Strip("breaks", [0.2, np.inf], False)]
    figure = plots.strips([{"first": rows}, {"second": rows[:1]}], "|grad L|", 1e-13)
    first = next(ax for part in figure.subfigs for ax in part.axes)
    marks = [line for line in first.lines if line.get_linestyle() == "None"]
    held, broken = (line.get_xdata() for line in marks)
    np.testing.assert_array_equal(held, [1e-17, 3e-16])
    assert broken[0] == 0.2
    assert np.isfinite(broken).all()
    assert marks[0].get_markerfacecolor() != marks[1].get_markerfacecolor()
    assert marks[0].get_marker() != marks[1].get_marker()  # colour is not all that tells them apart
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["holds", "breaks"]
    with pytest.raises(ValueError, match="at least one row"):
        plots.strips([{}], "|grad L|", 1e-13)
