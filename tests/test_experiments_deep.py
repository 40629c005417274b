"""Figures 4 to 6 and Section 7's conjecture: parts of the experiments small enough for every day, and claims that fail where something is wrong."""

import json

import numpy as np
import pytest

from saddlescope import experiments, plots
from saddlescope.experiments import _mixtures, _staircases, conjecture_7, figure_4, figure_5, figure_6


def outcomes(claims):
    json.dumps([one.as_json() for one in claims], allow_nan=False)
    return {(one.panel, one.name): one.outcome for one in claims}


# ------------------------------------------------------------------------------------------------------------ figure 5


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """One network of Figure 5, one seed."""
    name = "quadratic, linear"
    out = tmp_path_factory.mktemp("out")
    ran = _staircases.run_all({name: figure_5.PANELS[name].spec}, 1, out, "figure 5", lambda *_: None)
    assert (out / "quadratic--linear" / "record.nc").exists()
    return name, ran[name]


def test_a_deep_network_is_claimed_to_be_of_its_type_and_of_no_other(panel):
    name, ran = panel
    right = figure_5.PANELS[name]
    assert set(outcomes(figure_5._claims(name, right, ran)).values()) == {"holds"}
    wrong = right._replace(kind="rank", losses=(1.0, 0.4, 0.0), plateau=(1, 2))
    found = outcomes(figure_5._claims(name, wrong, ran))
    fails = {what for (_, what), outcome in found.items() if outcome == "fails"}
    assert fails == {"type", "height", "second layer on the plateau"}


def test_the_figure_of_deep_networks_is_drawn_close_to_the_drops(panel, tmp_path):
    name, ran = panel
    figure = plots.figure_1({name: ran.record}, close_up=True)
    low, high = figure.axes[0].get_xlim()
    first, second = (stage["t_end"] for stage in ran.summaries[0]["stages"])
    assert 0 < low < first < second < high < 2 * first
    assert all(path.stat().st_size > 5000 for path in plots.save(figure, tmp_path / "figure"))
    assert name in figure_5._table({name: ran})


def test_networks_of_figure_5_take_both_first_layers_and_all_three_types():
    assert {one.kind for one in figure_5.PANELS.values()} == {"rank", "rays", "active"}
    assert figure_5.SEEDS >= 10 > figure_5.QUICK_SEEDS


# ------------------------------------------------------------------------------------------------------------ figure 6


def steps(*ends: float) -> dict:
    """A summary with plateaus that end at these times."""
    stage = {"height": 1.0, "effective_width": [0, 0, 0], "kinds": ["origin"] * 3}
    return {"stages": [stage | {"t_end": t} for t in ends], "end": {"height": 0.0}}


def stairs(panel, **waits: tuple[float, ...]) -> dict[str, _staircases.Ran]:
    return {
        f"linear, {skip.replace('_', ' ')}": _staircases.Ran([steps(*t)] * 2, panel[1].record, [t[0]] * 2)
        for skip, t in waits.items()
    }


def test_claims_on_skips_tell_a_faster_network_and_a_power_from_others(panel):
    at = stairs(panel, no_skip=(40.0, 60.0), skip_1=(6.0, 9.0), skip_2=(2.0, 4.0))
    low = stairs(
        panel,
        no_skip=(40.0 * 100, 60.0),
        skip_1=(6.0 * 10, 70.0),
        skip_2=(2.0 + np.log(10) / figure_6.LINEAR_TASK["singular_values"][0], 4.0),
    )
    claims = [*figure_6._claims("linear", at, low), *figure_6._growth((0.1, at), (0.01, low), 1)]
    assert set(outcomes(claims).values()) == {"holds"}
    slow = at | stairs(panel, skip_1=(50.0, 60.0, 70.0))
    found = outcomes([*figure_6._claims("linear", slow, low), *figure_6._growth((0.1, slow), (0.01, low), 1)])
    fails = {what for (_, what), outcome in found.items() if outcome == "fails"}
    assert fails == {"plateaus, skip 1", "no skip against skip 1", "exponent, skip 1, scales 0.1 to 0.01"}


def test_specs_of_figure_6_are_networks_of_four_layers():
    for kind in figure_6.TASKS:
        for skip in figure_6.SKIPS:
            network = figure_6._spec(kind, skip, 0.1)["network"]
            assert len(network["units"]) == 3
            assert network.get("skip") == figure_6.SKIPS[skip]


def test_curves_of_several_networks_share_their_axes(panel):
    figure = plots.overlaid({"four layers": {"no skip": panel[1].record, "skip 1": panel[1].record}})
    assert [ax.get_xscale() for ax in figure.axes] == ["linear", "log"]
    assert len(figure.axes[0].lines) == 4  # a curve and its ends, each
    with pytest.raises(ValueError, match="needs a panel"):
        plots.overlaid({})


# ------------------------------------------------------------------------------------------------------------ figure 4


def test_a_unit_of_order_2_rests_a_second_time_and_the_criterion_sees_it():
    panel = figure_4.panels()["quadratic, for comparison"]
    seen = [
        figure_4.look(figure_4._started(panel.network, panel.objective, panel.scale, s), panel.objective)
        for s in (0, 1)
    ]
    assert all(one.persistence > figure_4.MARGINAL for one in seen)
    assert figure_4.clean(seen) == [True, True]
    names = ("second plateaus", "clean second plateaus", "one unit", "ended")
    held = {("quadratic", what): "holds" for what in names}
    assert outcomes(figure_4._claims("quadratic", panel, seen)) == held
    marginal = [one._replace(persistence=0.2) for one in seen]
    found = outcomes(figure_4._claims("quadratic", panel, marginal))
    assert found == held | {("quadratic", "clean second plateaus"): "fails"}
    cut = [seen[0], seen[1]._replace(ended="max_steps")]
    assert outcomes(figure_4._claims("quadratic", panel, cut)) == held | {("quadratic", "ended"): "fails"}
    shared = [seen[0], seen[1]._replace(carried=2.0)]
    assert outcomes(figure_4._claims("quadratic", panel, shared)) == held | {("quadratic", "one unit"): "fails"}
    against = figure_4._claims("quadratic", panel._replace(paper=False), marginal)
    del held["quadratic", "one unit"]
    assert outcomes(against) == held | {("quadratic", "second plateaus"): "fails"}
    maps = [plots.Map("a map", ["10 units"], ["scale 1"], np.array([[0.4]]))]
    figure = plots.curves_and_maps({"quadratic": [one.curve for one in seen]}, maps)
    assert len([ax for ax in figure.axes if ax.get_visible()]) == 2
    assert "2 of 2" in figure_4._table({"quadratic": seen}, maps)


def test_a_map_says_where_the_task_decides_and_where_too_few_runs_do_not_tell():
    modes = np.stack([np.zeros((3, 5), bool), np.ones((3, 5), bool)], axis=1)
    apart = np.zeros((3, 2, 5), bool)
    apart[0, :, :2] = True
    names = [f"aligned modes, scale {scale:g}" for scale in figure_4.MAP_SCALES]
    found = outcomes(figure_4._map_claims({"modes": modes, "saturating": apart}))
    assert found == {("map", what): "holds" for what in (*names, "task decides")}
    near = modes.copy()
    near[0, 1, :3] = False
    found = outcomes(figure_4._map_claims({"modes": modes, "saturating": near}))
    assert found[("map", "task decides")] == "fails"  # 15 of 15 against 12 of 15


# ------------------------------------------------------------------------------------------------------- conjecture 7


def test_the_grid_is_the_one_that_was_written_down_and_its_types_follow_from_the_order_alone():
    grid = _mixtures.grid()
    assert grid == _mixtures.drawn(_mixtures.DRAWS)
    assert len(grid) >= 100
    for one in grid:
        orders = (_mixtures.FIRST[one.first][0].facts.order, _mixtures.SECOND[one.second].facts.order)
        assert one.expected == tuple("directions" if order <= 1 else "units" for order in orders)
    for layer in (0, 1):
        assert {one.expected[layer] for one in grid} == {"directions", "units"}
        assert {one.expected[layer] for one in conjecture_7._some(grid)} == {"directions", "units"}


def test_kappa_is_agreement_beyond_chance():
    agree = [("a", "a")] * 3 + [("b", "b")] * 2
    assert conjecture_7.kappa(agree) == 1.0
    assert conjecture_7.kappa([("a", "a")]) == 1.0
    # observed 0.7; by chance 0.5 x 0.6 + 0.5 x 0.4
    mixed = [("a", "a")] * 4 + [("a", "b")] + [("b", "a")] * 2 + [("b", "b")] * 3
    assert conjecture_7.kappa(mixed) == pytest.approx(0.4, rel=1e-12)
    assert conjecture_7.kappa([("a", "b"), ("b", "a")]) == -1.0


def test_participation_counts_units():
    u, v = np.eye(5)[:, :3] * 0.0, np.zeros((5, 1, 1))
    v[:3, 0, 0] = 2.0
    assert _mixtures.participation(u, v) == pytest.approx(3.0, rel=1e-12)


def test_a_mixed_network_is_trained_and_claims_see_a_wrong_type():
    one = next(m for m in _mixtures.grid() if (m.first, m.second) == ("quadratic", "linear"))
    seen = _mixtures.train(one)
    assert seen.learned > 0.05
    assert all(1.0 <= ratio <= 16.0 for ratio in seen.ratios)
    right = seen._replace(types=one.expected)
    wrong = seen._replace(types=one.expected[::-1])
    assert set(outcomes(conjecture_7._claims([[(one, right)]])).values()) == {"holds"}
    assert outcomes(conjecture_7._claims([[(one, wrong)]]))["grid", "agreement"] == "fails"
    table = conjecture_7._table([(one, wrong)])
    assert table.count(str(one.seed)) == 2  # both layers are misses, and shown


def test_experiments_are_known_by_name():
    names = ("figure-4", "figure-5", "figure-6", "conjecture-7")
    assert all(name == experiments.EXPERIMENTS[name].NAME for name in names)
