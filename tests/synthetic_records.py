"""Records without a simulation, to test what reads records: a linear network on white inputs with two singular modes,
whose strengths have a closed form from balanced weights,

    a_k(t) = s_k / (1 + (s_k / a_k(0) - 1) exp(-2 s_k t))
    L = 1/2 sum (s_k - a_k)^2,   |grad L|^2 = sum 2 a_k (s_k - a_k)^2

(Saxe, McClelland & Ganguli 2014). |grad L|^2 is -dL/dt. Weights of other architectures are laid on the same
strengths: they look like the real ones, and that is all that a picture needs.
"""

import itertools
import json

import numpy as np
import xarray as xr

STRENGTHS = (1.0, 0.6)


def mode_strengths(t, s=STRENGTHS, initial=1e-6):
    t, s = np.asarray(t, float)[:, None], np.asarray(s)
    return s / (1 + (s / initial - 1) * np.exp(-2 * s * t))


def loss_and_speed(t, s=STRENGTHS, initial=1e-6):
    a, s = mode_strengths(t, s, initial), np.asarray(s)
    # da/dt = 2 a (s - a), dL/dt = -sum (s - a) da/dt
    return 0.5 * ((s - a) ** 2).sum(1), np.sqrt((2 * a * (s - a) ** 2).sum(1))


def _directions(kind, units, inputs, modes, rng):
    """[units, modes, inputs]: what each unit carries of each mode."""
    angles = 0.64 + 0.5 * np.pi * np.arange(modes)
    plane = np.stack([np.cos(angles), np.sin(angles)], 1)
    basis = plane @ (np.linalg.qr(rng.normal(size=(inputs, inputs)))[0][:2] if inputs > 2 else np.eye(2, inputs))
    shares = np.zeros((units, modes))
    if kind == "rank":
        shares = rng.normal(size=(units, modes))
    elif kind == "rays":
        shares[np.arange(units), np.arange(units) % modes] = np.abs(rng.normal(size=units))
    else:
        shares[np.arange(modes) % units, np.arange(modes)] = 1.0
    shares /= np.linalg.norm(shares, axis=0)
    return shares[:, :, None] * basis[None]


def two_mode_record(
    *,
    architecture="fully_connected",
    kind="rank",
    units=50,
    inputs=2,
    snapshots=25,
    samples=600,
    t_final=25.0,
    strengths=STRENGTHS,
    stages=None,
    censored=False,
    t_end_error=1e-6,
    title=None,
    task="linear_teacher",
    seed=0,
):
    """A record of the shape that `saddlescope.run` returns. `architecture`: fully_connected, convolutional,
    attention, merged, deep. `stages` keeps the first so many; `censored` leaves the last one without an end."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, t_final, samples) if samples > 1 else np.zeros(1)
    loss, speed = loss_and_speed(t, strengths)
    stages = len(strengths) if stages is None else stages
    heights = [0.5 * sum(s**2 for s in strengths[k:]) for k in range(len(strengths) + 1)]
    crossings = [float(t[np.argmax(loss < 0.5 * (a + b))]) for a, b in itertools.pairwise(heights)]
    slowest = [0.0]
    for start, end in itertools.pairwise(crossings):
        between = (t > start) & (t < end)
        slowest.append(float(t[between][np.argmin(speed[between])]) if between.any() else float(t[-1]))
    snapshot_t = np.unique([*np.linspace(0, t[-1], max(snapshots, 1)), *slowest])[: None if snapshots > 1 else 1]
    deep, widths = architecture == "deep", (mode_strengths(snapshot_t, strengths) > 1e-2).sum(1)

    final = int(widths[-1])
    found = []
    for k in range(stages):
        last = censored and k == stages - 1
        found.append(
            {
                "height": heights[k],
                "height_source": "fixed_point",
                "t_start": 0.0 if k == 0 else crossings[k - 1],
                "t_end": None if last else crossings[k],
                "t_end_error": None if last else t_end_error,
                "censored": last,
                "persistence": 3.0,
                "effective_width": [k, k] if deep else k,
                "kind": "origin" if k == 0 else kind,
                "speed": float(np.interp(slowest[k], t, speed)),
                "index": None,
                "nullity": None,
                "escape": None,
                "predicted": None,
            }
        )
    summary = {
        "schema": "saddlescope.run/1",
        "ended": "time" if censored else "converged",
        "final_loss": float(loss[-1]),
        "stages": found,
        "end": {
            "height": heights[final],
            "effective_width": [final, final] if deep else final,
            "kind": kind,
            "index": 0,
            "nullity": None,
        },
        "predicted_only": [],
    }
    arrays = _weights(architecture, kind, units, inputs, snapshot_t, strengths, rng)
    record = xr.Dataset(
        {
            "loss": ("time", loss),
            "speed": ("time", speed),
            "snapshot_loss": ("snapshot", loss_and_speed(snapshot_t, strengths)[0]),
            "effective_width": (("snapshot", "layer"), np.stack([widths, widths], 1)) if deep else ("snapshot", widths),
            "stage_height": ("stage", np.array([s["height"] for s in found])),
            "stage_t_end": ("stage", np.array([np.nan if s["t_end"] is None else s["t_end"] for s in found])),
            "stage_snapshot": ("stage", np.array([int(np.argmin(abs(snapshot_t - x))) for x in slowest[:stages]])),
            **arrays,
        },
        coords={"t": ("time", t), "snapshot_t": ("snapshot", snapshot_t)},
    )
    record["t"].attrs["units"] = "learning rate x steps"
    record.attrs.update(
        title=title if title is not None else f"linear, {architecture.replace('_', ' ')}, {units} units",
        summary=json.dumps(summary),
        spec=json.dumps({"task": {"kind": task}}),
        weights=json.dumps(list(arrays)),
    )
    return record


def _weights(architecture, kind, units, inputs, t, strengths, rng):
    root = np.sqrt(mode_strengths(t, strengths))

    def block(columns):
        drawn = np.einsum("sk,ukp->sup", root, _directions(kind, units, columns, len(strengths), rng))
        noise = 1e-4 * rng.normal(size=(units, columns))
        return drawn + noise

    if architecture == "attention":
        key, query = block(inputs)[:, :, None], block(inputs)[:, :, None]
        attention = ("snapshot", "units", "rank", "embedding")
        value = ("snapshot", "units", "embedding_v", "outputs"), block(1)[..., None]
        return {"key": (attention, key), "query": (attention, query), "value": value}
    if architecture == "merged":
        dims = ("snapshot", "units", "embedding", "embedding_2")
        matrix = block(inputs * inputs).reshape(len(t), units, inputs, inputs)
        return {
            "key_query": (dims, matrix),
            "value": (("snapshot", "units", "embedding_v", "outputs"), block(1)[..., None]),
        }
    if architecture == "deep":
        return {
            "W1": (("snapshot", "hidden_1", "inputs"), block(inputs)),
            "W2": (("snapshot", "hidden_2", "hidden_1"), np.zeros((len(t), 2, units))),
            "W3": (("snapshot", "outputs", "hidden_2"), np.zeros((len(t), 2, 2))),
        }
    if architecture == "convolutional":
        readout = np.zeros((len(t), units, 3, 1))
        return {
            "u": (("snapshot", "units", "kernel"), block(inputs)),
            "v": (("snapshot", "units", "positions", "outputs"), readout),
        }
    return {"u": (("snapshot", "units", "inputs"), block(inputs)), "v": (("snapshot", "units", "outputs"), block(2))}
