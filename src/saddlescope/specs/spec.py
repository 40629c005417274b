"""One run as its user asks for it: a network, a task, an initialisation and a flow, from TOML or a dict."""

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._errors import SpecError
from .flow import FLOWS, FlowSpec
from .init import INITS, InitSpec
from .network import NETWORKS, LayersSpec, NetworkSpec, read_layer
from .options import place, read_variant, unknown
from .source import Source
from .values import shown

TABLES = ("network", "task", "init", "flow")


@dataclass(frozen=True)
class Spec:
    """What to run. Made by `read_spec`; every part but the task has been checked.

    **Arguments:**

    - `network`, `init`, `flow`: the chosen options, with defaults filled in; `network.architecture`, `init.kind` and
        `flow.method` say which.
    - `task`: the table as it was written, `kind` included and `file` made absolute. The classes of tasks live with the
        tasks, above which this room stands: `read_task` reads it.
    - `source`: the text that it came from, so that later messages can give lines; not part of what is compared.
    """

    network: NetworkSpec
    task: Mapping[str, Any]
    init: InitSpec
    flow: FlowSpec
    source: Source | None = field(default=None, compare=False, repr=False)

    def read_task(self, tasks: Mapping[str, type]) -> Any:
        """The task itself, given the classes by `kind` (`saddlescope.tasks.TASKS`).

        **Raises:** `SpecError` as `read_options` does, and whatever the class raises about the content of files.
        """
        return read_variant(tasks, self.task, "task", "kind", source=self.source)


def read_spec(spec: "str | os.PathLike[str] | Mapping[str, Any] | Spec") -> Spec:
    """A checked `Spec` from the path of a TOML file or from a dict with the same keys; a `Spec` is returned as it is.

    A `file` is relative to the folder of the TOML file, or for a dict to the current one, and absolute afterwards.

    **Raises:** `SpecError`, one line, with the line of the file where it is known: syntax, unknown tables and keys
    (naming the nearest), types, values. `OSError` if the file cannot be read.
    """
    if isinstance(spec, Spec):
        return spec
    if isinstance(spec, Mapping):
        return _read_tables(spec, Path.cwd(), None)
    path = Path(spec)
    source = Source(str(spec), _decode(path.read_bytes(), str(spec)))
    return _read_tables(_parse(source), path.absolute().parent, source)


def as_tables(spec: Spec, task: Any = None) -> dict[str, dict[str, Any]]:
    """The whole specification as tables of plain values, every default filled in; what is not set is left out.

    **Arguments:**

    - `task`: the task that `spec.read_task` gave, to fill in its defaults too; without it, the table as it was written.
    """
    parts = {
        "network": _as_table(spec.network, "architecture"),
        "task": dict(spec.task) if task is None else {"kind": spec.task["kind"], **_as_table(task)},
        "init": _as_table(spec.init, "kind"),
        "flow": _as_table(spec.flow, "method"),
    }
    return {
        name: {key: _plain(value) for key, value in part.items() if value is not None} for name, part in parts.items()
    }


def _read_tables(tables: Mapping[str, Any], folder: Path, source: Source | None) -> Spec:
    for name in tables:
        if name not in TABLES:
            raise unknown(name, TABLES, "a specification has no table", place(source, name))
    for name in ("network", "task"):
        if name not in tables:
            at = "" if source is None else f"{source.name}: "
            raise SpecError(f"{at}a specification needs the table [{name}], which has no defaults.")
    parts = {name: _with_absolute_file(tables.get(name, {}), folder) for name in TABLES}
    task = parts["task"]
    if not isinstance(task, Mapping):
        raise SpecError(f"{place(source, 'task')}[task] needs a table of keys, found {shown(task)}.")
    if not isinstance(task.get("kind"), str):
        what = f"found {shown(task['kind'])}" if "kind" in task else "which has no default"
        raise SpecError(f"{place(source, 'task')}[task] needs the key 'kind', the name of a task, {what}.")
    network = parts["network"]
    if isinstance(network, Mapping) and isinstance(network.get("layers"), list | tuple):
        for number, table in enumerate(network["layers"]):
            read_layer(table, number, source)  # here the text is known, and with it the line of a mistake
    return Spec(
        network=read_variant(
            NETWORKS, parts["network"], "network", "architecture", _one_a_layer(parts["network"]), source
        ),
        task=task,
        init=read_variant(INITS, parts["init"], "init", "kind", default="gaussian", source=source),
        flow=read_variant(FLOWS, parts["flow"], "flow", "method", default="gradient_flow", source=source),
        source=source,
    )


def _one_a_layer(network: Any) -> str | None:
    """The architecture of a table that names none: that of `[[network.layers]]`, where there are such tables."""
    return LayersSpec.architecture if isinstance(network, Mapping) and "layers" in network else None


def _with_absolute_file(table: Any, folder: Path) -> Any:
    if not isinstance(table, Mapping) or not isinstance(table.get("file"), str | os.PathLike):
        return table
    return {**table, "file": str(folder / table["file"])}


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a byte-order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{name}, line {line}: not valid TOML: the text is not UTF-8.") from None


def _parse(source: Source) -> dict[str, Any]:
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        # the parser gives the line in its text only: "... (at line 3, column 5)" or "... (at end of document)"
        message = str(error)
        found = re.search(r"\(at line (\d+), column \d+\)", message)
        line = int(found.group(1)) if found else len(source.text.splitlines())
        reason = re.sub(r"\s*\(at .*\)$", "", message)
        raise SpecError(f"{source.name}, line {line}: not valid TOML: {reason}.") from None
    except RecursionError:
        raise SpecError(f"{source.name}: not valid TOML: brackets are nested too deeply.") from None


def _as_table(options: Any, selector: str | None = None) -> dict[str, Any]:
    chosen = {} if selector is None else {selector: getattr(options, selector)}
    return chosen | {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.init}


def _plain(value: Any) -> Any:
    """Without NumPy, paths, tuples and dataclasses, which neither TOML nor JSON writes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({key: item for key, item in _as_table(value, "architecture").items() if item is not None})
    if not isinstance(value, type) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, os.PathLike) else value
