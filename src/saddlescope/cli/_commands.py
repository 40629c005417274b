"""What each command does: check what was asked, call the room that does it, say where things are."""

import datetime
import errno
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..specs import TEMPLATES, read_spec, resolved
from ..specs.commands import Init, Predict, Reproduce, Run, Show, Watch
from ..specs.options import unknown
from ._exit import Exit

FAILURES = {
    "diverged": "the loss diverged",
    "nonfinite": "a number was no longer finite",
    "sliding_failed": "the flow slides along kinks and could not be followed",
}
"""Ends of a run that are failures; a run cut short by its limits is not one."""


def init(command: Init) -> Exit:
    if command.name not in TEMPLATES:
        raise unknown(command.name, TEMPLATES, "there is no spec to start from called")
    text = TEMPLATES[command.name]
    if command.out is None:
        print(text, end="")
        return Exit.WELL
    try:
        with command.out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        reason = "exists already, and a spec of yours may be in it: choose another name"
        raise OSError(errno.EEXIST, reason, str(command.out)) from None
    _log(f"wrote {command.out}; run it with: saddlescope run {command.out}")
    return Exit.WELL


def run(command: Run) -> Exit:
    from ..tasks import TASKS

    spec = read_spec(command.spec)
    task = spec.read_task(TASKS)

    from .. import runs
    from ._progress import Progress

    runs.keep_compiled_programs()
    problem = runs.prepare(spec)  # whatever is wrong with files and shapes is found here, before anything is written
    if command.dry_run:
        print(resolved(spec, task), end="")
        return Exit.WELL
    out = command.out or Path("out") / command.spec.stem
    _check_writable(out)
    schema, source = _origin(out / "summary.json")
    if schema.startswith("saddlescope.watch/"):
        raise ValueError(
            f"{out} holds the report of {source or 'a training'}, which a run would overwrite: choose another folder by --out."
        )
    if (out / "record.nc").exists() and not command.resume:
        _log(f"saddlescope: the run that is in {out} will be replaced")
    with Progress() as progress:
        record = runs.run(problem, progress=progress, resume=out if command.resume else None)
        runs.save(record, out)
        _draw(record, out)
        if command.intervene and record.attrs["ended"] != "interrupted":
            record = runs.with_cause(record, runs.cause(problem, progress=progress))
            runs.save(record, out)
    summary = runs.summarize(record)
    _print_summary(summary, command.json)
    (_log if command.json else print)(f"in {out}: record.nc, summary.json, curve.csv, figure.png")
    ended = summary["ended"]
    if ended == "interrupted":
        how = (
            "the table above is of the part that is done; go on with --resume"
            if spec.flow.method == "gradient_flow"
            else "it starts again from 0"
        )
        print(f"saddlescope: interrupted; what exists is in {out}, {how}.", file=sys.stderr)
        return Exit.INTERRUPTED
    if ended not in FAILURES:
        return Exit.WELL
    print(f"saddlescope: {FAILURES[ended]}; what was computed before is in {out}.", file=sys.stderr)
    return Exit.FAILED


def predict(command: Predict) -> Exit:
    from ..tasks import TASKS

    spec = read_spec(command.spec)
    spec.read_task(TASKS)

    from .. import runs

    runs.keep_compiled_programs()
    began = datetime.datetime.now(datetime.UTC)
    problem = runs.prepare(spec)
    summary = runs.prediction_summary(problem, runs.predict(problem), began)
    if command.json:
        _print_json(summary)
        return Exit.WELL
    from ..theory import prediction_text

    print(prediction_text(summary))
    return Exit.WELL


def show(command: Show) -> Exit:
    record, summary = _read_record(command.dir)
    _print_summary(summary, command.json)
    sys.stdout.flush()  # the table is of use even where the picture cannot be written
    _draw(record, command.dir if command.dir.is_dir() else command.dir.parent)
    return Exit.WELL


#: More claims than these are counted on the terminal, an experiment a line; all of them stand in the report.
MOST_ROWS = 30


def reproduce(command: Reproduce) -> Exit:
    from .. import experiments, runs
    from ._progress import Progress
    from ._table import claims_counts, claims_table

    known = [*experiments.EXPERIMENTS, *experiments.OURS, *(["ours"] if experiments.OURS else [])]
    for name in command.names:
        if name not in known:
            raise unknown(name, known, "there is nothing to reproduce called")
    _check_writable(command.out)
    if command.workers < 0:
        raise ValueError(
            f"--workers needs a number from 1 on, or 0 for as many as there are cores: found {command.workers}."
        )
    # a quick reproduction compiles far more than it runs
    begin = runs.keep_quickly_compiled_programs if command.quick else runs.keep_compiled_programs
    begin()
    workers = command.workers or os.cpu_count() or 1
    with Progress() as progress:
        claims = experiments.reproduce(
            command.names,
            command.out,
            command.quick,
            progress,
            fresh=command.fresh,
            workers=workers,
            begin=begin,
            digits=command.digits,
        )
    if command.json:
        _print_json({"schema": "saddlescope.claims/1", "quick": command.quick, "claims": claims})
    else:
        print(claims_table(claims) if len(claims) <= MOST_ROWS else claims_counts(claims))
    (_log if command.json else print)(f"in {command.out}: report.html, claims.json")
    surprises = [claim for claim in claims if claim["outcome"] != claim["expected"]]
    if not surprises:
        return Exit.WELL
    names = ", ".join(f"{claim['experiment']}: {claim['name']}" for claim in surprises)
    print(
        f"saddlescope: {len(surprises)} of {len(claims)} claims did not come out as expected: {names}.", file=sys.stderr
    )
    return Exit.FAILED


def watch(command: Watch) -> Exit:
    if not command.run.exists():
        raise OSError(errno.ENOENT, "no such recording, folder or table", str(command.run))
    folder = command.run if command.run.is_dir() else command.run.parent
    if (folder / "record.nc").exists():
        raise ValueError(
            f"{folder} is a run of saddlescope, not somebody's training: `saddlescope show {folder}` tells what it was."
        )
    from .. import watch as room

    try:
        recording = room.read(command.run)
    except ValueError as error:
        # all that was asked for is the content of a file, so that is what is wrong
        raise OSError(errno.EINVAL, f"cannot be watched ({' '.join(str(error).split())})", str(command.run)) from error
    if lacking := room.nothing_seen(recording):
        raise OSError(errno.EINVAL, f"cannot be watched ({lacking})", str(command.run))
    out = command.out or Path("out") / command.run.resolve().stem
    _check_writable(out)
    schema, before = _origin(out / "summary.json")
    source = str(recording.facts.get("source") or "")
    ours = schema.startswith("saddlescope.watch/")
    # by name: the same file may be asked for from another folder
    if (schema and not ours) or (before and source and Path(before).name != Path(source).name):
        what = f"the report of {before}" if ours else "the summary of something else"
        raise ValueError(f"{out} holds {what}, which this report would overwrite: choose another folder by --out.")
    report = room.report(recording, out)
    if command.json:
        _print_json(report.as_json())
    else:
        print(report)
    (_log if command.json else print)(f"in {out}: report.html, summary.json")
    return Exit.WELL


def _origin(summary: Path) -> tuple[str, str]:
    """The schema of a summary and what it was made from, each empty where there is none; "?" for the schema of something else."""
    try:
        found = json.loads(summary.read_text(encoding="utf-8"))
        return str(found.get("schema", "?")), str((found.get("facts") or {}).get("source") or "")
    except FileNotFoundError:
        return "", ""
    except (ValueError, AttributeError):
        return "?", ""


def _read_record(path: Path) -> tuple[Any, dict[str, Any]]:
    from .. import runs

    try:
        record = runs.load(path)
        return record, runs.summarize(record)
    except (ValueError, KeyError) as error:
        # all that was asked for is the content of a file, so that is what is wrong
        reason = " ".join(str(error).split())
        raise OSError(errno.EINVAL, f"not the record of a run ({reason})", str(path)) from error


def _print_summary(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(summary)
        return
    from ._table import stages_table

    print(stages_table(summary))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))


def _draw(record: Any, directory: Path) -> None:
    from .. import plots

    plots.save(plots.run_figure(record), directory / "figure", ("png",), dpi=150)


def _check_writable(directory: Path) -> None:
    """Makes the directory, and makes sure that a file can be made in it: before an hour of computing, not after."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"results cannot be written there: {error.strerror or error}", str(directory)
        ) from None


def _log(text: str) -> None:
    print(text, file=sys.stderr)
