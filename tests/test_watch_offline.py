"""Recordings from what a training left: checkpoints of several kinds, and tables; what is bad is skipped with its reason or told in one line."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from saddlescope.watch import Recording, read
from saddlescope.watch.files import read_safetensors
from saddlescope.watch.names import natural
from saddlescope.watch.shapes import chains, layers

torch.set_num_threads(1)


def states(steps, *, rank=1):
    """Weights of a network of two layers along a training that never was; the product of its two matrices has rank `rank`."""
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(6, rank)) @ rng.normal(size=(rank, 4)), rng.normal(size=(3, 6))
    return {s: {"0.weight": (s + 1) * u, "0.bias": np.zeros(6), "2.weight": v, "2.bias": np.ones(3)} for s in steps}


def as_float32(weights):
    return {n: a.astype(np.float32) for n, a in weights.items()}


WRITERS = {
    "safetensors": lambda path, w, step: safetensors.numpy.save_file(as_float32(w), path),
    "npz": lambda path, w, step: np.savez(path, **w),
    "pt": lambda path, w, step: torch.save({n: torch.tensor(a) for n, a in w.items()}, path),
    "ckpt": lambda path, w, step: torch.save(
        {
            "state_dict": {f"module.{n}": torch.tensor(a) for n, a in w.items()},
            "global_step": step,
            "optimizer_states": [{"param_groups": [{"lr": 0.25}]}],
        },
        path,
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_of_checkpoints_in_natural_order(tmp_path, kind):
    steps = [0, 2, 9, 10, 100]
    for step, weights in states(steps).items():
        WRITERS[kind](tmp_path / f"ckpt_{step}.{kind}", weights, step)
    (tmp_path / "optimizer.pt").write_bytes(b"not looked at")
    (tmp_path / "notes.txt").write_text("not looked at")
    seen = read(tmp_path)
    assert seen.step.tolist() == steps
    assert sorted(seen.weight_names) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    w, at = states(steps), seen.weight_names.index("0.weight")
    wanted = [[np.linalg.norm(w[s][name]) for name in seen.weight_names] for s in steps]
    np.testing.assert_allclose(seen.weight_norm, wanted, rtol=1e-6)
    largest = [np.linalg.svd(w[s]["0.weight"], compute_uv=False)[0] for s in steps]
    np.testing.assert_allclose(seen.weight_largest[:, at], largest, rtol=1e-6)
    assert seen.frozen.tolist() == [name != "0.weight" for name in seen.weight_names]
    assert seen.layer_names == ("0",)
    assert seen.layer_kind == ("Linear-Linear",)
    assert "shapes alone" in seen.layer_exact[0]
    assert seen.measures["rank"][:, 0].tolist() == [1.0] * 5
    assert np.all(np.isnan(seen.measures["rays"]))
    assert np.all(np.isnan(seen.variation))
    rates = [0.25] * 5 if kind == "ckpt" else [np.nan] * 5
    np.testing.assert_array_equal(seen.learning_rate, rates)
    assert seen.facts["skipped"] == []
    assert "widest gap" in seen.facts["gaps"][0]


def test_folders_of_a_trainer_with_its_losses(tmp_path):
    for step, weights in states([500, 1000, 1500]).items():
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        safetensors.numpy.save_file(as_float32(weights), folder / "model.safetensors")
        (folder / "optimizer.pt").write_bytes(b"x")
        log = [{"step": s, "loss": 1 / s} for s in range(100, step + 1, 100)] + [{"step": step, "eval_loss": 3}]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    seen = read(tmp_path)
    assert seen.step.tolist() == [500, 1000, 1500]
    assert seen.loss_step.tolist() == list(range(100, 1501, 100))
    assert seen.facts["skipped"] == []


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path):
    for step, weights in states([0, 1, 2, 3]).items():
        safetensors.numpy.save_file(as_float32(weights), tmp_path / f"ckpt_{step}.safetensors")
    whole = (tmp_path / "ckpt_3.safetensors").read_bytes()
    (tmp_path / "ckpt_4.safetensors").write_bytes(whole[: len(whole) - 20])
    (tmp_path / "ckpt_5.safetensors").write_bytes(b"")
    safetensors.numpy.save_file(
        as_float32(states([6], rank=2)[6]) | {"2.weight": np.zeros((9, 6))}, tmp_path / "ckpt_6.safetensors"
    )
    np.savez(tmp_path / "ckpt_2.npz", **states([2])[2])
    np.savez(tmp_path / "ckpt_7.npz", steps=np.arange(3))
    seen = read(tmp_path)
    assert seen.step.tolist() == [0, 1, 2, 3]
    skipped = {text.split(":")[0]: text for text in seen.facts["skipped"]}
    assert "bytes" in skipped["ckpt_4.safetensors"]
    assert "bytes" in skipped["ckpt_5.safetensors"]
    assert "other shapes" in skipped["ckpt_6.safetensors"]
    assert "(9, 6)" in skipped["ckpt_6.safetensors"]
    assert "step 2 was read from ckpt_2.npz already" in skipped["ckpt_2.safetensors"]
    assert "no weights" in skipped["ckpt_7.npz"]
    assert len(skipped) == 5


def test_a_single_checkpoint_and_a_recording(tmp_path):
    WRITERS["pt"](tmp_path / "model_7.pt", states([7])[7], 7)
    seen = read(tmp_path / "model_7.pt")
    assert seen.step.tolist() == [7]
    (tmp_path / "run").mkdir()
    seen.save(tmp_path / "run" / "recording.npz")
    assert read(tmp_path / "run").step.tolist() == [7]
    assert read(tmp_path / "run" / "recording.npz").weight_names == seen.weight_names


def test_a_checkpoint_of_a_model_has_its_tied_weights_once_and_no_buffers(tmp_path):
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5))
    model[1].weight = model[0].weight
    torch.save(model.state_dict(), tmp_path / "step_3.pt")
    seen = read(tmp_path)
    assert seen.weight_names == ("0.weight", "2.weight", "2.bias")


# ---------------------------------------------------------------------------------------------------- code and bombs


class Evil:
    def __reduce__(self):
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("name", ["evil.pt", "evil.pth", "evil.bin", "evil.ckpt"])
def test_code_in_a_checkpoint_is_not_run_unless_asked_for(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(2, 2), "x": Evil()}, name)
    with pytest.raises(ValueError, match="trust_pickle=True") as error:
        read(name)
    assert "\n" not in str(error.value)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"raw\.pt"):
        read("raw.pt")
    np.savez("evil.npz", w=np.array([Evil()], dtype=object))
    with pytest.raises(ValueError, match=r"never unpickled|damaged"):
        read("evil.npz")
    assert not (tmp_path / "owned").exists()
    assert read(name, trust_pickle=True).weight_names == ("w",)
    assert (tmp_path / "owned").exists()  # which shows that this file does what the test forbids


def bombs(path):
    """Files that declare more than they hold."""
    header = json.dumps({"w": {"dtype": "F64", "shape": [2**20, 2**20], "data_offsets": [0, 8]}}).encode()
    small = len(header).to_bytes(8, "little") + header + b"\0" * 8
    wrapped = io.BytesIO()
    with zipfile.ZipFile(wrapped, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("archive/data/0", b"\0" * 2**25)
    negative = json.dumps({"w": {"dtype": "F64", "shape": [-1, -1], "data_offsets": [0, 8]}}).encode()
    return {
        "shape.safetensors": small,
        "header.safetensors": (2**60).to_bytes(8, "little") + b"{}",
        "negative.safetensors": len(negative).to_bytes(8, "little") + negative + b"\0" * 8,
        "type.safetensors": small.replace(b"F64", b"F99"),
        "json.safetensors": (4).to_bytes(8, "little") + b"nope",
        "zip.pt": wrapped.getvalue(),
    }


@pytest.mark.parametrize("name", list(bombs(None)))
def test_what_declares_more_than_it_holds_is_refused_before_it_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(bombs(None)[name])
    with pytest.raises(ValueError, match=name) as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [({}, "holds no recording"), ({"a.pt": b"x"}, "none can be read"), ({"a.csv": b"a,b\n1,2\n"}, "column step")],
)
def test_a_folder_with_nothing_to_read_is_told_in_one_line(tmp_path, content, complaint):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=complaint) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(ValueError, match="a recording or checkpoint"):
        read(tmp_path / "a.docx")


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_safetensors_are_read_as_their_library_writes_them(tmp_path, dtype):
    torch.manual_seed(0)
    tensors = {"a": torch.randn(3, 4).to(dtype), "b": torch.ones((), dtype=dtype), "c": torch.zeros(0, 2, dtype=dtype)}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    found = read_safetensors(tmp_path / "a.safetensors")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(np.asarray(found[name], np.float64), tensor.double().numpy())


def test_rank_of_bfloat16_checkpoints_has_a_noise_floor(tmp_path):
    w = {n: torch.tensor(a).bfloat16() for n, a in states([0])[0].items()}
    safetensors.torch.save_file(w, tmp_path / "step_0.safetensors")
    assert read(tmp_path).measures["rank"][0, 0] == 1.0


# ------------------------------------------------------------------------------------------------------------- tables


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_losses_and_more(tmp_path):
    text = "Epoch,Step,train/loss,q,LR,norm of fc1.weight,grad_norm/fc1.weight,comment\n"
    text = text.replace("train/loss", "train_loss")
    text += "0,0,2.5,1e-3,0.1,1.5,0.2,start\n0,1,2.4,,,,,\n0,2,,2e-3,0.05,1.6,,\n0,2,2.25,,,,,\n"
    seen = read(write(tmp_path / "log.csv", text))
    assert seen.loss_step.tolist() == [0, 1, 2]
    assert seen.loss.tolist() == [2.5, 2.4, 2.25]
    assert seen.step.tolist() == [0, 2]
    assert seen.variation.tolist() == [1e-3, 2e-3]
    assert seen.learning_rate.tolist() == [0.1, 0.05]
    assert seen.weight_names == ("fc1.weight",)
    assert seen.weight_norm[:, 0].tolist() == [1.5, 1.6]
    np.testing.assert_array_equal(seen.gradient_norm[:, 0], [0.2, np.nan])
    assert np.all(np.isnan(seen.probe_loss))


def test_a_table_of_a_training_that_was_taken_up_again(tmp_path):
    rows = "".join(f"{s},1.0\n" for s in range(50)) + "".join(f"{s},2.0\n" for s in range(40, 60))
    seen = read(write(tmp_path / "log.csv", "step,loss\n" + rows))
    assert seen.loss_step.tolist() == list(range(60))
    assert seen.loss.tolist() == [1.0] * 40 + [2.0] * 20
    assert any("went back from 49 to 40" in gap for gap in seen.facts["gaps"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"a,b\n1,2\n", "column step"),
        (b"step\n1\n", "column step"),
        (b"step,loss\n", "rows of numbers"),
        (b"step,loss\nx,y\n", "rows of numbers"),
        (b"step,loss\n\xff\xfe,1\n", "UTF-8"),
        (b"step,loss\n1e999,1\nnan,1\n", "rows of numbers"),
        (("step," + ",".join(f"c{i}" for i in range(20_000))).encode(), "columns"),
    ],
)
def test_a_bad_table_is_told_in_one_line(tmp_path, content, complaint):
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(ValueError, match=complaint) as error:
        read(tmp_path / "log.csv")
    assert "\n" not in str(error.value)


def test_odd_rows_are_counted_and_left_out(tmp_path):
    seen = read(write(tmp_path / "log.csv", "step,loss\n0,1\nbroken\n,3\n1,nan\n2\n\n3,0.5\n"))
    assert seen.loss_step.tolist() == [0, 1, 3]
    assert np.isnan(seen.loss[1])
    assert seen.facts["skipped"] == ["2 rows without a step"]


def test_a_table_beside_checkpoints_gives_losses_and_the_probe(tmp_path):
    for step, weights in states([0, 10]).items():
        np.savez(tmp_path / f"ckpt_{step}.npz", **weights)
    write(tmp_path / "metrics.csv", "step,loss,variation\n0,3,1e-4\n5,2,\n10,1,1e-2\n")
    seen = read(tmp_path)
    assert seen.loss.tolist() == [3, 2, 1]
    assert seen.variation.tolist() == [1e-4, 1e-2]
    assert seen.weight_norm.shape == (2, 4)


# -------------------------------------------------------------------------------------------------- layers by their shapes

SHAPES = {
    "torch": (
        {"0.weight": (6, 4), "0.bias": (6,), "2.weight": (5, 6), "4.weight": (3, 5)},
        [("0.weight", "2.weight"), ("2.weight", "4.weight")],
    ),
    "flax": ({"a.kernel": (4, 6), "a.bias": (6,), "b.kernel": (6, 3)}, [("a.kernel", "b.kernel")]),
    "bare, inputs first": ({"w1": (4, 6), "w2": (6, 3)}, [("w1", "w2")]),
    "kernels": (
        {"c.weight": (8, 1, 3, 3), "d.weight": (4, 8, 3, 3), "e.weight": (2, 36)},
        [("c.weight", "d.weight"), ("d.weight", "e.weight")],
    ),
    "flax kernels": ({"c.kernel": (3, 3, 1, 8), "d.kernel": (72, 4)}, [("c.kernel", "d.kernel")]),
    "attention stands apart": (
        {"q_proj.weight": (4, 4), "k_proj.weight": (4, 4), "up.weight": (8, 4), "down.weight": (4, 8)},
        [("up.weight", "down.weight")],
    ),
    "nothing fits": ({"a": (6, 4), "b": (3, 7)}, []),
}


@pytest.mark.parametrize("name", SHAPES)
def test_layers_are_chained_by_their_shapes(name, rng):
    shapes, wanted = SHAPES[name]
    weights = {n: rng.normal(size=s) for n, s in shapes.items()}
    assert chains(weights) == wanted
    for one, (_first, second) in zip(layers(weights), wanted, strict=True):
        assert len(one.u) == len(one.v)
        assert np.isclose(np.linalg.norm(one.v), np.linalg.norm(weights[second]))
        assert one.exact


def test_the_sum_over_units_of_two_matrices_is_their_product(rng):
    a, b = rng.normal(size=(6, 4)), rng.normal(size=(3, 6))
    (one,) = layers({"a.weight": a, "b.weight": b})
    np.testing.assert_allclose(one.sum(), (b @ a).T, atol=1e-12)
    (turned,) = layers({"a.kernel": a.T, "b.kernel": b.T})
    np.testing.assert_allclose(turned.sum(), one.sum(), atol=1e-12)


def test_natural_order():
    names = ["ckpt_10", "ckpt_9", "ckpt", "a2b10", "a2b9"]
    assert sorted(names, key=natural) == ["a2b9", "a2b10", "ckpt", "ckpt_9", "ckpt_10"]


def test_a_recording_read_from_checkpoints_is_saved_like_any_other(tmp_path):
    np.savez(tmp_path / "ckpt_1.npz", **states([1])[1])
    seen = read(tmp_path)
    seen.save(tmp_path / "b.npz")
    assert Recording.load(tmp_path / "b.npz").facts == seen.facts


# ------------------------------------------------------------------------------------------------ tables as people have them

STEPS = range(0, 400, 10)
HEADS = {
    "semicolons, decimal commas": "step;loss\n" + "".join(f"{s};{str(1 / (1 + s)).replace('.', ',')}\n" for s in STEPS),
    "tabs": "step\tloss\n" + "".join(f"{s}\t{1 / (1 + s)}\n" for s in STEPS),
    "blank lines first": "\n \n\nstep,loss\n" + "".join(f"{s},{1 / (1 + s)}\n" for s in STEPS),
    "TensorBoard": "Wall time,Step,Value\n" + "".join(f"1700000000.5,{s},{1 / (1 + s)}\n" for s in STEPS),
    "wandb": '"Step","run-1 - train/loss","run-1 - train/loss__MIN"\n'
    + "".join(f'"{s}","{1 / (1 + s)}","0"\n' for s in STEPS),
    "thousands": "step,loss\n" + "".join(f'"{s:,}",{1 / (1 + s)}\n' for s in STEPS),
    "descending": "step,loss\n" + "".join(f"{s},{1 / (1 + s)}\n" for s in reversed(STEPS)),
    "in no order": "step,loss\n"
    + "".join(f"{10 * s},{1 / (1 + 10 * s)}\n" for s in np.random.default_rng(0).permutation(len(STEPS))),
}


@pytest.mark.parametrize("name", HEADS)
def test_no_row_of_a_table_is_lost_however_it_is_written(name, tmp_path):
    write(tmp_path / "t.csv", HEADS[name])
    seen = read(tmp_path / "t.csv")
    assert seen.loss_step.tolist() == list(STEPS)
    np.testing.assert_allclose(seen.loss, [1 / (1 + s) for s in STEPS], rtol=1e-12)
    assert any("no order" in gap for gap in seen.facts["gaps"]) == (name in ("descending", "in no order"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("step,loss\n" + "".join(f"{s / 1000},1\n" for s in STEPS), "whole numbers as steps: found 0.01"),
        ("step,loss\n" + "".join(f"{s % 10},1\n" for s in range(50)), "begin anew at 0 in 4 rows"),
        ("step,loss\n" + "".join(f"{s},1e308\n" for s in STEPS), "losses below 1e"),
    ],
    ids=["fractions", "batches of epochs", "too large"],
)
def test_tables_that_would_lose_rows_are_refused(text, complaint, tmp_path):
    write(tmp_path / "t.csv", text)
    with pytest.raises(ValueError, match=complaint) as error:
        read(tmp_path / "t.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_tables_are_read_as_spreadsheets_write_them(encoding, tmp_path):
    text = "step\tloss\tnorm of größe\n" + "".join(f"{s}\t{1 / (1 + s):.6f}\t{s + 1},5\n" for s in STEPS)
    (tmp_path / "t.txt").write_bytes(text.encode(encoding))
    seen = read(tmp_path / "t.txt")
    assert seen.loss_step.tolist() == list(STEPS)
    assert seen.weight_names == ("größe",)
    assert seen.weight_norm[:, 0].tolist() == [s + 1.5 for s in STEPS]


def test_a_damaged_table_in_utf_16_is_refused_in_one_line(tmp_path):
    (tmp_path / "t.csv").write_bytes("step,loss\n1,2\n2,1\n".encode("utf-16")[:-1])
    with pytest.raises(ValueError, match="UTF-8 or UTF-16") as error:
        read(tmp_path / "t.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("epochs", "steps", "said"),
    [
        (range(1, 13), range(1, 13), "steps are epochs"),
        ([1, 2, 3, 4, 3, 4, 5], [1, 2, 3, 4, 5], "steps are epochs"),
        ([n // 3 for n in range(12)], range(12), "steps are rows"),
        ([n / 4 for n in range(12)], range(12), "steps are rows"),
    ],
    ids=["one row each", "gone on with", "several rows each", "parts"],
)
def test_epochs_are_steps_where_there_are_no_others(epochs, steps, said, tmp_path):
    write(tmp_path / "t.csv", "Epoch,loss,lr\n" + "".join(f"{e},{n},0.1\n" for n, e in enumerate(epochs)))
    seen = read(tmp_path / "t.csv")
    assert seen.loss_step.tolist() == list(steps)
    assert sum(gap.startswith(said) for gap in seen.facts["gaps"]) == 1
    # with steps beside, these count
    write(tmp_path / "u.csv", "epoch,step,loss\n" + "".join(f"{e},{10 * n},{n}\n" for n, e in enumerate(epochs)))
    seen = read(tmp_path / "u.csv")
    assert seen.loss_step.tolist() == [10 * n for n in range(len(epochs))]
    assert not seen.facts["gaps"]


def test_many_restarts_are_one_line_and_replace_what_they_repeat(tmp_path):
    rows = [s for start in range(0, 400, 100) for s in range(start, start + 120)]
    write(tmp_path / "t.csv", "step,loss\n" + "".join(f"{s},{n}\n" for n, s in enumerate(rows)))
    seen = read(tmp_path / "t.csv")
    assert seen.loss_step.tolist() == list(range(420))
    assert seen.loss.tolist() == [max(n for n, r in enumerate(rows) if r == s) for s in range(420)]
    assert len(seen.facts["gaps"]) == 3
    assert "went back from 119 to 100" in seen.facts["gaps"][0]
    write(tmp_path / "u.csv", "step,loss\n" + "".join(f"{s + 100 * r},{s}\n" for r in range(9) for s in range(150)))
    (gap,) = read(tmp_path / "u.csv").facts["gaps"]
    assert gap.startswith("steps went back 8 times, by 49 at most")
    assert gap.endswith("400 rows")


def test_a_large_table_is_bounded_and_its_rare_columns_stay(tmp_path):
    rows = "".join(f"{s},1,0.1,{0.5 if s % 5000 == 0 else ''}\n" for s in range(50_000))
    write(tmp_path / "t.csv", "step,loss,lr,q\n" + rows)
    seen = read(tmp_path / "t.csv")
    assert 4000 <= seen.step.size < 5000
    assert np.sum(np.isfinite(seen.variation)) == 10
    assert seen.loss.size <= 20_000


def test_bad_headers_steps_and_garbage_are_told_as_what_they_are(tmp_path):
    def header(entry):
        text = json.dumps({"a": entry}).encode()
        return len(text).to_bytes(8, "little") + text + b"\0" * 16

    for name, entry in {
        "list": {"dtype": ["F32"], "shape": [4], "data_offsets": [0, 16]},
        "endless": {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 16]},
    }.items():
        (tmp_path / f"{name}.safetensors").write_bytes(header(entry))
        with pytest.raises(ValueError, match="list" if name == "list" else "endless"):
            read(tmp_path / f"{name}.safetensors")
    (tmp_path / "garbage.pt").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="damaged") as error:
        read(tmp_path / "garbage.pt")
    assert "trust_pickle" not in str(error.value)
    folder = tmp_path / "steps"
    folder.mkdir()
    weights = {"a.weight": torch.ones(8, 4), "b.weight": torch.ones(2, 8)}
    torch.save({"model": weights, "step": 10**30}, folder / "m_2.pt")
    torch.save({"model": weights, "step": -5}, folder / "m_7.pt")
    torch.save({"a.weight": torch.zeros(0, 4), "b.weight": torch.zeros(2, 0)}, folder / "m_9.pt")
    seen = read(folder)
    assert seen.step.tolist() == [2, 7]
    assert any(s.startswith("m_9.pt") for s in seen.facts["skipped"])
    torch.save({n: w * torch.inf for n, w in weights.items()}, folder / "m_8.pt")
    assert not np.isfinite(read(folder).weight_norm[-1]).any()
