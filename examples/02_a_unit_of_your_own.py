"""A unit of your own: write the formula and the facts, and everything else works with it unchanged.

A cubed neuron learns in stages even where the data favour no direction, since each unit grows at a rate set by its own
size: the facts `order = 3` and `degree = 3` say so, and effective width then counts active units.
"""

import tempfile
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

import saddlescope as ss
from saddlescope.units import AbstractNeuron


class Cubic(AbstractNeuron):
    r"""$\phi(x; u) = (u \cdot x)^3$."""

    degree: ClassVar[int | None] = 3
    linear: ClassVar[bool] = False
    silent: ClassVar[bool] = True
    order: ClassVar[int] = 3
    parity: ClassVar[Literal["odd", "even", "none"]] = "odd"

    def activation(self, z):
        return z**3


def main() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((200, 2))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        np.savez(file, x=x, y=x[:, :1] ** 3 + 0.6 * x[:, 1:] ** 3)
        record = ss.run(
            {
                "network": {"architecture": "fully_connected", "activation": f"{__name__}:Cubic", "units": 8},
                "task": {"kind": "arrays", "file": str(file)},
                "init": {"scale": 0.05, "seed": 1},
            }
        )
    summary = ss.summarize(record)
    print(f"{record.attrs['title']}: {summary['ended']}, loss {summary['final_loss']:.1e}, cause: {summary['cause']}")
    for stage in summary["stages"]:
        print(
            f"{stage['kind']:6} {stage['effective_width']}  loss {stage['height']:.4f}  until t = {stage['t_end']:.4f}"
        )


if __name__ == "__main__":
    main()
