"""From a spec to a record, to files and back, with interruptions."""

import csv
import json
import math
import os
import sys

import jax
import numpy as np
import pytest
import xarray as xr

import saddlescope
from saddlescope import runs

LINEAR = {
    "network": {"architecture": "fully_connected", "activation": "linear", "units": 6},
    "task": {"kind": "linear_teacher", "singular_values": [1.4, 0.7], "input_eigenvalues": [2.0, 0.5]},
    "init": {"kind": "gaussian", "scale": 1e-3, "seed": 3},
}
DEEP = LINEAR | {
    "network": {"architecture": "fully_connected", "activation": "linear", "units": [4, 3]},
    "init": {"kind": "gaussian", "scale": 0.1, "seed": 3},
}

# summary.json as it is promised; "stages", "escape", "predicted" are lists and tables of their own
SUMMARY = [
    "schema",
    "ended",
    "final_loss",
    "cost",
    "stages",
    "end",
    "predicted_only",
    "prediction",
    "cause",
    "cause_basis",
    "provenance",
]
COST = ["gradient_evaluations", "hessian_evaluations", "steps", "seconds"]
STAGE = [
    "height",
    "height_source",
    "t_start",
    "t_end",
    "t_end_error",
    "censored",
    "persistence",
    "effective_width",
    "kind",
    "index",
    "nullity",
    "escape",
    "speed",
    "predicted",
    "certificate",
]
END = ["height", "effective_width", "kind", "index", "nullity", "certificate", "oscillation"]
ENDED = [
    "converged",
    "time",
    "steps",
    "settled",
    "on_plateau",
    "diverged",
    "nonfinite",
    "max_steps",
    "sliding_failed",
    "interrupted",
]


def spec(base=LINEAR, **flow):
    return base | {"flow": flow}


@pytest.fixture(scope="module")
def record():
    return saddlescope.run(LINEAR)


@pytest.fixture(scope="module")
def deep():
    return saddlescope.run(spec(DEEP, until=60.0, estimate_error=False))


@pytest.fixture(scope="module")
def short():
    return saddlescope.run(spec(until=1.0))


@pytest.fixture(scope="module")
def descent():
    return saddlescope.run(spec(method="gradient_descent", learning_rate=0.05, steps=40))


@pytest.fixture(params=["record", "deep", "short", "descent"])
def any_record(request):
    return request.getfixturevalue(request.param)


def plain(value):
    """Whether a value is made of what JSON knows, without NaN."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(plain(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (str, int, bool)


# ----------------------------------------------------------------------------------------------------------- summary


def test_the_summary_has_every_key_and_nothing_that_is_not_json(any_record):
    found = runs.summarize(any_record)
    assert list(found) == SUMMARY
    assert set(COST) <= set(found["cost"])
    several = ["kinds"] * ("layer" in any_record.dims)  # a key of networks with several hidden layers
    assert list(found["end"]) == END + several
    assert found["schema"] == "saddlescope.run/1"
    assert found["ended"] in ENDED
    assert found["cause"] in ("data", "initialisation", "both", "none")
    assert found["cause_basis"] in ("facts", "intervention")
    for unseen in found[
        "predicted_only"
    ]:  # theory is right about these runs: what it saw and they did not came after their end
        assert unseen["why"] == "the run stopped before"
    for stage in found["stages"]:
        assert set(stage) == {*STAGE, *several}
        assert set(stage["escape"]) == {"law", "rate", "degree"}
        assert stage["escape"]["law"] in ("exponential", "algebraic", "none", "unknown")
        assert set(stage["predicted"]) == {"height", "t_end", "t_end_error", "status"}
        assert stage["height_source"] in ("fixed_point", "curve")
        assert stage["censored"] == (stage["t_end"] is None)
    assert plain(found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert not plain({"a": [1.0, float("nan")]})


def test_the_summary_says_what_the_arrays_say(record):
    found = runs.summarize(record)
    assert found["ended"] == record.attrs["ended"] == "converged"
    assert found["final_loss"] == float(record["loss"][-1])
    for key in ("height", "t_start", "t_end", "t_end_error", "speed", "persistence"):
        np.testing.assert_array_equal(record[f"stage_{key}"].values, [s[key] for s in found["stages"]])
    assert [s["effective_width"] for s in found["stages"]] == record["stage_effective_width"].values.tolist() == [0, 1]
    assert found["cost"]["steps"] > 0
    assert found["cost"]["gradient_evaluations"] > found["cost"]["steps"]
    assert found["cost"]["hessian_evaluations"] == 0  # a residual of nothing is a minimum without asking
    assert found["cost"]["seconds"] > 0


def test_deep_networks_have_a_width_for_each_layer(deep):
    found = runs.summarize(deep)
    assert [s["effective_width"] for s in found["stages"]] == [[0, 0], [1, 1]]
    assert found["end"]["effective_width"] == [2, 2]
    assert [s["kinds"] for s in found["stages"]] == [["origin"] * 2, ["rank"] * 2]
    assert found["end"]["kinds"] == ["rank", "rank"]
    assert deep["effective_width"].dims == ("snapshot", "layer")
    assert deep["stage_effective_width"].dims == ("stage", "layer")


def test_what_is_unknown_is_null_and_not_missing(short):
    stage = runs.summarize(short)["stages"][0]
    assert stage["t_end"] is None
    assert stage["t_end_error"] is None
    assert stage["censored"]
    assert np.isnan(short["stage_t_end"].values[0])


def test_a_descents_times_are_as_exact_as_its_steps(descent):
    found = runs.summarize(descent)
    assert found["ended"] == "steps"
    assert found["cost"]["steps"] == 40
    assert found["provenance"]["rtol"] is None


def test_provenance_tells_how_a_result_was_made(record):
    found = runs.summarize(record)["provenance"]
    assert found["version"] == saddlescope.__version__
    assert found["seed"] == 3
    assert found["dtype"] == "float64"
    assert found["rtol"] == 1e-8
    assert found["atol"].startswith("rtol x")
    assert found["psi"] == "inputs"
    assert found["libraries"]["jax"] == jax.__version__
    assert found["device"].startswith("cpu")
    assert found["time"].endswith("+00:00")
    assert found["plateau_constants"]["persistence"] == 0.1
    assert found["tau"] == 1e-2
    assert runs.spec_of(record)["init"]["seed"] == 3


def test_the_spec_in_a_record_makes_the_same_record_again(record):
    again = saddlescope.run(runs.spec_of(record))
    for name in ("t", "loss", "speed", "u", "v"):
        np.testing.assert_array_equal(again[name].values, record[name].values)


# ------------------------------------------------------------------------------------------------------------ record


def test_dimensions_have_names_and_numbers_have_units(record):
    assert record["u"].dims == ("snapshot", "units", "inputs")
    assert record["v"].dims == ("snapshot", "units", "outputs")
    assert record["t"].dims == record["loss"].dims == record["speed"].dims == ("time",)
    assert record["t"].attrs["units"] == record["snapshot_t"].attrs["units"] == "learning rate x steps"
    for name in (
        "loss",
        "speed",
        "snapshot_loss",
        "effective_width",
        "u",
        "v",
        "stage_height",
        "stage_t_end",
        "stage_speed",
    ):
        assert record[name].attrs["units"]
    assert json.loads(record.attrs["weights"]) == ["u", "v"]
    assert record.attrs["title"] == "linear, fully connected, 6 units"
    for name in ("t", "loss", "speed", "u", "v"):
        assert record[name].dtype == np.float64


def test_snapshots_lie_on_the_curve_first_and_last_among_them(any_record):
    index = any_record["snapshot_index"].values
    assert index[0] == 0
    assert index[-1] == any_record.sizes["time"] - 1
    assert np.all(np.diff(index) > 0)
    for name in ("t", "loss"):
        np.testing.assert_array_equal(any_record[f"snapshot_{name}"].values, any_record[name].values[index])


def test_deep_weights_have_the_names_of_an_init_file(deep):
    assert json.loads(deep.attrs["weights"]) == ["W1", "W2", "W3"]
    assert deep["W1"].dims == ("snapshot", "hidden_1", "inputs")
    assert deep["W2"].shape[1:] == (3, 4)


# ------------------------------------------------------------------------------------------------------------- files


def test_saving_and_loading_loses_nothing(any_record, tmp_path):
    runs.save(any_record, tmp_path / "deeper" / "out put é")
    for path in (tmp_path / "deeper" / "out put é", tmp_path / "deeper" / "out put é" / "record.nc"):
        loaded = saddlescope.load(path)
        xr.testing.assert_identical(loaded, any_record)
        for name in any_record.variables:
            if any_record[name].dtype.kind in "fi":
                assert loaded[name].dtype == any_record[name].dtype, name
        assert runs.summarize(loaded) == runs.summarize(any_record)
    changed = any_record.copy(deep=True)
    changed["loss"].values[-1] *= 1 + 1e-15
    if changed["loss"].values[-1] != any_record["loss"].values[-1]:
        assert not changed.identical(any_record)


def test_the_files_are_what_they_are_called(record, tmp_path):
    runs.save(record, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curve.csv", "record.nc", "summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == runs.summarize(record)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "record.nc").stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_curve_reads_back_to_the_same_floats(any_record, tmp_path):
    runs.save(any_record, tmp_path)
    with (tmp_path / "curve.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["t", "loss", "speed"]
    found = np.array([[float(cell) for cell in row] for row in rows])
    for k, name in enumerate(header):
        np.testing.assert_array_equal(found[:, k], any_record[name].values)
    assert found[0, 0] == 0.0
    assert found[-1, 1] == runs.summarize(any_record)["final_loss"]


@pytest.mark.parametrize("broken", ["record.nc", "summary.json", "curve.csv"])
def test_a_failure_while_writing_leaves_the_old_files_whole(broken, record, short, tmp_path, monkeypatch):
    runs.save(record, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    files = sys.modules["saddlescope.runs.files"]
    if broken == "record.nc":
        write = xr.Dataset.to_netcdf

        def half(self, path, **options):
            write(self, path, **options)
            with open(path, "r+b") as file:
                file.truncate(100)
            full()

        monkeypatch.setattr(xr.Dataset, "to_netcdf", half)
    else:
        monkeypatch.setattr(files, {"summary.json": "_indented", "curve.csv": "_curve"}[broken], full)
    with pytest.raises(OSError, match="No space"):
        runs.save(short, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    monkeypatch.undo()
    runs.save(short, tmp_path)
    xr.testing.assert_identical(saddlescope.load(tmp_path), short)


def test_a_place_that_cannot_be_written_is_an_os_error(record, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OSError, match="file"):
        runs.save(record, tmp_path / "file" / "out")
    with pytest.raises(OSError, match="file"):
        runs.save(record, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "here"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(PermissionError):
        runs.save(record, closed)


def test_what_is_not_a_record_is_said(record, tmp_path):
    with pytest.raises(FileNotFoundError, match="no record"):
        saddlescope.load(tmp_path)
    (tmp_path / "record.nc").write_bytes(b"not a netCDF file")
    with pytest.raises(OSError, match=r"record\.nc|signature"):
        saddlescope.load(tmp_path)
    other = record.assign_attrs(schema="saddlescope.run/2")
    other.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"saddlescope\.run/1"):
        saddlescope.load(tmp_path / "other.nc")


# ------------------------------------------------------------------------------------------------------- interruptions

# so many steps that they come in several segments
LONG = {"rtol": 1e-12, "order": 5, "estimate_error": False}


class Interrupt:
    """A progress display under which Ctrl-C is pressed at the k-th line."""

    def __init__(self, k):
        self.left = k

    def __call__(self, done, text):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole():
    record = saddlescope.run(spec(**LONG))
    assert runs.summarize(record)["cost"]["steps"] > 4 * 256
    return record


def same_result(a, b):
    """The same record, but for the clock and for work that a resumed run does not do twice."""
    names = [n for n in b.variables if not str(n).startswith("checkpoint_")]
    assert names == [n for n in a.variables if not str(n).startswith("checkpoint_")]
    for name in names:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)
    told = []
    for record in (a, b):
        summary = runs.summarize(record)
        del summary["provenance"], summary["cost"]["seconds"], summary["cost"]["hessian_evaluations"]
        told.append(summary)
    assert told[0] == told[1]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_an_interrupted_run_goes_on_through_its_files_to_the_same_record(k, whole, tmp_path):
    part = saddlescope.run(spec(**LONG), progress=Interrupt(k))
    assert runs.summarize(part)["ended"] == "interrupted"
    assert list(runs.summarize(part)) == SUMMARY
    assert 1 < part.sizes["time"] < whole.sizes["time"]
    np.testing.assert_array_equal(part["loss"].values, whole["loss"].values[: part.sizes["time"]])
    runs.save(part, tmp_path)
    rest = saddlescope.run(spec(**LONG), resume=tmp_path)
    same_result(rest, whole)
    assert not [name for name in rest.variables if str(name).startswith("checkpoint_")]


def test_used_up_steps_go_on_with_more_of_them(whole, tmp_path):
    part = saddlescope.run(spec(max_steps=500, **LONG))
    assert runs.summarize(part)["ended"] in ("max_steps", "on_plateau")
    runs.save(part, tmp_path)
    same_result(saddlescope.run(spec(**LONG), resume=tmp_path), whole)


def test_only_the_same_run_is_gone_on_with(record, tmp_path):
    part = saddlescope.run(spec(**LONG), progress=Interrupt(1))
    runs.save(part, tmp_path)
    other = spec(**LONG) | {"init": {"kind": "gaussian", "scale": 2e-3, "seed": 3}}
    with pytest.raises(ValueError, match=r"\[init\] scale"):
        saddlescope.run(other, resume=tmp_path)
    runs.save(record, tmp_path / "done")
    with pytest.raises(ValueError, match="converged"):
        saddlescope.run(LINEAR, resume=tmp_path / "done")
    with pytest.raises(FileNotFoundError):
        saddlescope.run(LINEAR, resume=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="gradient flow"):
        saddlescope.run(spec(method="gradient_descent", learning_rate=0.05, steps=40), resume=tmp_path)


def test_an_interruption_while_errors_are_estimated_keeps_the_run(tmp_path, record):
    texts = []

    def interrupt(done, text):
        texts.append(text)
        if "companion" in text:
            raise KeyboardInterrupt

    part = saddlescope.run(LINEAR, progress=interrupt)
    assert runs.summarize(part)["ended"] == "interrupted"
    np.testing.assert_array_equal(part["loss"].values, record["loss"].values)
    runs.save(part, tmp_path)
    same_result(saddlescope.run(LINEAR, resume=tmp_path), record)


def test_an_interrupted_descent_keeps_what_it_has():
    part = saddlescope.run(spec(method="gradient_descent", learning_rate=0.001, steps=5000), progress=Interrupt(3))
    assert runs.summarize(part)["ended"] == "interrupted"
    assert 64 < part.sizes["time"] < 5001


def test_a_run_that_goes_wrong_is_a_record_too(tmp_path):
    record = saddlescope.run(spec(method="gradient_descent", learning_rate=50.0, steps=400))
    found = runs.summarize(record)
    assert found["ended"] == "diverged"
    assert plain(found)
    assert np.all(np.isfinite(record["loss"].values))
    runs.save(record, tmp_path)
    xr.testing.assert_identical(saddlescope.load(tmp_path), record)


@pytest.mark.parametrize("scale", [0.0, 1e-200])
def test_weights_that_cannot_move_are_refused_at_once(scale):
    with pytest.raises(ValueError, match=r"scale|zero|small") as error:
        saddlescope.run(LINEAR | {"init": {"kind": "gaussian", "scale": scale}})
    assert "\n" not in str(error.value)


def test_the_users_setting_of_jax_stays_and_changes_nothing(record):
    with jax.enable_x64(True):
        again = saddlescope.run(LINEAR)
        assert jax.config.jax_enable_x64
    assert not jax.config.jax_enable_x64
    for name in ("t", "loss", "speed", "u", "v"):
        np.testing.assert_array_equal(again[name].values, record[name].values)
