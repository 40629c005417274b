"""How long a user waits, measured: `make bench` prints the table and writes benchmarks/results.json.

Each command is run as a process of its own, several times; the bare interpreter is timed in turn with it, because what a command adds is
what counts. Medians with the smallest and largest value.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SADDLESCOPE = [sys.executable, "-m", "saddlescope"]


def seconds(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return time.perf_counter() - began


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "smallest": min(values), "largest": max(values), "runs": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        env = os.environ | {"SADDLESCOPE_CACHE": str(out / "cache")}
        spec = out / "linear.toml"
        spec.write_text(
            subprocess.run([*SADDLESCOPE, "init", "linear"], capture_output=True, text=True, check=True).stdout
        )
        seconds([*SADDLESCOPE, "--help"], env)
        added = []
        for _ in range(2 * runs):
            bare = seconds([sys.executable, "-c", "pass"], env)
            added.append(seconds([*SADDLESCOPE, "--help"], env) - bare)
        results["--help, added to a bare interpreter (s)"] = spread(added)
        single = [*SADDLESCOPE, "run", str(spec), "--out", str(out / "run")]
        results["first run, nothing compiled (s)"] = spread([seconds(single, env)])
        results["run, new process, compiled programs kept (s)"] = spread([seconds(single, env) for _ in range(runs)])
        figure = [*SADDLESCOPE, "reproduce", "figure-1", "--out", str(out / "figure")]
        results["figure 1, nothing compiled (s)"] = spread(
            [seconds(figure, env | {"SADDLESCOPE_CACHE": str(out / "c2")})]
        )
        results["figure 1, compiled programs kept (s)"] = spread(
            [seconds(figure, env | {"SADDLESCOPE_CACHE": str(out / "c2")})]
        )
    about = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    (HERE / "results.json").write_text(
        json.dumps({"about": about, "results": results}, indent=2) + "\n", encoding="utf-8"
    )
    for name, r in results.items():
        print(f"{name:50} {r['median']:7.2f}   [{r['smallest']:.2f}, {r['largest']:.2f}]   {r['runs']} runs")


if __name__ == "__main__":
    main()
