"""The commands of `saddlescope` as dataclasses: their arguments, types, defaults and help, and nothing that they do.

Not exported by the room: the annotations need tyro, which only the command line has to wait for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from .templates import TEMPLATES

#: What can be reproduced: the paper's, and what is not in it. Written out, because the experiments themselves take seconds to import.
PAPER = (
    *(f"figure-{n}" for n in (1, 2, 3)),
    "table-1",
    *(f"figure-{n}" for n in (4, 5, 6)),
    *("theorem-1", "corollary-2", "theorem-3", "theorem-4", "proposition-5", "lemma-6", "conjecture-7"),
)
OURS = ("scoreboard", "in-the-wild")

_Json = Annotated[bool, arg(help="print the summary as JSON on stdout, and nothing else", help_behavior_hint="")]


@dataclass(frozen=True)
class Init:
    """Print a commented spec to start from."""

    name: Annotated[Positional[str], arg(metavar="NAME", help=f"one of: {', '.join(TEMPLATES)}", help_behavior_hint="")]
    out: Annotated[
        Path | None, arg(metavar="FILE", help="write it to this new file instead", help_behavior_hint="")
    ] = None


@dataclass(frozen=True)
class Run:
    """Simulate one spec: record.nc, summary.json, curve.csv and figure.png."""

    spec: Annotated[
        Positional[Path], arg(metavar="SPEC.toml", help="what to run; see `saddlescope init`", help_behavior_hint="")
    ]
    out: Annotated[
        Path | None,
        arg(metavar="DIR", help="where results go", help_behavior_hint="(default: out/ and the spec's name)"),
    ] = None
    dry_run: Annotated[
        bool, arg(help="check the spec, print it with every default filled in, and stop", help_behavior_hint="")
    ] = False
    json: _Json = False
    resume: Annotated[bool, arg(help="go on with an interrupted run of this spec in DIR", help_behavior_hint="")] = (
        False
    )
    intervene: Annotated[
        bool,
        arg(
            help="run it again with other weights, data and scales, to find what causes the plateaus",
            help_behavior_hint="",
        ),
    ] = False


@dataclass(frozen=True)
class Predict:
    """Say what theory expects of a spec, without simulating: number, heights and ends of the plateaus."""

    spec: Annotated[
        Positional[Path],
        arg(metavar="SPEC.toml", help="what would be run; see `saddlescope init`", help_behavior_hint=""),
    ]
    json: Annotated[
        bool, arg(help="print the prediction as JSON on stdout, and nothing else", help_behavior_hint="")
    ] = False


@dataclass(frozen=True)
class Show:
    """Print the table and draw the picture of a finished run again, without computing."""

    dir: Annotated[
        Positional[Path], arg(metavar="DIR", help="the directory that `saddlescope run` wrote", help_behavior_hint="")
    ]
    json: _Json = False


@dataclass(frozen=True)
class Reproduce:
    """Reproduce the paper with each claim checked: report.html and claims.json."""

    names: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="[NAME ...]",
            help=f"of {', '.join(PAPER)}; ours: {', '.join(OURS)}",
            help_behavior_hint="(default: all of the paper's)",
        ),
    ] = ()
    out: Annotated[Path, arg(metavar="DIR", help="where the report goes")] = Path("out")
    quick: Annotated[bool, arg(help="fewer seeds and shorter runs, to see that it works", help_behavior_hint="")] = (
        False
    )
    fresh: Annotated[bool, arg(help="compute again what is done already in DIR", help_behavior_hint="")] = False
    digits: Annotated[
        Path | None,
        arg(
            metavar="FILE",
            help="images of digits of your own for figure-3 and table-1: a .npz with x and y, or MNIST's ...images-idx3-ubyte(.gz) with its labels beside it",
            help_behavior_hint="(default: those that come with the package)",
        ),
    ] = None
    workers: Annotated[
        int,
        arg(metavar="N", help="experiments at a time", help_behavior_hint="(default: as many as there are cores)"),
    ] = 0
    json: Annotated[bool, arg(help="print the claims as JSON on stdout, and nothing else", help_behavior_hint="")] = (
        False
    )


@dataclass(frozen=True)
class Watch:
    """Say of somebody's training where its loss stands still, why, and when that will end: report.html and summary.json."""

    run: Annotated[
        Positional[Path],
        arg(
            metavar="RUN",
            help="a recording, a folder of checkpoints, or a CSV with step and loss",
            help_behavior_hint="",
        ),
    ]
    out: Annotated[
        Path | None,
        arg(metavar="DIR", help="where the report goes", help_behavior_hint="(default: out/ and the name of RUN)"),
    ] = None
    json: _Json = False


Command = (
    Annotated[Init, subcommand("init")]
    | Annotated[Run, subcommand("run")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Reproduce, subcommand("reproduce")]
    | Annotated[Watch, subcommand("watch")]
)
