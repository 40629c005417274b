"""A recording on disk and in memory: what goes in comes out, what is bad is told in one line, and nothing is allocated on a file's word."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from saddlescope.watch import Recording
from saddlescope.watch.archive import read_arrays, write_whole


def recording(rng, k=5, n=7):
    weights = {"0.weight": (4, 3), "0.bias": (4,), "2.weight": (2, 4)}
    return Recording.of(
        loss_step=np.arange(n) * 10,
        loss=rng.random(n),
        step=np.arange(k) * 20,
        variation=rng.random(k),
        weights=weights,
        weight_norm=rng.random((k, 3)),
        layers=("0",),
        measures={"rank": rng.random((k, 1))},
        facts={"optimiser": "SGD", "momentum": 0.9, "gaps": ["nothing between 3 and 4"], "depth": np.int64(2)},
    )


def test_a_recording_comes_back_as_it_was_saved(rng, tmp_path):
    one = recording(rng)
    one.save(tmp_path / "a.npz")
    two = Recording.load(tmp_path / "a.npz")
    assert os.listdir(tmp_path) == ["a.npz"]
    for name in ("loss_step", "loss", "step", "variation", "output", "frozen", "weight_norm", "weight_largest"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert (two.weight_names, two.weight_shapes, two.facts) == (one.weight_names, one.weight_shapes, one.facts)
    assert set(two.measures) == set(one.measures)
    np.testing.assert_array_equal(one.measures["rank"], two.measures["rank"])


def test_until_is_what_was_known_then(rng):
    one = recording(rng)
    cut = one.until(40)
    assert cut.step.tolist() == [0, 20, 40]
    assert cut.loss_step.tolist() == [0, 10, 20, 30, 40]
    assert cut.weight_norm.shape == (3, 3)
    assert cut.measures["rank"].shape == (3, 1)
    cut.facts["gaps"].append("x")
    assert one.facts["gaps"] == ["nothing between 3 and 4"]
    assert one.until(-1).step.size == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"step": [0, 20, 20, 30, 40]}, "steps that increase"),
        ({"variation": np.zeros(4)}, r"variation of shape \[5\]: found \[4\]"),
        ({"measures": {"rank": np.zeros((5, 2))}}, r"measures\['rank'\] of shape"),
        ({"layer_kind": ()}, "a kind and a sentence"),
    ],
)
def test_a_recording_that_does_not_hold_together_is_refused(rng, change, complaint):
    one = recording(rng)
    with pytest.raises(ValueError, match=complaint) as error:
        Recording(**{**vars(one), **change})
    assert "\n" not in str(error.value)


def damaged(path):
    """Files that are no recordings, by what is wrong with them."""
    good = path.read_bytes()
    object_array = io.BytesIO()
    np.savez(object_array, head=np.array([{}], dtype=object))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("loss.npy", "w") as member:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**50,)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(b"\0" * 1000)
    other, text = io.BytesIO(), io.BytesIO()
    np.savez(other, x=np.zeros(3))
    np.savez(text, head=np.frombuffer(json.dumps({"schema": "saddlescope.recording/9"}).encode(), np.uint8))
    return {
        "cut short": good[: len(good) // 2],
        "flipped": good[:200] + bytes([good[200] ^ 0xFF]) + good[201:],
        "empty": b"",
        "objects": object_array.getvalue(),
        "declares 2^50 numbers": bomb.getvalue(),
        "another archive": other.getvalue(),
        "another format": text.getvalue(),
    }


@pytest.mark.parametrize(
    "fault",
    ["cut short", "flipped", "empty", "objects", "declares 2^50 numbers", "another archive", "another format"],
)
def test_a_bad_file_is_told_in_one_line(rng, tmp_path, fault):
    recording(rng).save(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(damaged(tmp_path / "a.npz")[fault])
    with pytest.raises(ValueError, match=r"b\.npz") as error:
        Recording.load(tmp_path / "b.npz")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "none.npz")


def test_an_archive_that_unpacks_to_more_than_is_sensible_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "zeros.npz", x=np.zeros(10**6))
    assert read_arrays(tmp_path / "zeros.npz")["x"].size == 10**6
    with pytest.raises(ValueError, match="declares"):
        read_arrays(tmp_path / "zeros.npz", most_bytes=10**6)


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fails(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, fails)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_the_page_names_every_argument_and_measure():
    import inspect
    import re
    from pathlib import Path

    from saddlescope.watch import Watcher
    from saddlescope.watch.measures import NAMES

    page = (Path(__file__).parents[1] / "docs" / "watch.md").read_text(encoding="utf-8")
    rows = {row.split(" | ")[0].strip("| ") for row in page.splitlines() if row.startswith("| `")}
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    of_heads = {"key_query_rank", "value_output_rank"}
    assert (set(NAMES) - {"units"}) | of_heads <= named
    arguments = set(inspect.signature(Watcher).parameters) - {"model", "probe"}
    only_in_jax = {"params", "learning_rate", "momentum", "batches_per_epoch"}
    assert arguments - only_in_jax <= named
    assert named <= set(NAMES) | of_heads | arguments
    values = {name: inspect.signature(Watcher).parameters[name].default for name in ("budget", "every")}
    assert all(f"`{name}={value}`" in page for name, value in values.items())
