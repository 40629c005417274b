"""Work against precision: the error of the stage ends, against seconds and against evaluations, of every method on its own ladder."""

import numpy as np

from contenders import by_method, named
from search import Bench, climb, public

#: Ladders go on to this error, beyond what the tables compare.
FINEST = 1e-8
OTHERS = (
    "diffrax Tsit5",
    "diffrax Dopri8",
    "diffrax Kvaerno5",
    "SciPy DOP853",
    "SciPy LSODA, Hessian",
    "SciPy Radau, Hessian",
)


def work_precision(bench: Bench, log=print) -> dict:
    """Name of each method -> its rungs, all on the compressed data where there are any."""
    problem = bench.problem
    everybody = {"saddlescope": named("saddlescope")} | by_method() | {name: named(name) for name in OTHERS}
    curves = {}
    for name, contender in everybody.items():
        if contender.refuses(problem):
            continue
        log(f"  work and precision: {problem.name}, {name}")
        rungs = climb(bench, contender, problem.forms[-1], max(FINEST, 2 * bench.ref.error))
        curves[name] = [public(r) for r in rungs if r.error is not None and np.isfinite(r.error)]
    return {"problem": problem.name, "title": problem.title, "curves": curves}
