"""Rooms one by one: flow from a state of your own, and ask what the network needs at each moment.

`saddlescope.run` does all this; a theorist who wants to change one step takes the rooms apart.
"""

from saddlescope.complexity import effective_width
from saddlescope.fixed_points import certify
from saddlescope.flow import gradient_flow
from saddlescope.runs import prepare
from saddlescope.specs import read_spec


def main() -> None:
    problem = prepare(
        read_spec(
            {
                "network": {"architecture": "fully_connected", "activation": "quadratic", "units": 10},
                "task": {"kind": "quadratic_teacher", "matrix": [[1.0, 0.0], [0.0, 1.0]]},
                "init": {"scale": 1e-2, "seed": 0},
            }
        )
    )
    for time in (1.0, 14.0, 40.0):
        run = gradient_flow(problem.network, problem.objective, until=time)
        here = run.network(-1)
        needs = effective_width(here, problem.objective)
        rests = certify(here, problem.objective).rests
        print(f"t = {time:4.0f}  loss {run.loss[-1]:.6f}  units needed {needs.widths[0]}  can rest here: {rests}")


if __name__ == "__main__":
    main()
