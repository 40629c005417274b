"""The door: exit codes, one-line errors, what goes to stdout, and how little is imported before it is needed.

The rooms behind it have tests of their own, so here small stand-ins say what a run or a reproduction came to.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import saddlescope
from saddlescope.cli import main
from saddlescope.cli._progress import Progress
from saddlescope.cli._table import ERRORS, LEGEND, claims_table, stages_table
from saddlescope.results import RESULTS, ComputationError
from saddlescope.specs import TEMPLATES, read_spec
from saddlescope.tasks import DataError

SUMMARY = {
    "schema": "saddlescope.run/1",
    "ended": "converged",
    "final_loss": 2.5e-17,
    "stages": [
        {
            "height": 1.0,
            "t_start": 0.0,
            "t_end": 3.706123456789,
            "t_end_error": 2.34e-9,
            "censored": False,
            "effective_width": 0,
            "kind": "origin",
            "index": 98,
            "escape": {"law": "exponential", "rate": 1.4, "degree": 2},
        },
        {
            "height": 0.5,
            "t_start": 4.2,
            "t_end": None,
            "t_end_error": None,
            "censored": True,
            "effective_width": [1, 2],
            "kind": "rank",
            "index": None,
            "escape": None,
        },
    ],
    "end": {"height": 0.0, "effective_width": 2, "kind": "rank", "index": 0, "nullity": 6},
    "cause": "data",
}

CLAIM = {
    "experiment": "figure-1",
    "panel": "linear",
    "name": "first plateau",
    "sentence": "The first plateau lies at one.",
    "value": 1.0,
    "bounds": [0.999, 1.001],
    "outcome": "holds",
    "expected": "holds",
}


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "linear.toml"
    path.write_text(TEMPLATES["linear"])
    return path


@pytest.fixture
def rooms(monkeypatch):
    """Stand-ins for the rooms that compute; `calls` says what they were asked."""
    calls = []
    runs = SimpleNamespace(
        prepare=lambda spec: spec,
        keep_compiled_programs=lambda: None,
        keep_quickly_compiled_programs=lambda: None,
        run=lambda spec, *, progress=None, resume=None: calls.append(("run", spec, resume)) or dict(SUMMARY),
        save=lambda record, directory: (Path(directory) / "summary.json").write_text(json.dumps(record)),
        load=lambda path: json.loads((Path(path) / "summary.json").read_text()),
        summarize=lambda record: record,
    )
    plots = SimpleNamespace(
        run_figure=lambda record: "figure", save=lambda figure, stem, formats, dpi: calls.append(("figure", stem))
    )
    experiments = SimpleNamespace(
        EXPERIMENTS=("figure-1", "table-1"),
        OURS=(),
        reproduce=lambda names, out, quick, progress, *, fresh=False, **_: (
            calls.append(("reproduce", names, quick, fresh)) or [dict(CLAIM)]
        ),
    )
    for name, room in {"runs": runs, "plots": plots, "experiments": experiments}.items():
        monkeypatch.setattr(saddlescope, name, room, raising=False)
    return SimpleNamespace(runs=runs, plots=plots, experiments=experiments, calls=calls)


def told(capsys) -> str:
    """The one line on stderr, with nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("saddlescope: ")
    assert err.count("\n") == 1
    return err


def shell(*arguments: str, **keywords) -> subprocess.CompletedProcess:
    code = "import sys; from saddlescope.cli import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *arguments], text=True, **keywords)


# --- what is imported ----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["init", "linear"], ["nonsense"]])
def test_the_door_answers_without_numpy_or_jax(arguments):
    code = "import sys; from saddlescope.cli import main; main(sys.argv[1:])"
    code += "; print({'jax', 'numpy', 'matplotlib', 'rich'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("set()\n")


def test_importing_the_package_starts_no_jax_and_its_names_are_there():
    code = "import sys, saddlescope; print({'jax', 'numpy'} & set(sys.modules), saddlescope.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert done.stdout.split() == ["set()", pyproject["project"]["version"]]


def test_names_of_the_package_come_when_they_are_asked_for():
    assert saddlescope.read_spec is read_spec
    assert saddlescope.tasks.DataError is DataError
    assert {"run", "load", "save", "summarize", "units", "stages", "__version__"} <= set(dir(saddlescope))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = saddlescope.nonsense


# --- init, and what is known before anything is computed -----------------------------------------


def test_help_goes_to_stdout_and_is_no_error(capsys):
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert all(command in out for command in ("init", "run", "show", "reproduce"))
    assert err == ""


@pytest.mark.parametrize("arguments", [[], ["runn"], ["run"], ["run", "a.toml", "--jsn"], ["init", "linear", "--out"]])
def test_wrong_arguments_are_a_wrong_request(capsys, arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize("name", TEMPLATES)
def test_init_prints_a_spec_that_a_dry_run_takes(capsys, tmp_path, name):
    assert main(["init", name]) == 0
    path = tmp_path / "spec.toml"
    path.write_text(capsys.readouterr().out)
    assert main(["run", str(path), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    made, full = read_spec(path), read_spec(tomllib.loads(out))
    assert (full.network, full.init, full.flow) == (made.network, made.init, made.flow)
    assert set(made.task) <= set(full.task)
    assert err == ""


def test_init_never_writes_over_a_file(capsys, tmp_path):
    path = tmp_path / "my spec.toml"
    assert main(["init", "relu", "--out", str(path)]) == 0
    assert path.read_text() == TEMPLATES["relu"]
    capsys.readouterr()
    path.write_text("mine")
    assert main(["init", "relu", "--out", str(path)]) == 3
    assert "my spec.toml: exists already" in told(capsys)
    assert path.read_text() == "mine"
    assert main(["init", "relu", "--out", str(tmp_path / "no" / "spec.toml")]) == 3
    assert "No such file or directory" in told(capsys)


def test_init_names_the_nearest_template(capsys):
    assert main(["init", "liner"]) == 2
    assert "the nearest is 'linear'" in told(capsys)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("units        = 50", "unit         = 50", 2, "line 7: [network] has no key 'unit'; the nearest is 'units'"),
        ("units        = 50", "units        = [", 2, "not valid TOML"),
        ('"linear_teacher"', '"linear_techer"', 2, "line 10: [task] kind knows no 'linear_techer'"),
        ("[2.0, 0.5]", "[2.0]", 2, "line 9: [task]"),
        ("1e-5", "0", 2, "[init] zero scale is a critical point"),
        ("1e-8", "'tight'", 2, "[flow] rtol needs a finite number, found 'tight'."),
    ],
)
def test_a_wrong_spec_is_told_in_one_line_before_computing(capsys, template, rooms, old, new, code, words):
    template.write_text(template.read_text().replace(old, new))
    for options in (["--dry-run"], ["--out", str(template.parent / "out")]):
        assert main(["run", str(template), *options]) == code
        assert words in told(capsys)
    assert rooms.calls == []
    assert not (template.parent / "out").exists()


def test_a_spec_that_cannot_be_read_is_a_bad_file(capsys, tmp_path):
    assert main(["run", str(tmp_path / "nope.toml")]) == 3
    assert "nope.toml: No such file or directory." in told(capsys)
    assert main(["run", str(tmp_path)]) == 3
    assert "Is a directory" in told(capsys)


def test_results_that_cannot_be_written_are_told_before_computing(capsys, template, rooms):
    for out in (template, template / "sub", template.parent / ("x" * 300)):
        assert main(["run", str(template), "--out", str(out)]) == 3
        assert "results cannot be written there" in told(capsys)
        assert main(["reproduce", "--out", str(out)]) == 3
        assert "results cannot be written there" in told(capsys)
    assert rooms.calls == []


# --- run and show --------------------------------------------------------------------------------


def test_run_writes_then_prints_the_table(capsys, template, rooms):
    out = template.parent / "with space"
    assert main(["run", str(template), "--out", str(out)]) == 0
    text, err = capsys.readouterr()
    assert text == f"{stages_table(SUMMARY)}\nin {out}: record.nc, summary.json, curve.csv, figure.png\n"
    assert err == ""
    assert rooms.calls == [("run", read_spec(template), None), ("figure", out / "figure")]
    assert main(["show", str(out)]) == 0
    assert capsys.readouterr() == (f"{stages_table(SUMMARY)}\n", "")


def test_results_go_to_a_folder_named_after_the_spec_unless_told(capsys, template, rooms, monkeypatch):
    monkeypatch.chdir(template.parent)
    assert main(["run", "linear.toml", "--resume"]) == 0
    assert rooms.calls[0][2] == Path("out/linear")
    assert (template.parent / "out" / "linear" / "summary.json").exists()


def test_json_is_all_there_is_on_stdout(capsys, template, rooms):
    out = template.parent / "out"
    assert main(["run", str(template), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == SUMMARY
    assert main(["show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == SUMMARY


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ("converged", 0),
        ("time", 0),
        ("steps", 0),
        ("settled", 0),
        ("on_plateau", 0),
        ("max_steps", 0),
        ("diverged", 1),
        ("nonfinite", 1),
        ("sliding_failed", 1),
        ("interrupted", 130),
    ],
)
def test_a_run_that_failed_or_was_interrupted_says_so_and_keeps_what_there_is(capsys, template, rooms, ended, code):
    out = template.parent / "out"
    rooms.runs.run = lambda spec, **_: SUMMARY | {"ended": ended}
    assert main(["run", str(template), "--out", str(out)]) == code
    assert (out / "summary.json").exists()
    text, err = capsys.readouterr()
    assert f"ended: {ended}" in text
    assert ("saddlescope: " in err) == (code != 0)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("x needs shape [samples, 2],\nfound (3,)"), 2, "x needs shape [samples, 2], found (3,)"),
        (DataError("problem.npz: y holds NaN at row 3"), 3, "y holds NaN at row 3"),
        (FileNotFoundError(2, "No such file or directory", "problem.npz"), 3, "problem.npz: No such file"),
        (ComputationError(RESULTS.nonfinite), 1, "no longer finite"),
        (KeyboardInterrupt(), 130, "interrupted."),
    ],
)
def test_what_goes_wrong_on_the_way_has_its_code_and_one_line(capsys, template, rooms, error, code, words):
    def run(spec, **_):
        raise error

    rooms.runs.run = run
    assert main(["run", str(template), "--out", str(template.parent / "out")]) == code
    assert words in told(capsys)


def test_a_mistake_of_ours_is_not_dressed_up(template, rooms):
    def run(spec, **_):
        raise RuntimeError("a bug")

    rooms.runs.run = run
    with pytest.raises(RuntimeError, match="a bug"):
        main(["run", str(template), "--out", str(template.parent / "out")])


def test_a_process_that_ran_out_of_memory_is_one_line(capsys, tmp_path, rooms):
    def reproduce(*_, **__):
        raise MemoryError("An experiment's process was ended from outside.")

    rooms.experiments.reproduce = reproduce
    assert main(["reproduce", "--out", str(tmp_path)]) == 1
    assert "ended from outside" in told(capsys)


def test_showing_what_is_no_record_is_a_bad_file(capsys, tmp_path, rooms):
    assert main(["show", str(tmp_path)]) == 3
    assert "No such file or directory" in told(capsys)
    (tmp_path / "summary.json").write_text("{")
    assert main(["show", str(tmp_path)]) == 3
    assert "not the record of a run" in told(capsys)


# --- reproduce -----------------------------------------------------------------------------------


def test_reproduce_prints_claims_and_fails_on_a_surprise_only(capsys, tmp_path, rooms):
    assert main(["reproduce", "figure-1", "--out", str(tmp_path), "--quick"]) == 0
    assert rooms.calls == [("reproduce", ("figure-1",), True, False)]
    assert capsys.readouterr().out == f"{claims_table([CLAIM])}\nin {tmp_path}: report.html, claims.json\n"
    rooms.experiments.reproduce = lambda *_, **__: [CLAIM] * 39 + [CLAIM | {"outcome": "fails", "name": "another"}]
    assert main(["reproduce", "--out", str(tmp_path)]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].split() == ["figure-1", "40", "39", "0", "1"]
    assert [row.split()[0] for row in rows if "The first plateau lies at one." in row] == ["fails"]
    for outcome, expected, code in (("fails", "fails", 0), ("fails", "holds", 1), ("holds", "fails", 1)):
        rooms.experiments.reproduce = lambda *_, o=outcome, e=expected, **__: [CLAIM | {"outcome": o, "expected": e}]
        assert main(["reproduce", "--out", str(tmp_path), "--json"]) == code
        out, err = capsys.readouterr()
        document = json.loads(out)
        assert (document["schema"], document["quick"]) == ("saddlescope.claims/1", False)
        assert document["claims"][0]["outcome"] == outcome
        assert ("figure-1: first plateau" in err) == (code == 1)


def test_reproduce_names_the_nearest_experiment(capsys, tmp_path, rooms):
    assert main(["reproduce", "figure1", "--out", str(tmp_path)]) == 2
    assert "'figure1'; the nearest is 'figure-1'" in told(capsys)
    assert rooms.calls == []


def test_a_command_that_does_not_exist_is_answered_with_the_nearest(rooms, capsys):
    assert main(["predct", "my.toml"]) == 2
    assert told(capsys).endswith("(the nearest is 'predict').\n")
    assert rooms.calls == []


# --- tables, progress, pipes ---------------------------------------------------------------------


def test_the_table_is_aligned_and_says_what_is_unknown():
    lines = stages_table(SUMMARY).splitlines()
    assert lines.pop(-2).startswith("censored: no t_end")
    assert lines.pop(-2) == LEGEND.format(error=ERRORS["solver"])
    assert [line.split() for line in lines] == [
        ["stage", "height", "t_start", "t_end", "+-", "width", "kind", "index", "escape"],
        ["1", "1", "0", "3.70612", "2.3e-09", "0", "origin", "98", "exponential"],
        ["2", "0.5", "4.2", "censored", "-", "1,2", "rank", "-", "-"],
        ["end", "0", "2", "rank", "0"],
        ["2", "stages;", "cause:", "data;", "ended:", "converged,", "loss", "2.5e-17"],
    ]
    for column in ("height", "t_end", "width", "kind"):
        start = lines[0].index(column)
        assert all(line[start - 1] == " " for line in lines[1:4])


def test_a_run_without_stages_has_a_table_too():
    empty = {"stages": [], "end": {"height": None}, "ended": "time", "final_loss": None, "cause": "none"}
    assert stages_table(empty).splitlines()[-1] == "0 stages; ended: time, loss -"


def test_a_run_without_stages_says_what_theory_has_against_it():
    outside = {"prediction": {"outside": ["units: of order 1", "directions: needs learning_rate x rate below 1"]}}
    empty = {"stages": [], "end": {"height": None}, "ended": "steps", "final_loss": 0.4, "cause": "none"} | outside
    lines = stages_table(empty).splitlines()
    assert [line for line in lines if "no theory" in line] == [
        "no theory: directions: needs learning_rate x rate below 1"
    ]
    assert "no theory" not in stages_table(SUMMARY | outside)


def test_progress_in_a_file_is_a_line_now_and_then(capsys):
    with Progress() as progress:
        for step in range(1000):
            progress(step / 1000, f"t = {step}")
    assert capsys.readouterr() == ("", "  0 %  t = 0\n")


def test_progress_on_a_terminal_is_a_bar_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress() as progress:
        progress(None, "compiling [not markup]")
        progress(0.5, "integrating")
    out, err = capsys.readouterr()
    assert out == ""
    assert "integrating" in err


def test_a_reader_that_leaves_is_no_error(tmp_path):
    # `saddlescope init linear | true`: the pipe is closed before anything is written
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = shell("init", "linear", stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_under_stdout_is_told(tmp_path):
    with (tmp_path / "spec.toml").open("w") as full:
        # the shell sets the limit: a fork of a process that has started JAX is not safe
        limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-m", "saddlescope", "init", "linear"]
        done = subprocess.run(limited, text=True, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("saddlescope: ")
    assert done.stderr.count("\n") == 1
