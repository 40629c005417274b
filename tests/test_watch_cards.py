"""What cards say, held against a training whose losses, widths and plateaus are known, and against the cases in which they must say less."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from saddlescope.cli import main
from saddlescope.watch import Recording, Watcher, diagnose, find_stalls, forecast, report
from test_watch_diagnosis import STEP, STEPS, made, step_down
from test_watch_forecast import flow, recorded

torch = pytest.importorskip("torch")
torch.set_num_threads(1)


def half(f, y):
    return 0.5 * ((f - y) ** 2).sum(1).mean()


@pytest.fixture(scope="module")
def trained():
    """A linear network of three equal layers that learns a map of rank 2 by full batches, down to 1e-4 of its loss: the origin, a plateau at half, and the end. Every step's probe loss beside it."""
    torch.manual_seed(0)
    x, a = torch.randn(256, 6), torch.zeros(6, 3)
    a[0, 0], a[1, 1] = 2.0, 1.0
    y = x @ a
    torch.manual_seed(11)
    sizes = (6, 30, 30, 3)
    model = torch.nn.Sequential(*(torch.nn.Linear(i, o, bias=False) for i, o in pairwise(sizes)))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    watcher = Watcher(model, probe=x[:128], targets=y[:128], optimizer=optimizer, budget=None)
    probe = []
    for step in range(360):
        optimizer.zero_grad()
        loss = half(model(x), y)
        loss.backward()
        optimizer.step()
        watcher(step, loss)
        with torch.no_grad():
            probe.append(float(half(model(x[:128]), y[:128])))
    return watcher.recording(), np.array(probe)


def alone(r):
    """The same training as a table of losses."""
    return Recording.of(loss_step=r.loss_step, loss=r.loss)


# ------------------------------------------------------------------------------------------------------ what is learned


def test_a_training_that_has_learned_all_is_converged_however_much_of_it_was_seen(trained):
    r, _ = trained
    for seen in (r, alone(r)):
        last = diagnose(seen)[-1]
        assert last.kind == "converged", last
        assert last.evidence["spread"] > 0.5  # an exponential is nowhere near its median, and scatters by nothing
        assert last.evidence["scatter"] < 1e-2
        assert last.falls
        assert "stop if that is good enough" in last.advice


def test_a_loss_that_falls_is_not_said_to_stand(trained, tmp_path):
    told = str(report(trained[0], tmp_path))
    assert re.search(r"slow fall at loss [\d.e-]+, falling to 1/\d+ in steps \d+ to \d+: converged", told)
    page = (tmp_path / "report.html").read_text()
    assert "and still falls: converged" in page
    assert "The loss stands" not in page
    assert "on the plateau at" not in told
    assert "no forecast at step 356: on the slow fall to" in told
    # one that stands does
    rests = made(lambda s: 2 * np.exp(-s / 30) + 1e-2, gradient=2 * np.exp(-STEP / 60) + 1e-6)
    assert "stall at loss 0.01" in str(report(rests, tmp_path))
    assert "The loss stands at 0.01" in (tmp_path / "report.html").read_text()


def test_a_low_loss_that_noise_holds_is_not_converged():
    scatter = np.random.default_rng(3).lognormal(0.0, 0.3, STEPS)
    noisy = made(lambda s: 2 * np.exp(-s / 20) + 1e-2 * scatter[int(s)], gradient=0.05, probe=False)
    last = diagnose(noisy)[-1]
    assert last.evidence["relative_height"] < 0.02
    assert last.kind == "noise", last


# ---------------------------------------------------------------------------------------------------- orders and widths


def test_an_order_that_laws_do_not_agree_on_is_undecided(trained):
    card = diagnose(trained[0])[0]
    assert card.kind == "saddle"
    assert card.order is None
    assert "order 2 or 3, undecided at this scale" in card.units
    # three layers made smaller together wait like 1/scale, however many of them are small now
    assert card.units.endswith("such plateaus last like 1/scale")


@pytest.mark.parametrize(
    ("start", "order", "law"),
    [((1e-3, 1e-3), 2, "ln(1/scale)"), ((0.02, 0.02, 0.02), 3, "1/scale"), ((0.08,) * 4, 4, "1/scale^2")],
)
def test_an_order_that_they_agree_on_is_said(start, order, law):
    r = recorded(*flow(start))
    told = forecast(r, int(0.3 * r.step[-1]))
    assert (told.order, told.orders) == (order, (order,))
    assert told.wait == f"order {order}: such plateaus last like {law}"
    assert told.as_json()["orders"] == [order]


def test_what_is_said_of_the_scale_of_all_layers_is_so():
    start = np.array([0.02, 0.02, 2.0])
    waits = []
    for scale in (1.0, 0.5):
        r = recorded(*flow(tuple(scale * start)))
        waits.append(r.step[np.flatnonzero(r.probe_loss < 0.9 * r.probe_loss[0])[0]])
    told = forecast(recorded(*flow(tuple(start))), int(0.5 * waits[0]))
    assert told.order == 2
    assert "of 3 layers" in told.wait
    assert told.wait.endswith("like 1/scale")
    # half the scale: 2 times by 1/scale and more, as the large layer makes it slower; ln(1/scale) would be far less
    assert waits[1] / waits[0] > 2.0
    assert np.log(0.01) / np.log(0.02) < 1.2


def test_linear_units_are_counted_by_rank(trained):
    r, _ = trained
    card = diagnose(r)[0]
    assert card.width_kind in ("rank", "origin")
    inside = np.flatnonzero((r.step <= card.stall.end // 2) & np.isfinite(r.measures["rank"][:, 0]))[-1]
    assert card.effective_width == tuple(r.measures["rank"][inside])
    assert max(card.effective_width) <= 6  # inputs
    assert report(r).as_json()["width_kind"] == "rank"
    # a recording of before, in which layers do not say that they are linear, has no activation
    before = replace(r, measures={name: values for name, values in r.measures.items() if name != "linear"})
    assert diagnose(before)[0].effective_width == card.effective_width


def test_rays_are_those_of_layers_that_are_not_linear():
    from saddlescope.watch.widths import effective_widths

    measures = {"rank": [[1.0, 1.0]], "rays": [[5.0, 3.0]], "active": [[9.0, 9.0]], "linear": [[1.0, 0.0]]}
    fields = {"step": [0], "layers": ("a", "b"), "facts": {"framework": "torch", "activations": ["relu"]}}
    r = Recording.of(**fields, measures={name: np.array(values) for name, values in measures.items()})
    kind, widths = effective_widths(r)
    assert (kind, widths.tolist()) == ("rank, rays", [[1.0, 3.0]])
    del measures["linear"]
    r = Recording.of(**fields, measures={name: np.array(values) for name, values in measures.items()})
    assert effective_widths(r)[1].tolist() == [[5.0, 3.0]]
    assert effective_widths(Recording.of(step=[0]))[0] is None


# ---------------------------------------------------------------------------------------------------- losses compared


def test_a_forecast_is_held_against_the_loss_that_it_is_of(trained):
    r, probe = trained
    sentence = diagnose(r)[0].sentence
    found = re.search(
        r"that fall of the losses handed over was seen at step (\d+) \(of the probe's loss between the looks at steps (\d+) and (\d+)\)",
        sentence,
    )
    assert found, sentence
    at, before, after = map(int, found.groups())
    assert at == r.loss_step[np.flatnonzero(r.loss < 0.9 * np.median(r.loss[:7]))[0]]
    assert before <= np.flatnonzero(probe < 0.9 * r.probe_loss[0])[0] <= after
    # the foretold interval holds it, and the two losses are two
    low, high = map(int, re.search(r"\((\d+) to (\d+)\); that", sentence).groups())
    assert low <= at <= high
    assert not before <= at <= after


def test_an_exit_in_noise_is_near_its_step_and_never_made_up():
    from saddlescope.watch.exits import exit_of_losses, exit_seen

    step = np.arange(1200)
    loss = 1 - 0.1 * np.exp(np.minimum(step - 800, 200) / 60)
    assert exit_of_losses(Recording.of(loss_step=step, loss=loss), 0.1) == pytest.approx(800, abs=1)
    misses = []
    for seed in range(30):
        scatter = 0.1 * np.random.default_rng(seed).standard_normal(step.size)
        misses.append(exit_of_losses(Recording.of(loss_step=step, loss=loss + scatter / 2), 0.1) - 800)
        # a loss that stays, and one that is all noise, have no exit
        assert exit_of_losses(Recording.of(loss_step=step, loss=1 + scatter), 0.1) is None
        assert exit_of_losses(Recording.of(loss_step=step, loss=loss + 6 * scatter), 0.1) is None
    # a fall by a tenth more takes 60 ln 2 = 42 steps
    assert np.max(np.abs(misses)) < 42
    assert abs(np.mean(misses)) < 15
    assert exit_seen(Recording.of(), 0.1) == ""


# ----------------------------------------------------------------------------------------- plateaus between the looks


def test_a_plateau_that_few_looks_fell_on_is_found_in_the_losses(trained):
    r, probe = trained
    heights = [stall.height for stall in find_stalls(r)]
    assert len(heights) == 3
    second = find_stalls(r)[1]
    assert second.height == pytest.approx(probe[(second.start + second.end) // 2], rel=0.02)
    known = find_stalls(alone(r))[1]
    assert (second.start, second.end) == (known.start, known.end)
    # the end of the run is none of its past
    assert "certify_torch" in diagnose(r)[1].advice
    assert f"steps {second.start} to {second.end} was kept" in diagnose(r)[1].advice


def test_noise_in_batches_adds_no_plateau_to_those_of_the_probe():
    def loss(s):
        return step_down(300, 1.0, 0.0)(s) + step_down(700, 1.0, 0.0)(s)

    clean = made(loss)
    expected = find_stalls(clean)
    assert len(expected) == 3
    for seed in range(20):
        scatter = 0.1 * np.random.default_rng(seed).standard_normal(STEPS)
        assert find_stalls(replace(clean, loss=clean.loss + scatter)) == expected


# ------------------------------------------------------------------------------------------------------ less is said


def drifting(moved, past):
    """A loss on a slope all of whose steps should lower it by `moved`, and, if `past`, that falls at the same rate later."""
    steps = 550 if past else STEPS
    gradient = np.where((STEP < 700) | (not past), np.sqrt(moved * 2.0 / steps / 0.01), 1.0)
    step = step_down(600) if past else lambda s: 2.0
    return made(lambda s: step(s) - moved * 2.0 / steps * s, gradient=gradient, norms=30.0, rate=0.01)


def test_small_steps_are_only_blamed_where_nothing_else_could_be():
    assert diagnose(drifting(1e-3, past=False))[0].kind == "small learning rate"
    for r in (drifting(0.04, past=False), drifting(0.03, past=True), drifting(1e-3, past=True)):
        card = diagnose(r)[0]
        assert card.kind == "unknown", card
        assert "a plateau of a saddle would look so as well" in card.sentence


def test_advice_is_for_now():
    loses = {"gradient": np.nan, "norms": np.nan, "rate": np.nan}
    past, now = diagnose(made(step_down(600), **loses))[0], diagnose(made(lambda s: 2.0, **loses))[0]
    assert (past.kind, now.kind) == ("unknown", "unknown")
    assert past.advice.startswith("nothing now, the run has left it")
    assert now.advice.startswith("load a checkpoint from it")


def test_a_law_too_slow_for_numbers_is_none():
    from saddlescope.watch.law import fit

    gain, tau = np.geomspace(1e-60, 1e-50, 20), np.linspace(0.0, 1.0, 20)
    laws, error = fit(tau, gain, np.zeros((2, 1)), np.zeros(2), np.array([0.0, 3.0]))
    assert np.isfinite(error[0])
    assert np.isinf(error[1])
    assert np.isnan(laws.rate[1])


def test_a_table_without_losses_is_refused(tmp_path, capsys):
    table = tmp_path / "run.csv"
    table.write_text("step,loss\n" + "".join(f"{s},{'nan' if s else 1.0}\n" for s in range(50)))
    assert main(["watch", str(table), "--out", str(tmp_path / "o")]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "8 losses that are finite numbers, or snapshots: found 1 in 50" in said.err
    assert not (tmp_path / "o").exists()
    # eight are enough
    table.write_text("step,loss\n" + "".join(f"{s},{'nan' if s > 7 else 1.0 - s / 8}\n" for s in range(50)))
    assert main(["watch", str(table), "--out", str(tmp_path / "o")]) == 0
    said = capsys.readouterr().out
    assert "larger budget" not in said
    assert "no snapshot: losses alone do not show when a plateau ends" in said
    few = Recording.of(step=[0, 1, 2], variation=[1.0, 1.0, 1.0])
    assert "budget" not in forecast(few).reason
    assert "budget" in forecast(replace(few, facts=few.facts | {"budget": 0.03})).reason
