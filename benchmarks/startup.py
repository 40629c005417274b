"""How long a user of the command line waits; each command a process of its own, with a bare interpreter in turn."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import spread

SADDLESCOPE = [sys.executable, "-m", "saddlescope"]


def _seconds(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return time.perf_counter() - began


def startup(rounds: int, *, figure: bool = True) -> dict[str, dict[str, float]]:
    """Name -> seconds {median, smallest, largest, runs}. `figure`: Figure 1 too, which takes a minute."""
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        env = os.environ | {"SADDLESCOPE_CACHE": str(out / "cache")}
        env.pop("JAX_COMPILATION_CACHE_DIR", None)
        spec = out / "linear.toml"
        made = subprocess.run([*SADDLESCOPE, "init", "linear"], capture_output=True, text=True, check=True)
        spec.write_text(made.stdout, encoding="utf-8")
        for name, command in (
            ("import saddlescope, added to a bare interpreter (s)", [sys.executable, "-c", "import saddlescope"]),
            ("--help, added to a bare interpreter (s)", [*SADDLESCOPE, "--help"]),
        ):
            _seconds(command, env)
            added = []
            for _ in range(2 * rounds):
                bare = _seconds([sys.executable, "-c", "pass"], env)
                added.append(_seconds(command, env) - bare)
            results[name] = spread(added)
        single = [*SADDLESCOPE, "run", str(spec), "--out", str(out / "run")]
        results["first run, nothing compiled (s)"] = spread([_seconds(single, env)])
        results["run, new process, compiled programs kept (s)"] = spread([_seconds(single, env) for _ in range(rounds)])
        if figure:
            command = [*SADDLESCOPE, "reproduce", "figure-1", "--out", str(out / "figure")]
            fresh = env | {"SADDLESCOPE_CACHE": str(out / "second")}
            results["figure 1, nothing compiled (s)"] = spread([_seconds(command, fresh)])
            results["figure 1, compiled programs kept (s)"] = spread([_seconds(command, fresh)])
    return results
