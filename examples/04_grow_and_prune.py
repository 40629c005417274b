"""Cut a trained network to the units it needs, and grow one that is stuck.

What a wide network computes at the end of a run a narrow one can compute too: `prune` finds it. And a narrow network at the bottom of
its own landscape sits on a saddle of a wider one: `grow` takes it there with function and gradient as they were, and a kick lets it go on.
"""

from saddlescope.fixed_points import find, grow, prune
from saddlescope.flow import gradient_flow
from saddlescope.runs import prepare
from saddlescope.specs import read_spec


def main() -> None:
    wide = prepare(
        read_spec(
            {
                "network": {"architecture": "fully_connected", "activation": "relu", "units": 200},
                "task": {"kind": "orthogonal_relu", "norms": [1.5, 1.0, 0.8], "targets": [1.4, -1.4, 0.9]},
                "init": {"scale": 1e-4, "seed": 0},
            }
        )
    )
    trained = gradient_flow(wide.network, wide.objective, until=60.0)
    cut = prune(trained.network(-1), wide.objective)
    print(f"trained: 200 units, loss {trained.loss[-1]:.1e}")
    print(f"pruned:  {cut.complexity.widths[0]} units ({cut.complexity.kind}), function changed by {cut.change:.0e}")

    narrow = prepare(
        read_spec(
            {
                "network": {"architecture": "fully_connected", "activation": "quadratic", "units": 1},
                "task": {"kind": "quadratic_teacher", "matrix": [[1.0, 0.0], [0.0, 1.0]]},
                "init": {"scale": 1e-1, "seed": 0},
            }
        )
    )
    stuck = find(gradient_flow(narrow.network, narrow.objective, until=20.0).network(-1), narrow.objective)
    assert stuck is not None
    print(f"stuck:   1 unit, loss {stuck.loss:.6f}")
    same = grow(stuck.network, narrow.objective, units=1)
    print(f"grown:   2 units, function changed by {same.change:.0e}, gradient {same.gradient:.0e}")
    kicked = grow(stuck.network, narrow.objective, units=1, kick=1e-2)
    free = gradient_flow(kicked.network, narrow.objective, until=100.0)
    print(f"kicked:  function changed by {kicked.change:.0e}, loss in the end {free.loss[-1]:.6f}")


if __name__ == "__main__":
    main()
