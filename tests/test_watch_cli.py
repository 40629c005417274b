"""`saddlescope watch` on files: a recording, a table, checkpoints; its page and summary; and what cannot be read."""

import json
import re

import numpy as np
import pytest

from saddlescope.cli import main
from saddlescope.watch import Recording, forecast, report


def plateau(until=0.7, name="a training", order=3):
    """A recording of a product of three scalars on its plateau: S' = C (A + S)^(3/2), whose end is known."""
    a, c, rate = 0.01, 1.0, 0.1
    end = 2 / (c * a**0.5)  # where (A + S)^(-1/2) = A^(-1/2) - C t / 2 vanishes
    step = np.unique(np.round(np.linspace(0, until * end, 120) / rate).astype(int))
    gain = (a**-0.5 - c * step * rate / 2) ** -2 - a
    norms = np.sqrt(a + gain)[:, None] * np.ones(order)
    loss = 1.0 - 0.5 * c * (a + gain) ** 1.5
    return Recording.of(
        step=step,
        loss_step=step,
        loss=loss,
        probe_loss=loss,
        weights={f"layer {k}": (1, 1) for k in range(order)},
        weight_norm=norms,
        weight_largest=norms,
        gradient_norm=norms**2,
        variation=norms[:, 0] ** 3,
        output=norms[:, 0] ** 3,
        learning_rate=np.full(step.size, rate),
        layers=("hidden",),
        measures={"rays": np.zeros((step.size, 1))},
        facts={"optimiser": "SGD", "source": name},
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.npz"
    plateau().save(path)
    return path


def test_a_recording_becomes_a_card_a_page_and_a_summary(saved, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["watch", str(saved), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "saddle" in text
    assert "the plateau ends at step" in text
    summary = json.loads((out / "summary.json").read_text())
    assert summary["schema"] == "saddlescope.watch/1"
    assert [card["kind"] for card in summary["stalls"]] == ["saddle"]
    told = forecast(Recording.load(saved))
    assert summary["forecast"]["exit"] == pytest.approx(told.exit)
    assert summary["stalls"][0]["width_kind"] == "origin"
    # forecasts of earlier steps, none of which knew a later one
    made = [f["step"] for f in summary["forecasts"]]
    assert made == sorted(made)
    assert len(made) > 5
    page = (out / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "data:image/png;base64," in page
    # nothing is loaded from elsewhere: no address but the summary beside it
    assert set(re.findall(r"(?:src|href)='([^'#]{0,12})", page)) == {"data:image/p", "summary.json"}
    assert "<script" not in page


def test_json_is_the_summary_and_nothing_else(saved, tmp_path, capsys):
    assert main(["watch", str(saved), "--out", str(tmp_path / "o"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads((tmp_path / "o" / "summary.json").read_text())
    assert "report.html" in printed.err


def test_a_table_of_losses_is_enough_for_stalls(tmp_path, capsys):
    step = np.arange(600)
    loss = 0.1 + 1.9 / (1 + np.exp(np.clip((step - 350) / 8, -60, 60)))
    table = tmp_path / "log.csv"
    table.write_text("step,loss\n" + "".join(f"{s},{v:.6g}\n" for s, v in zip(step, loss, strict=True)))
    assert main(["watch", str(table), "--out", str(tmp_path / "o"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    first = summary["stalls"][0]["stall"]
    assert first["height"] == pytest.approx(2.0, abs=0.02)
    assert 250 < first["end"] < 350
    # a loss alone says neither what a stall is nor when it ends
    assert summary["stalls"][0]["kind"] == "unknown"
    assert summary["forecast"]["exit"] is None


def test_a_folder_of_checkpoints_is_read(tmp_path, capsys):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    rng = np.random.default_rng(0)
    weights = {"0.weight": rng.standard_normal((6, 4)), "2.weight": rng.standard_normal((2, 6))}
    for step in range(0, 100, 10):
        np.savez(folder / f"step-{step}.npz", **{name: w * (1 + 1e-3 * step) for name, w in weights.items()})
    (folder / "log.csv").write_text("step,loss\n" + "".join(f"{s},{1.0 - 1e-6 * s}\n" for s in range(100)))
    assert main(["watch", str(folder), "--out", str(tmp_path / "o"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["snapshots"] == 10
    assert summary["stalls"]


def test_what_a_recording_says_is_text_in_the_page(tmp_path):
    evil = "<script>alert(1)</script> & 'quotes'"
    r = plateau(name=evil)
    r.facts["gaps"] = ["<b>bold</b>"]
    report(r, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x27;quotes&#x27;" in page


def test_a_name_with_dollars_and_strange_letters_is_drawn(tmp_path):
    r = plateau()
    r.layer_names = ("$\\frac{1}{0}$ \N{SNOWMAN} " + "x" * 300,)
    report(r, tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 10_000


WRONG = {
    "missing.npz": None,
    "text.npz": "not an archive",
    "empty.csv": "step,loss\n",
    "nothing.csv": "",
    "words.csv": "step,loss\nfirst,second\n",
    "picture.jpg": "?",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_said_in_one_line(name, tmp_path, capsys):
    path = tmp_path / name
    if WRONG[name] is not None:
        path.write_text(WRONG[name])
    assert main(["watch", str(path), "--out", str(tmp_path / "o")]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("saddlescope: ")
    assert said.err.count("\n") == 1
    assert name in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "o").exists()


def test_an_empty_folder_is_said_to_be_empty(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["watch", str(tmp_path / "empty"), "--out", str(tmp_path / "o")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_a_damaged_recording_is_refused(saved, tmp_path, capsys):
    saved.write_bytes(saved.read_bytes()[:-200])
    assert main(["watch", str(saved), "--out", str(tmp_path / "o")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_a_report_that_cannot_be_written_says_where(saved, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["watch", str(saved), "--out", str(tmp_path / "file" / "o")]) == 3
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["watch"], ["watch", "a", "b"], ["watch", "a", "--nonsense"]])
def test_a_wrong_request_is_2(arguments, capsys):
    assert main(arguments) == 2
    capsys.readouterr()


def test_a_run_of_ours_is_not_watched_and_nothing_is_overwritten(tmp_path, saved, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "record.nc").write_bytes(b"")
    (run / "curve.csv").write_text("t,loss\n0,1\n1,0.5\n")
    for asked in (run, run / "curve.csv"):
        assert main(["watch", str(asked)]) == 2
        assert f"saddlescope show {run}" in capsys.readouterr().err
    kept = json.dumps({"schema": "saddlescope.run/1"})
    (run / "summary.json").write_text(kept)
    assert main(["watch", str(saved), "--out", str(run)]) == 2
    assert "--out" in capsys.readouterr().err
    assert (run / "summary.json").read_text() == kept
    assert not (run / "report.html").exists()


def test_a_report_of_another_training_is_not_overwritten_and_a_run_takes_no_report_either(tmp_path, capsys):
    table, other, out = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "out"
    for one in (table, other):
        one.write_text("step,loss\n" + "".join(f"{k},{1 / (1 + k)}\n" for k in range(40)))
    assert main(["watch", str(table), "--out", str(out)]) == 0
    assert main(["watch", str(table), "--out", str(out)]) == 0  # its own again
    kept = (out / "summary.json").read_text()
    capsys.readouterr()
    assert main(["watch", str(other), "--out", str(out)]) == 2
    assert f"holds the report of {table}," in capsys.readouterr().err
    spec = tmp_path / "my.toml"
    assert main(["init", "linear", "--out", str(spec)]) == 0
    assert main(["run", str(spec), "--out", str(out)]) == 2
    assert "--out" in capsys.readouterr().err
    assert (out / "summary.json").read_text() == kept


def test_a_small_loss_that_still_falls_is_not_told_to_be_all():
    step = np.arange(0, 4000, 10)
    falls = np.where(step < 400, 1.0 - step / 401, 2e-3 * np.exp(-(step - 400) / 1000))
    rests = np.where(step < 400, 1.0 - step / 401, 2e-3)
    still, done = (report(Recording.of(loss_step=step, loss=loss)).cards[-1] for loss in (falls, rests))
    assert (still.kind, done.kind) == ("converged", "converged")
    assert "still falls" in still.sentence
    assert "still falls" in still.advice
    assert still.evidence["fell"] > 2
    assert done.advice.startswith("stop: nothing is left")


def test_a_page_has_one_picture_a_panel_and_none_of_what_was_not_seen(tmp_path):
    report(plateau(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img ") == 4
    assert "auto-fit" in page  # one column where there is no room for two
    step = np.arange(0, 2000, 10)
    loss = np.where(step < 1000, 1.0, 0.1 + 0.9 * np.exp(-np.maximum(step - 1000, 0) / 50))
    seen = report(Recording.of(loss_step=step, loss=loss), tmp_path)
    assert len(seen.cards) == 2
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img ") == 2
    assert "effective width of each layer" not in page


def test_sentences_begin_with_capitals_and_names_stay_as_they_are(tmp_path):
    r = plateau()
    r.facts |= {"gaps": ["nothing was seen of it"], "skipped": ["m_5.pt: damaged"]}
    report(r, tmp_path)
    text = re.sub(r"<[^>]+>", "\n", (tmp_path / "report.html").read_text())
    assert "Nothing was seen of it" in text
    assert "m_5.pt: damaged" in text
    assert not re.findall(r"[a-z]\. [a-z]", text)


def test_two_stalls_of_one_kind_have_names_of_their_own():
    from saddlescope import plots

    x, nothing = np.arange(100.0), np.zeros(0)
    stalls = ((0, 40, "unknown"), (60, 99, "unknown"))
    view = plots.WatchView(x, x, x, x, stalls, x, np.zeros((100, 0)), (), "", nothing, nothing, nothing, nothing)
    (_, linear), (_, logarithmic) = plots.watch_panels(view)
    names = [t.get_text() for t in linear.axes[0].get_legend().get_texts()]
    assert names == ["1: unknown, 0 to 40", "2: unknown, 60 to 99"]
    assert logarithmic.axes[0].get_xscale() == "log"
    assert {"1", "2"} <= {t.get_text() for t in linear.axes[0].texts}
