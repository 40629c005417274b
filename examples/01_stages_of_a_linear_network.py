"""A linear network learns its teacher one direction at a time.

Four numbers describe each stage: the loss of the saddle that the plateau visits, when the plateau ends, how exact
that time is, and how many units the function needs there.
"""

import saddlescope as ss


def main() -> None:
    record = ss.run(
        {
            "network": {"architecture": "fully_connected", "activation": "linear", "units": 50},
            "task": {"kind": "linear_teacher", "singular_values": [3.0, 1.5, 0.5]},
            "init": {"scale": 1e-6, "seed": 0},
        }
    )
    for stage in ss.summarize(record)["stages"]:
        print(
            f"{stage['kind']:6} {stage['effective_width']}  loss {stage['height']:.6f}  until t = {stage['t_end']:.6f}"
        )


if __name__ == "__main__":
    main()
