"""How fast and how exact, side by side: `make bench` measures everything, writes results.json and docs/benchmarks.md.

`--quick` takes fewer problems, rounds and sizes; `--only NAME ...` takes some problems (compare) or parts (startup, growth, precision, first).
"""

import argparse
import json
import time
from pathlib import Path

import growth
import page
from about import about
from cold import first_answers
from compare import compare
from precision import work_precision
from problems import PROBLEMS
from search import Bench
from startup import startup
from yardstick import reference

HERE = Path(__file__).parent
PARTS = ("compare", "precision", "first", "growth", "startup")
QUICK = ("linear", "quadratic 1e-2", "attention tokens")
#: Problems whose first answers and memory are measured in new processes, and whose ladders are drawn.
FIRST = ("linear", "attention tokens")
DRAWN = ("linear", "quadratic 1e-2", "quadratic 1e-3", "attention cubic")
SCHEMA = "saddlescope.benchmarks/1"


def measure(
    names: list[str],
    parts: list[str],
    *,
    quick: bool,
    rounds: int,
    budget: float,
    log=print,
    save=lambda results: None,
    before: dict | None = None,
) -> dict:
    """Everything that was asked for, as it stands in results.json; `save` is given what there is after each part of it.

    `before`: results of an earlier call with the same settings, on the same machine and with the same versions. What they have is not measured again.
    """
    settings = {"schema": SCHEMA, "quick": quick, "rounds": rounds, "budget": budget, "about": about()}
    results = settings | {
        "comparisons": [],
        "precision": [],
        "first_answers": [],
        "growth": [],
        "startup": {},
    }
    spent = 0.0
    if before is not None and all(before.get(key) == value for key, value in settings.items()):
        results |= {key: before[key] for key in results}
        spent = 60 * before["minutes"]
    began = time.monotonic() - spent
    done = {c["problem"] for c in results["comparisons"]}
    for name in [n for n in names if n not in done]:
        log(f"{name}: reference")
        problem = PROBLEMS[name]()
        ref = reference(problem)
        bench = Bench(problem, ref, budget * problem.patience)
        if "compare" in parts:
            results["comparisons"].append(compare(bench, rounds=rounds, log=log))
        if "precision" in parts and name in DRAWN:
            results["precision"].append(work_precision(bench, log))
        if "first" in parts and name in (FIRST[:1] if quick else FIRST) and results["comparisons"]:
            tight = min(r["target"] for r in results["comparisons"][-1]["rows"])
            rows = [
                r
                for r in results["comparisons"][-1]["rows"]
                if r["target"] == tight
                and not r["not_run"]
                and not r["how"]
                # the samples where there is nothing else, the fewest rows where there are
                and (r["form"] == problem.forms[-1] or r["contender"].startswith(("PyTorch", "torch")))
            ]
            found = first_answers(name, rows, ref.until, ref.levels.tolist(), log)
            results["first_answers"] += [{"problem": name} | f for f in found]
        save(results | {"minutes": (time.monotonic() - began) / 60})
    if "growth" in parts:
        results["growth"] = growth.everything(quick, rounds, budget, log, results["growth"])
        save(results | {"minutes": (time.monotonic() - began) / 60})
    if "startup" in parts and not results["startup"]:
        log("command line")
        results["startup"] = startup(2 if quick else rounds, figure=not quick)
    return results | {"minutes": (time.monotonic() - began) / 60}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes: fewer problems, rounds, sizes")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=[*PROBLEMS, *PARTS],
        metavar="NAME",
        help=f"of {', '.join([*PROBLEMS, *PARTS])}",
    )
    parser.add_argument("--rounds", type=int, help="of everything that is timed (default 5, quick 3)")
    parser.add_argument(
        "--budget", type=float, help="seconds of one solve beyond which it is given up (default 5, quick 1)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where results.json, benchmarks.md and pictures go (default: benchmarks and docs; quick: out/bench)",
    )
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted measurement was")
    parser.add_argument("--note", default="", help="what a reader of the page should know of this measurement")
    asked = parser.parse_args()
    names = [n for n in asked.only if n in PROBLEMS] or (list(QUICK) if asked.quick else list(PROBLEMS))
    parts = [p for p in asked.only if p in PARTS]
    if not parts:
        parts = list(PARTS) if not asked.only else ["compare"]
    if not {"compare", "precision", "first"} & set(parts):
        names = []
    if "first" in parts and "compare" not in parts:
        parts.append("compare")  # it starts what the comparison has found
    rounds = asked.rounds or (3 if asked.quick else 5)
    budget = asked.budget or (1.0 if asked.quick else 5.0)
    # a part of the suite does not overwrite the whole
    out = asked.out or (HERE.parent / "out" / "bench" if asked.quick or asked.only else None)
    data, docs = (out, out) if out else (HERE, HERE.parent / "docs")
    docs.mkdir(parents=True, exist_ok=True)

    def save(found: dict) -> None:
        text = json.dumps(found, indent=1, allow_nan=False, default=float)
        (data / "results.json").write_text(text + "\n", encoding="utf-8")

    stored = data / "results.json"
    before = json.loads(stored.read_text(encoding="utf-8")) if asked.resume and stored.exists() else None
    results = measure(names, parts, quick=asked.quick, rounds=rounds, budget=budget, save=save, before=before)
    results["note"] = asked.note or results.get("note", "")
    save(results)
    page.write(results, docs)
    print(f"{results['minutes']:.1f} minutes. Look at {docs.name}/benchmarks.md and {data.name}/results.json.")


if __name__ == "__main__":
    main()
