"""What the first answer costs: a new process for each contender, with nothing compiled, then with compiled programs kept; and its memory.

Run as a program this file is that new process: it solves one problem once and prints seconds and peak memory as JSON.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

#: A process that takes longer is given up.
PATIENCE = 120.0


def first_answers(problem: str, rows: list[dict], until: float, levels: list[float], log=print) -> list[dict]:
    """For each row of the comparison (one target) that was run to its end: seconds of a process, cold and kept, and memory."""
    found = []
    for row in rows:
        asked = {"problem": problem, "until": until, "levels": levels} | {
            k: row[k] for k in ("contender", "form", "setting")
        }
        log(f"  new process: {problem}, {row['contender']} on {row['form']}")
        with tempfile.TemporaryDirectory() as kept:
            cold, again = _process(asked, kept), _process(asked, kept)
        if cold and again:
            found.append(
                {k: row[k] for k in ("contender", "form", "setting")}
                | {
                    "cold": cold["process"],
                    "kept": again["process"],
                    "bytes": again["bytes"],
                    "import": again["import"],
                }
            )
    return found


def _process(asked: dict, kept: str) -> dict | None:
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": kept,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, __file__, json.dumps(asked)],
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        raise SystemExit(f"{asked['contender']} on {asked['problem']} failed in a new process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1]) | {"process": time.perf_counter() - began}


def main() -> None:
    began = time.perf_counter()
    asked = json.loads(sys.argv[1])
    import numpy as np

    from contenders import named
    from problems import PROBLEMS

    contender = named(asked["contender"])
    imported = time.perf_counter() - began
    problem = PROBLEMS[asked["problem"]]()
    contender.solver(problem, asked["form"])(asked["setting"], asked["until"], np.array(asked["levels"]))
    # of the largest process so far, in kilobytes on Linux and in bytes on macOS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"import": imported, "bytes": peak}))


if __name__ == "__main__":
    main()
