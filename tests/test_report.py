"""The report and what is kept of finished experiments: one page that loads nothing, escapes what it shows, and never shows what is stale."""

import html.parser
import json
from types import SimpleNamespace

import numpy as np
import pytest

from saddlescope import experiments
from saddlescope.experiments import _finished, _prose
from saddlescope.experiments._base import Outcome, claim, claim_of_mean, claim_of_part
from saddlescope.experiments._page import page, verdict
from saddlescope.specs import commands

NASTY = "<script>alert('x')</script> & \"y\""


def made(name, *outcomes, pictures=(), files=(), setting="Words."):
    claims = [
        claim(name, f"panel {i // 2}", f"c{i}", f"Sentence {i}.", [float(right)], (1, 1), expected=expected)
        for i, (right, expected) in enumerate(outcomes)
    ]
    return Outcome(claims, list(pictures), "a  b\n1  2", setting, files=list(files))


class Reader(html.parser.HTMLParser):
    """Tags as they open and close, and what the page would load."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.loads, self.ids, self.links, self.text = [], [], [], set(), [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.seen.append(tag)
        self.loads += [attrs[key] for key in ("src", "srcset", "data") if key in attrs]
        if "id" in attrs:
            assert attrs["id"] not in self.ids
            self.ids.add(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        # a list item or a paragraph is always closed by hand here
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def picture(tmp_path):
    from saddlescope import plots

    figure = plots.measured_lines([[plots.LinePanel("p", "x", True, [plots.MeasuredLine("a", (1, 10), [[1.0, 2.0]])])]])
    return plots.save(figure, tmp_path / "one", dpi=40)


def test_the_page_is_well_formed_loads_nothing_and_shows_everything(tmp_path, picture):
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / "record.nc"
    record.write_text("x")
    outcomes = {
        "figure-1": (
            "Figure 1",
            made("figure-1", (1, "holds"), (0, "fails"), (0, "holds"), pictures=picture, files=[record]),
        ),
        "lemma-6": ("Lemma 6", made("lemma-6", (1, "holds"))),
    }
    read = Reader(page(outcomes, tmp_path, quick=True))
    assert "script" not in read.seen
    assert "link" not in read.seen
    assert len(read.loads) == 1
    assert all(one.startswith("data:image/") for one in read.loads)
    assert {link[1:] for link in read.links if link.startswith("#")} <= read.ids
    assert {link for link in read.links if not link.startswith("#")} == {
        "one.png",
        "one.pdf",
        "run/record.nc",
        "claims.json",
    }
    for words in (
        "2 of 4 claims hold",
        "1 came out otherwise",
        "quick run",
        "(expected: holds)",
        "fails, as expected",
        "asked exactly 1",
    ):
        assert words in read.text
    assert read.text.count("saddlescope reproduce") == 2


def test_what_experiments_say_is_escaped(tmp_path):
    one = claim(NASTY, NASTY, NASTY, NASTY, [1.0], (0, 2), status=NASTY)
    outcome = Outcome([one], [], NASTY, NASTY, NASTY, [tmp_path / NASTY.replace("/", "")])
    read = Reader(page({NASTY: (NASTY, outcome)}, tmp_path, quick=False))
    assert "script" not in read.seen
    assert read.text.count("<script>") >= 6


def test_a_verdict_tells_findings_from_surprises():
    for outcomes, look, words in (
        ([(1, "holds")], "holds", "holds"),
        ([(1, "holds"), (0, "fails")], "conditional", "holds but for 1, as expected"),
        ([(0, "holds"), (0, "fails")], "news", "1 not as expected"),
        ([(1, "fails")], "news", "1 not as expected"),
    ):
        found = verdict(made("x", *outcomes).claims)
        assert found[0] == look
        assert found[1].endswith(words)


def test_formulas_become_letters_and_marks_do_not_leak():
    text = _prose.as_html(
        "**Bold** of $s_n \\propto n^{-\\kappa}$ and `a < b`:\n\n- *one*,\n  more\n- $\\tfrac12 \\sqrt2$"
    )
    assert text == (
        "<p><strong>Bold</strong> of <i class='f'>s<sub>n</sub> ∝n<sup>-κ</sup></i> and <code>a &lt; b</code>:</p>\n"
        "<ul><li><em>one</em>, more</li><li><i class='f'>1/2 √2</i></li></ul>"
    )
    for module in experiments.EXPERIMENTS.values():
        shown = _prose.as_html(module.__doc__)
        assert not {"$", "\\"} & set(shown), module.NAME
        Reader(shown)


def test_a_claim_about_a_mean_holds_if_its_interval_does():
    def of(interval, bounds=(0.0, 1.0)):
        return claim_of_mean("e", "p", "n", "s", 0.5, interval, bounds, 5).outcome

    assert of((0.1, 0.9)) == "holds"
    assert of((-0.1, 0.9)) == of((0.1, 1.1)) == of((float("nan"), 0.9)) == "fails"


def test_refuted_and_undecided_are_told_apart(tmp_path):
    def of(interval):
        return claim_of_mean("e", "p", "n", "s", 0.5, interval, (0.0, 1.0), 5)

    assert not of((0.1, 0.9)).undecided
    assert of((0.1, 0.9)).condition is None
    assert not of((1.1, 1.9)).undecided
    assert (of((1.1, 1.9)).outcome, of((0.9, 1.1)).outcome) == ("fails", "fails")
    assert of((0.9, 1.1)).undecided
    assert of((-0.1, 1.1)).undecided
    assert not of((float("nan"), 0.9)).undecided

    def part(happened, of):
        return claim_of_part("e", "p", "n", "s", [True] * happened + [False] * (of - happened), (0.8, 1.0))

    # Wilson's interval of all of n begins at n / (n + 3.84)
    assert (part(15, 15).outcome, part(15, 15).undecided) == ("holds", True)
    assert (part(16, 16).outcome, part(16, 16).undecided) == ("holds", False)
    assert (part(2, 16).outcome, part(2, 16).undecided) == ("fails", False)
    assert claim("e", "p", "n", "s", [2.0, 0.5], (0.0, 1.0)).undecided is False  # of every seed: one is enough
    one = Outcome([of((0.9, 1.1)), of((1.1, 1.9))])
    text = Reader(page({"e": ("E", one)}, tmp_path, quick=False)).text
    assert text.count("fails, undecided") == 1
    assert "1 is undecided" in text
    assert "reaches across a bound" in text
    assert "Condition" not in text


# ------------------------------------------------------------------------------------------------------------ finished


@pytest.fixture
def rooms(monkeypatch, tmp_path):
    """Three experiments that count how often they were asked, and a source whose hash is a word."""
    calls = []

    def experiment(name):
        def reproduce(out, quick, progress):
            progress(0.5, f"{name} half")
            calls.append(name)
            if name == "b" and "b" in broken:
                raise KeyboardInterrupt
            (out / f"{name}.png").write_bytes(b"picture of " + name.encode())
            return made(name, (1, "holds"), pictures=[out / f"{name}.png"])

        return SimpleNamespace(NAME=name, TITLE=name.upper(), reproduce=reproduce)

    broken = set()
    made_up = {name: experiment(name) for name in "abc"}
    monkeypatch.setattr(experiments, "EXPERIMENTS", made_up)
    source = ["first"]
    monkeypatch.setattr(_finished, "source", lambda: source[0])
    said = []

    def run(quick=True, fresh=False, names=(), digits=None):
        calls.clear()
        rows = experiments.reproduce(
            names, tmp_path, quick, lambda part, text: said.append((part, text)), fresh=fresh, digits=digits
        )
        return calls.copy(), rows

    return SimpleNamespace(
        run=run, experiments=made_up, broken=broken, source=source, out=tmp_path, calls=calls, said=said
    )


def test_what_is_done_is_not_done_again(rooms):
    first = rooms.run()
    assert first[0] == ["a", "b", "c"]
    page_before = (rooms.out / "report.html").read_text()
    again = rooms.run()
    assert again == ([], first[1])
    assert (rooms.out / "report.html").read_text() == page_before
    assert rooms.run(fresh=True)[0] == ["a", "b", "c"]
    assert rooms.run(names=("b",))[1] == [row for row in first[1] if row["experiment"] == "b"]
    assert [part for part, _ in rooms.said[:3]] == [0.5 / 3, 1.5 / 3, 2.5 / 3]
    assert "[2 of 3]" in rooms.said[1][1]


def test_nothing_stale_is_shown(rooms):
    rooms.run()
    (rooms.out / "b.png").write_bytes(b"another")
    assert rooms.run()[0] == ["b"]
    (rooms.out / "c.png").unlink()
    assert rooms.run()[0] == ["c"]
    path = rooms.out / "finished" / "a.json"
    path.write_text(path.read_text()[:-20])
    assert rooms.run()[0] == ["a"]
    stored = json.loads(path.read_text())
    del stored["claims"][0]["sentence"]
    path.write_text(json.dumps(stored))
    assert rooms.run()[0] == ["a"]
    assert rooms.run(quick=False)[0] == ["a", "b", "c"]
    rooms.source[0] = "second"
    assert rooms.run(quick=False)[0] == ["a", "b", "c"]


def _images(path, grey=1.0):
    labels = np.repeat(np.arange(10), 2)
    np.savez(path, x=np.full((20, 3, 3), grey), y=labels)
    return path


def test_images_of_ones_own_go_to_the_experiments_that_read_them_and_count_as_their_source(rooms, tmp_path):
    file = _images(tmp_path / "own.npz")
    rooms.experiments["b"].DIGITS = True
    given = []
    plain = rooms.experiments["b"].reproduce
    rooms.experiments["b"].reproduce = lambda *args, digits=None: (given.append(digits), plain(*args))[1]
    assert rooms.run(digits=file)[0] == ["a", "b", "c"]
    assert given == [file]
    assert rooms.run(digits=file)[0] == []
    assert rooms.run()[0] == ["b"]  # what comes with the package is another source
    assert given == [file, None]
    rooms.run(digits=file)
    _images(file, 0.5)
    assert rooms.run(digits=file)[0] == ["b"]


def test_images_that_cannot_be_read_or_that_nobody_would_read_are_refused_before_anything_runs(rooms, tmp_path):
    with pytest.raises(ValueError, match="found only a, b, c"):
        rooms.run(digits=_images(tmp_path / "own.npz"))
    rooms.experiments["b"].DIGITS = True
    with pytest.raises(FileNotFoundError):
        rooms.run(digits=tmp_path / "none.npz")
    np.savez(tmp_path / "few.npz", x=np.ones((4, 3, 3)), y=np.arange(4))
    with pytest.raises(ValueError, match=r"digits that are in .*few\.npz"):
        rooms.run(digits=tmp_path / "few.npz")
    assert rooms.calls == []


def test_an_interrupted_reproduction_has_a_report_and_goes_on(rooms):
    rooms.broken.add("b")
    with pytest.raises(KeyboardInterrupt):
        rooms.run()
    report = (rooms.out / "report.html").read_text()
    assert "Not finished" in report
    assert "1 of 3 experiments are done" in report
    assert len(json.loads((rooms.out / "claims.json").read_text())["claims"]) == 1
    rooms.broken.clear()
    assert rooms.run()[0] == ["b", "c"]
    assert "Not finished" not in (rooms.out / "report.html").read_text()


def test_the_source_that_is_hashed_is_the_package(tmp_path, monkeypatch):
    for name, text in {"a.py": "1", "b/c.json": "2", "b/d.txt": "3"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(_finished, "PACKAGE", tmp_path)
    before = _finished.source.__wrapped__()
    (tmp_path / "b" / "d.txt").write_text("4")
    assert _finished.source.__wrapped__() == before
    for name in ("a.py", "b/c.json"):
        (tmp_path / name).write_text("other")
        assert _finished.source.__wrapped__() != before
        before = _finished.source.__wrapped__()


def test_the_help_names_what_can_be_reproduced():
    assert tuple(experiments.EXPERIMENTS) == commands.PAPER
    assert tuple(experiments.OURS) == commands.OURS
