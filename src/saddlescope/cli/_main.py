"""From arguments to an exit code, whatever happens on the way.

Nothing heavy is imported here: `--help` answers before JAX would have loaded.
"""

import difflib
import io
import os
import sys
from collections.abc import Sequence

from ._exit import Exit


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; data go to stdout, everything else to stderr.

    **Arguments:**

    - `argv`: the arguments without the program's name; those of the process unless given.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that the terminal cannot show must not stop a run
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(argv)
        sys.stdout.flush()  # here, where a full disk or a closed pipe can still be answered
        return int(code)
    except SystemExit as stop:  # tyro has printed the help, or what is wrong with the arguments
        return stop.code if isinstance(stop.code, int) else Exit.WRONG_REQUEST
    except KeyboardInterrupt:
        return _tell("interrupted.", Exit.INTERRUPTED)
    except BrokenPipeError:
        _abandon_stdout()  # the reader has gone, as in `saddlescope ... | head`: nothing is wrong
        return Exit.WELL
    except OSError as error:
        _abandon_stdout()
        return _tell(_os_message(error), Exit.BAD_FILE)
    except ValueError as error:
        return _tell(str(error), Exit.BAD_FILE if _is_about_data(error) else Exit.WRONG_REQUEST)
    except MemoryError as error:
        return _tell(str(error) or "out of memory.", Exit.FAILED)
    except RuntimeError as error:
        from ..results import ComputationError

        if not isinstance(error, ComputationError):
            raise
        return _tell(str(error), Exit.FAILED)


def _dispatch(argv: Sequence[str] | None) -> Exit:
    if list(sys.argv[1:] if argv is None else argv) == ["--version"]:
        from .. import __version__

        print(f"saddlescope {__version__}")
        return Exit.WELL
    import tyro

    from ..specs.commands import Command, Init, Predict, Reproduce, Run, Show, Watch
    from . import _commands

    doors = {
        Init: _commands.init,
        Run: _commands.run,
        Predict: _commands.predict,
        Show: _commands.show,
        Reproduce: _commands.reproduce,
        Watch: _commands.watch,
    }
    _refuse_unknown(sys.argv[1:] if argv is None else argv, [kind.__name__.lower() for kind in doors])
    command = tyro.cli(
        Command,
        prog="saddlescope",
        description="Saddle-to-saddle training dynamics: simulate them, see where a run rests, count the units in use. "
        "Start with `saddlescope init linear --out my.toml`, or `saddlescope watch` with a training of your own. --version says which this is.",
        args=argv,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return doors[type(command)](command)


def _refuse_unknown(argv: Sequence[str], names: Sequence[str]) -> None:
    """A command that does not exist, answered with the nearest that does."""
    if not argv or argv[0].startswith("-") or argv[0] in names:
        return
    (nearest,) = difflib.get_close_matches(argv[0], names, n=1, cutoff=0.0)
    raise ValueError(f"no command {argv[0]!r}: there are {', '.join(names)} (the nearest is {nearest!r}).")


def _is_about_data(error: ValueError) -> bool:
    """Whether the content of a file is at fault, rather than the request."""
    tasks = sys.modules.get("saddlescope.tasks")  # not imported for this: what was never loaded has raised nothing
    return tasks is not None and isinstance(error, tasks.DataError)


def _os_message(error: OSError) -> str:
    if error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}."
    return str(error)


def _tell(message: str, code: Exit) -> Exit:
    print(f"saddlescope: {' '.join(message.split())}", file=sys.stderr)
    return code


def _abandon_stdout() -> None:
    """Where stdout takes nothing any more, sends the rest nowhere: Python would complain about it at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
