"""Pictures say what the record says: tested on records with a closed form, without a simulation."""

import json
import subprocess
import sys
import time

import matplotlib
import numpy as np
import pytest
from PIL import Image

from saddlescope.plots import animate, figure_1, run_figure, save
from synthetic_records import loss_and_speed, two_mode_record

HOSTILE = r"$x_1$ <script>alert(1)</script> \frac{ $ _a^b % & é 日本 " + "\x00\n long" * 40


def diverged():
    record = two_mode_record(stages=1)
    record["loss"][400:] = np.geomspace(1.0, 1e308, 200)
    record["loss"][590:] = np.inf
    record["speed"][595:] = np.nan
    record["u"][-1] = np.nan
    return record


def bare():
    record = two_mode_record()
    record.attrs.clear()
    return record.drop_vars(["effective_width", "stage_snapshot"])


def zero_weights():
    record = two_mode_record(stages=0)
    record["u"][:] = 0.0
    return record


def unknown():
    # every number of a summary may be null
    record = two_mode_record()
    summary = json.loads(record.attrs["summary"])
    summary["stages"] = [dict.fromkeys(stage) for stage in summary["stages"]]
    record.attrs["summary"] = json.dumps({**summary, "end": None})
    record["stage_snapshot"] = ("stage", [np.nan, -1.0])
    record["effective_width"] = ("snapshot", np.full(record.sizes["snapshot"], -1))
    return record


RECORDS = {
    "linear": two_mode_record,
    "censored": lambda: two_mode_record(censored=True, t_final=8.0, t_end_error=0.3),
    "no stages": lambda: two_mode_record(stages=0),
    "one snapshot": lambda: two_mode_record(stages=0, snapshots=1),
    "no snapshots": lambda: two_mode_record(stages=0).isel(snapshot=slice(0)),
    "one sample": lambda: two_mode_record(stages=0, samples=1, snapshots=1),
    "nine stages": lambda: two_mode_record(
        strengths=(1, 0.95, 0.9, 0.6, 0.58, 0.45, 0.3, 0.2, 0.15), t_final=80.0, samples=3000
    ),
    "decades": lambda: two_mode_record(strengths=(1, 0.02), t_final=600.0, samples=9000, t_end_error=1.0),
    "deep": lambda: two_mode_record(architecture="deep"),
    "convolutional": lambda: two_mode_record(architecture="convolutional", inputs=3, units=8),
    "attention": lambda: two_mode_record(architecture="attention", kind="active", units=10),
    "attention on tokens": lambda: two_mode_record(architecture="attention", inputs=5, units=4),
    "merged": lambda: two_mode_record(architecture="merged", units=4),
    "digits": lambda: two_mode_record(inputs=64, units=100, task="digits"),
    "large": lambda: two_mode_record(inputs=120, units=300, snapshots=3),
    "crowd": lambda: two_mode_record(units=2500, snapshots=3),
    "one unit, one input": lambda: two_mode_record(inputs=1, units=1),
    "diverged": diverged,
    "bare": bare,
    "zero weights": zero_weights,
    "unknown": unknown,
    "hostile title": lambda: two_mode_record(title=HOSTILE),
}


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def panels(figure):
    """Loss, speed and effective width; then the weights."""
    left, right = figure.axes[:3], [ax for ax in figure.axes[3:] if ax.get_visible()]
    return *left, right


def texts(figure):
    figure.canvas.draw()
    return [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text().strip()]


def shown_boxes(figure):
    """Where words are, in pixels. Tick labels beyond an axis' ends exist but are not drawn."""
    renderer = figure.canvas.get_renderer()
    words = list(texts(figure))
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            drawn = ax.get_visible() and axis.get_visible()
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not drawn or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
        if not ax.get_visible():
            hidden |= set(ax.findobj(matplotlib.text.Text))
    return [(t.get_text(), t.get_window_extent(renderer)) for t in words if t not in hidden]


def test_synthetic_records_obey_the_flow():
    # |grad L|^2 = -dL/dt; central differences with step 1/60 are good to 1e-3 here
    t = np.linspace(0, 25, 1501)
    loss, speed = loss_and_speed(t)
    assert np.allclose(-np.gradient(loss, t)[1:-1], speed[1:-1] ** 2, rtol=5e-3, atol=1e-12)


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_has_its_pictures_and_no_words_overlap_or_leave_the_page(name, tmp_path):
    record = RECORDS[name]()
    for figure in (run_figure(record), figure_1({name: record, "the same": record})):
        boxes = shown_boxes(figure)
        width, height = figure.canvas.get_width_height()
        for i, (word, box) in enumerate(boxes):
            assert -1 < box.x0 < box.x1 < width + 1, word
            assert -1 < box.y0 < box.y1 < height + 1, word
            for other, second in boxes[:i]:
                across = min(box.x1, second.x1) - max(box.x0, second.x0)
                up = min(box.y1, second.y1) - max(box.y0, second.y0)
                # boxes have the height of the tallest letter: touching ones are still apart for the eye
                assert across <= 1 or up <= 2, (word, other)
    animate(record, tmp_path / "film.gif", frames=3)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.size == (640, 320)


def test_the_overlap_check_can_fail():
    figure = run_figure(two_mode_record())
    ax = figure.axes[0]
    ax.text(0.5, 0.5, "one word", transform=ax.transAxes)
    ax.text(0.5, 0.5, "another", transform=ax.transAxes)
    boxes = dict(shown_boxes(figure))
    assert boxes["one word"].overlaps(boxes["another"])


def test_axes_say_what_they_show():
    loss, speed, width, _ = panels(run_figure(two_mode_record(title="a title", t_final=13.0)))
    assert loss.get_ylabel() == "loss"
    assert speed.get_ylabel() == "speed |grad L|"
    assert speed.get_yscale() == "log"
    assert width.get_ylabel().replace("\n", " ") == "effective width"
    assert width.get_xlabel() == "t  (learning rate x steps)\ndots: slowest moments"
    assert loss.get_shared_x_axes().joined(loss, width)
    figure = run_figure(two_mode_record(title="a title"))
    assert "a title" in [t.get_text() for t in texts(figure)]


def test_a_quiet_tail_is_cut_and_said():
    *_, width, _ = panels(run_figure(two_mode_record(t_final=100.0, samples=3000)))
    assert width.get_xlabel().splitlines()[0].endswith("; the run goes on to 100")
    assert width.get_xlim()[1] < 25


def test_a_plateau_that_the_run_stopped_on_is_shaded_to_the_end_and_one_left_is_not():
    # the same record without a t_end, cut on the plateau and after the drop from it
    stopped, left = (two_mode_record(stages=2, censored=True, t_final=t) for t in (7.0, 40.0))
    for record, says in ((stopped, "rank 1, not left"), (left, "rank 1, end not known")):
        loss, *_ = panels(run_figure(record))
        assert says in [t.get_text() for t in loss.texts]
        edge = loss.patches[1].get_x() + loss.patches[1].get_width()
        assert (edge == loss.get_xlim()[1]) == (record is stopped)


@pytest.mark.parametrize(("stages", "censored"), [(0, False), (1, False), (2, False), (2, True)])
def test_one_mark_a_stage(stages, censored):
    record = two_mode_record(stages=stages, censored=censored)
    found = json.loads(record.attrs["summary"])["stages"]
    loss, speed, width, _ = panels(run_figure(record))
    ends = [stage["t_end"] for stage in found if stage["t_end"] is not None]
    for ax in (loss, speed, width):
        assert [line.get_xdata()[0] for line in lines(ax, "stage end")] == ends
        assert len(ax.patches) == stages
    assert [line.get_ydata()[0] for line in lines(loss, "height")] == [stage["height"] for stage in found]
    assert sum(len(line.get_xdata()) for line in lines(speed, "slowest point")) == stages
    words = [t.get_text() for t in loss.texts]
    assert words[:stages] == ["origin", "rank 1, end not known" if censored else "rank 1"][:stages]


def test_curves_are_the_records():
    record = two_mode_record()
    loss, speed, width, _ = panels(run_figure(record))
    assert np.array_equal(lines(loss, "loss")[0].get_ydata(), record["loss"])
    assert np.array_equal(lines(speed, "speed")[0].get_ydata(), record["speed"])
    assert np.array_equal(lines(width, "layer 1")[0].get_ydata(), record["effective_width"])
    slowest = lines(speed, "slowest point")[0].get_xdata()
    at = record["snapshot_t"].values[record["stage_snapshot"].values]
    assert np.allclose(slowest, at, atol=25 / 600)  # nearest sample of the curve


@pytest.mark.parametrize(("error", "bars"), [(1e-6, 0), (0.3, 2)])
def test_error_bars_where_they_can_be_seen(error, bars):
    loss, *_ = panels(run_figure(two_mode_record(t_end_error=error)))
    assert len(loss.containers) == bars


def test_drops_over_decades_have_a_logarithmic_time():
    loss, *_ = panels(run_figure(RECORDS["decades"]()))
    assert loss.get_xscale() == "log"
    loss, *_ = panels(run_figure(two_mode_record()))
    assert loss.get_xscale() == "linear"


def test_deep_networks_have_a_line_a_layer():
    _, _, width, _ = panels(run_figure(RECORDS["deep"]()))
    assert lines(width, "layer 1")
    assert lines(width, "layer 2")


def test_weights_at_start_plateau_and_end():
    record = two_mode_record()
    *_, weights = panels(run_figure(record))
    titles = [ax.get_title().split("\n")[0] for ax in weights]
    assert titles == ["start: origin", "plateau: rank 1", "end: rank 2"]
    for ax, snapshot in zip(weights, (0, int(record["stage_snapshot"][1]), -1), strict=True):
        xy = np.asarray(ax.collections[0].get_offsets())
        assert np.allclose(xy, record["u"][snapshot], rtol=0, atol=0)
        assert ax.get_aspect() == 1
        assert np.abs(xy).max() < ax.get_xlim()[1] < 1.2 * np.abs(xy).max()
        assert ax.get_xlim() == ax.get_ylim()


def test_keys_are_filled_and_queries_hollow():
    record = RECORDS["attention"]()
    *_, weights = panels(run_figure(record))
    key, query = weights[-1].collections
    assert np.allclose(key.get_offsets(), record["key"][-1, :, 0])
    assert np.allclose(query.get_offsets(), record["query"][-1, :, 0])
    assert key.get_facecolor().size
    assert not query.get_facecolor().size


def test_keys_and_queries_of_more_coordinates_stand_side_by_side():
    record = RECORDS["attention on tokens"]()
    *_, weights = panels(run_figure(record))
    image = weights[-1].images[0].get_array()
    key, query = record["key"].values[-1, :, 0], record["query"].values[-1, :, 0]
    both = np.hstack([key, query])[np.argsort(-np.hypot(*(np.linalg.norm(one, axis=1) for one in (key, query))))]
    assert np.allclose(np.delete(image, 5, axis=1) * np.abs(both).max(), both, atol=1e-15)
    assert image.mask[:, 5].all()


def test_weights_that_are_not_finite_are_not_drawn():
    *_, weights = panels(run_figure(diverged()))
    assert not np.isfinite(np.ma.filled(weights[-1].collections[0].get_offsets(), np.nan)).any()


def test_large_weights_are_cut_and_said():
    figure = run_figure(RECORDS["large"]())
    *_, weights = panels(figure)
    assert weights[-1].images[0].get_array().shape == (60, 100)
    said = " ".join(t.get_text() for t in texts(figure))
    assert "60 largest of 300 units, by size" in said
    assert "100 largest of 120 inputs" in said


def test_weights_of_digits_are_pictures():
    record = RECORDS["digits"]()
    *_, weights = panels(run_figure(record))
    assert weights[-1].images[0].get_array().shape == (8, 17)
    # the values under the pictures are the leading singular values
    s = np.linalg.svd(record["u"].values[-1], compute_uv=False)
    assert weights[-1].get_title().endswith(f"values {s[0]:.3g}, {s[1]:.3g}")


def test_more_plateaus_than_panels_are_said():
    figure = run_figure(RECORDS["nine stages"]())
    assert len(panels(figure)[3]) == 6
    assert "more plateaus not shown" in " ".join(t.get_text() for t in texts(figure))


def test_figure_1_normalises_and_labels():
    kinds = {"linear": "rank", "ReLU": "rays", "quadratic": "active"}
    records = {name: two_mode_record(kind=kind) for name, kind in kinds.items()}
    records["attention"] = RECORDS["attention"]()
    figure = figure_1(records)
    axes = np.array(figure.axes[:16]).reshape(4, 4)
    for ax, (name, record) in zip(axes[0], records.items(), strict=True):
        (curve,) = lines(ax, "loss")
        assert curve.get_ydata()[0] == 1.0
        assert np.allclose(curve.get_ydata(), record["loss"] / record["loss"][0], rtol=1e-15)
        assert ax.get_title().strip() == name
        assert len(lines(ax, "stage end")) == 2
    climbs = [ax.texts[-1].get_text() for ax in axes[0]]
    assert climbs == ["rank 1 → 2", "1 → 2 rays", "1 → 2 units", "1 → 2 units"]
    assert axes[0, 0].get_ylabel() == "loss / loss(0)"
    record = records["linear"]
    for ax, snapshot in zip(axes[1:, 0], (0, int(record["stage_snapshot"][1]), -1), strict=True):
        assert np.array_equal(ax.collections[0].get_offsets(), record["u"][snapshot])
    assert all(len(ax.collections) == 2 for ax in axes[1:, 3])


def test_figure_1_needs_a_record():
    with pytest.raises(ValueError, match="at least one record"):
        figure_1({})


def test_files_are_the_same_bytes_when_made_again(tmp_path):
    record = two_mode_record()
    first, second = save(run_figure(record), tmp_path / "a.b"), save(run_figure(record), str(tmp_path / "c"))
    assert [path.name for path in (*first, *second)] == ["a.b.png", "a.b.pdf", "c.png", "c.pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"CreationDate" not in first[1].read_bytes()
    with Image.open(first[0]) as image:
        assert np.allclose(image.info["dpi"], 200, atol=0.1)
        assert image.width == 1760


def test_a_missing_directory_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        save(run_figure(two_mode_record()), tmp_path / "nowhere" / "figure")
    with pytest.raises(OSError, match="nowhere"):
        animate(two_mode_record(), tmp_path / "nowhere" / "film.gif", frames=2)


def test_the_film_has_its_frames_and_is_quick(tmp_path):
    start = time.process_time()
    animate(two_mode_record(), tmp_path / "film.gif", frames=40)
    seconds = time.process_time() - start
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 40
        assert film.size == (640, 320)
        film.seek(39)
        assert film.convert("RGB").getpixel((630, 5)) == (255, 255, 255)
    assert seconds < 4  # measured: 0.4 alone, 1.4 on loaded cores


def test_transitions_get_frames():
    from saddlescope.plots._animate import progress

    # half of the frames are for the loss: the two drops take a fifth of the time, and more than half of the film
    times, along = progress(two_mode_record())
    assert along[0] == 0
    assert along[-1] == 1
    assert np.all(np.diff(along) >= 0)
    assert np.interp(8.0, times, along) - np.interp(5.0, times, along) > 0.4


def test_a_film_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1 frame"):
        animate(two_mode_record(), tmp_path / "film.gif", frames=0)


def settings():
    return {key: dict.__getitem__(matplotlib.rcParams, key) for key in matplotlib.rcParams}


def test_the_users_settings_stay_and_do_not_show(tmp_path):
    record = two_mode_record(samples=50)
    usual = save(run_figure(record), tmp_path / "usual")
    before = settings()
    with matplotlib.rc_context({"axes.facecolor": "black", "lines.linewidth": 9, "axes.grid": True, "font.size": 20}):
        matplotlib.rcParams["text.usetex"] = True  # would need LaTeX
        changed = settings()
        other = save(run_figure(record), tmp_path / "other")
        run_figure(record).canvas.draw()
        figure_1({"a": record})
        animate(record, tmp_path / "film.gif", frames=2)
        assert settings() == changed
    assert settings() == before
    assert usual[0].read_bytes() == other[0].read_bytes()


def test_settings_come_back_after_an_error():
    before = settings()
    with pytest.raises(KeyError):
        run_figure(two_mode_record().drop_vars("loss"))
    assert settings() == before


def test_no_window_system_is_asked_for():
    code = (
        "import sys, matplotlib; import saddlescope.plots as p; from synthetic_records import two_mode_record as r;"
        "p.run_figure(r()).canvas.draw();"
        "assert 'matplotlib.pyplot' not in sys.modules;"
        "assert matplotlib.rcParams._get_backend_or_none() is None"
    )
    environment = {"PATH": "", "HOME": "/", "PYTHONPATH": ":".join(filter(None, sys.path)), "MPLCONFIGDIR": ""}
    environment["MPLCONFIGDIR"] = matplotlib.get_configdir()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
