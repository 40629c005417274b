"""A run as a film: the loss falls while the weights move, slowly on plateaus and in full view at each transition."""

import os
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from . import _curves, _reading, _style, _weights

SECONDS = 6.0
WIDTH, HEIGHT, DPI = 640, 320, 100


def animate(record: xr.Dataset, path: str | os.PathLike[str], *, frames: int = 48) -> None:
    """Writes a GIF of 640 x 320 pixels, about six seconds, repeated: left the loss up to now, right the first-layer
    weights.

    Frames are equally spaced in a half-and-half mix of time and loss lost, so that transitions get frames. The
    weights are those of the nearest snapshot: nothing is interpolated. Weights with more than two coordinates are
    seen along the two leading singular directions at the end of the run.

    **Arguments:**

    - `path`: the file to write; its directory must exist.
    - `frames`: how many, at least 1. Neighbours that are equal pixel by pixel become one frame that lasts as long as
      both.

    **Raises:** `ValueError` if `frames` is below 1; `OSError` if the file cannot be written.
    """
    if frames < 1:
        raise ValueError(f"animate(frames={frames}) needs at least 1 frame.")
    with _style.styled():
        pictures = _draw(record, frames)
    # one palette for all, from a first, a middle and a last frame: colours must not flicker
    sample = np.concatenate([pictures[0], pictures[len(pictures) // 2], pictures[-1]])
    palette = Image.fromarray(sample).quantize(128, dither=Image.Dither.NONE)
    entries = np.array(palette.getpalette()).reshape(-1, 3)
    entries[entries.min(axis=1) >= 246] = 255  # paper stays white, not nearly white
    palette.putpalette(entries.ravel().tolist())
    images = [Image.fromarray(one).quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures]
    duration = [round(1000 * SECONDS / frames)] * frames
    duration[-1] += 1500  # rest on the last frame before the film begins again
    images[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=duration,
        loop=0,
        optimize=False,
        disposal=1,
    )


def progress(record: xr.Dataset) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Times, and how far along the film each is: from 0 to 1, half of it time as drawn and half of it loss lost."""
    t, loss, _ = _reading.curve(record)
    scale, low, high = _curves.time_view(record)
    kept = np.isfinite(loss) & (t <= high)
    t, loss = t[kept], loss[kept]
    if t.size < 2:
        return np.array([low, low if not t.size else t[0]]), np.array([0.0, 1.0])
    drawn = np.log(np.maximum(t, low) / low) if scale == "log" else t - t[0]
    lost = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(loss)))])
    mix = drawn / (drawn[-1] or 1.0) + lost / (lost[-1] or 1.0)
    return t, mix / (mix[-1] or 1.0)


def _draw(record: xr.Dataset, frames: int) -> list[np.ndarray]:
    figure = _style.new_figure(WIDTH / DPI, HEIGHT / DPI, dpi=DPI, constrained=False)
    left, right = figure.add_axes((0.085, 0.16, 0.45, 0.66)), figure.add_axes((0.585, 0.16, 0.40, 0.66))
    figure.text(0.02, 0.975, _style.plain(_reading.title(record), 80), va="top", fontsize=9)
    t, loss, _ = _reading.curve(record)
    _curves.draw_loss(left, record, levels=False)
    _curves.label_plateaus(left, record, inches=2.9, size=7.0, most_rows=1)
    left.lines[-1].set(color="#C9D6DF", linewidth=1.0)  # the whole curve, faint; what is drawn in full is the past
    left.set_xlabel(_style.T_LABEL)
    left.set_ylabel(_style.LOSS_LABEL)
    moving: dict[str, Any] = {"animated": True}
    (past,) = left.plot([], [], color=_style.BLUE, linewidth=1.8, zorder=5, **moving)
    (now,) = left.plot([], [], "o", color=_style.VERMILLION, markersize=6, zorder=6, clip_on=False, **moving)
    words = right.text(0.5, 1.02, "", transform=right.transAxes, ha="center", va="bottom", fontsize=8, **moving)

    count = record.sizes.get("snapshot", 0)
    directions = _weights.plane(record) if count and _reading.first_layer(record) else None
    seen = [] if directions is None else [_weights.points(record, i, directions) for i in range(count)]
    extent = max((np.abs(xy).max(initial=0.0, where=np.isfinite(xy)) for one in seen for xy in one.values()), default=1)
    clouds = {}
    for i, (name, xy) in enumerate(seen[0].items() if seen else ()):
        look = _weights.marker(i) | moving | {"zorder": 3 + i, "clip_on": False, "label": name}
        clouds[name] = right.scatter([], [], s=_weights.point_size(16.0, len(xy), i), **look)
    _weights.set_plane(right, float(extent))
    if len(clouds) > 1:
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=2, borderpad=0.1, handletextpad=0.1)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    times, along = progress(record)
    snapshot_t = np.asarray(record["snapshot_t"].values, float) if count else np.array([])
    snapshot_along = np.interp(snapshot_t, times, along)
    finite = np.isfinite(loss)
    pictures = []
    for share in np.linspace(0.0, 1.0, frames) if frames > 1 else (1.0,):
        at = float(np.interp(share, along, times))
        before = finite & (t <= at)
        here = float(np.interp(at, t[finite], loss[finite])) if finite.any() else np.nan
        past.set_data(np.append(t[before], at), np.append(loss[before], here))
        now.set_data([max(at, left.get_xlim()[0])], [here])
        nearest = int(np.argmin(np.abs(snapshot_along - share))) if seen else None
        text = f"t = {_style.number(at)}"
        if nearest is not None:
            for name, cloud in clouds.items():
                cloud.set_offsets(seen[nearest][name])
            text += _width(record, nearest)
        words.set_text(text)
        canvas.restore_region(still)
        for ax, artists in ((right, (*clouds.values(), words)), (left, (past, now))):
            for artist in artists:
                ax.draw_artist(artist)
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return pictures


def _width(record: xr.Dataset, snapshot: int) -> str:
    if "effective_width" not in record:
        return ""
    return f"    effective width {_reading.width_text(record['effective_width'].values[snapshot].tolist())}"
