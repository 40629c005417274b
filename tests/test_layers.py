"""The house's brackets: which room may import which. Reading order is import order, so no arrow goes upwards.

Read from the source (also imports inside functions, relative ones and those for types only), because an import that
happens only sometimes still ties two rooms together.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "saddlescope"

# room -> the rooms that it may import; every room may import `results` and `text`. In reading order; rooms to come are listed too.
BRACKETS = {
    "results": (),
    "text": (),
    "specs": (),
    "integrate": (),
    "series": (),
    "units": (),
    "networks": ("units",),
    "tasks": (),
    "objective": ("units", "networks", "tasks"),
    "init": ("units", "networks", "tasks"),
    # what moves, rests and is staged are networks: these rooms name their type besides the objective that they came with
    "flow": ("networks", "objective", "integrate", "series"),
    "embeddings": ("units", "networks"),
    "manifolds": ("units", "networks", "objective"),
    "complexity": ("units", "networks", "objective", "embeddings"),
    # a certificate of rest asks which units are dead or removable, which is a question of complexity
    "fixed_points": ("networks", "objective", "embeddings", "manifolds", "complexity"),
    "stages": ("networks", "objective", "series", "fixed_points", "embeddings", "manifolds", "complexity"),
    # a prediction must not see the simulation: neither flow nor stages; what counts as a plateau, `series` says for both
    "theory": (
        *("units", "networks", "tasks", "objective", "init", "integrate", "series"),
        *("embeddings", "manifolds", "complexity", "fixed_points"),
        "series",  # reads plateaus off any series, also one of theory's own
    ),
}
ARGUMENT = tuple(BRACKETS)  # the argument ends; work with it begins
BRACKETS["plots"] = ("series",)
BRACKETS["runs"] = ARGUMENT
BRACKETS["sweeps"] = (*ARGUMENT, "runs")
# `units`: what an activation in somebody's module is, is said by the facts of ours
# a report beside somebody's loop draws its own picture
BRACKETS["watch"] = ("series", "units", "networks", "objective", "complexity", "manifolds", "stages", "plots")
BRACKETS["experiments"] = (*ARGUMENT, "plots", "runs", "sweeps", "watch")
BRACKETS["web"] = BRACKETS["cli"] = ("specs", "tasks", "plots", "theory", "runs", "sweeps", "experiments", "watch")

# rooms that start without JAX (of jaxtyping, only its Array needs it), and `specs` without NumPy too
HEAVY = ("jax", "jaxlib", "equinox", "optimistix", "diffrax", "jaxtyping.Array")
WITHOUT = dict.fromkeys(("results", "text", "series", "tasks", "plots", "cli"), HEAVY)
WITHOUT["specs"] = (*HEAVY, "jaxtyping", "numpy", "scipy", "xarray", "matplotlib")


def imports(path, package):
    """The dotted names that a file imports, `saddlescope....` for those of the package, with their lines."""
    parts = ("saddlescope", *path.relative_to(package).with_suffix("").parts)
    here = parts[:-1]  # of a module or of an __init__.py: the package that one dot means
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - (node.level - 1)] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            # `from .. import runs` names the room in the list, `from ..runs import run` in the module
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            found += [(node.lineno, name)] if isinstance(name, str) and name.startswith("saddlescope.") else []
    return found


def violations(package):
    """One line for each import that the brackets do not allow, and for each room that they do not know."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        first = path.relative_to(package).parts[0]
        room = first.removesuffix(".py")
        at = path.relative_to(package).as_posix()
        if room == "__init__":
            # the front door imports nothing at its top level (its lazy imports go through names, not statements)
            body = ast.parse(path.read_text(encoding="utf-8")).body
            eager = [
                n for n in body if isinstance(n, ast.ImportFrom) and (n.level or (n.module or "").startswith("saddle"))
            ]
            wrong += [f"{at}:{node.lineno} imports a room when it is itself imported" for node in eager]
            continue
        if room == "__main__":
            room = "cli"
        if room not in BRACKETS:
            wrong.append(f"{at}: no bracket knows the room {room}")
            continue
        for line, name in imports(path, package):
            top, *rest = name.split(".")
            if top != "saddlescope":
                wrong += [
                    f"{at}:{line} {room} imports {top}" for heavy in WITHOUT.get(room, ()) if heavy in (top, name)
                ]
                continue
            target = rest[0] if rest else ""
            if target in ("__version__", room, "results", "text"):
                continue
            if target not in BRACKETS[room]:
                wrong.append(f"{at}:{line} {room} imports {target or 'the whole package'}")
    return wrong


def test_every_import_is_in_its_rooms_bracket():
    assert violations(PACKAGE) == []


def test_brackets_point_upwards_only():
    order = list(BRACKETS)
    for room, allowed in BRACKETS.items():
        assert all(order.index(above) < order.index(room) for above in allowed), room


def test_the_rooms_that_need_no_jax_start_without_it():
    # their own imports are read above; this sees what the libraries that they use bring along
    code = "import sys, importlib; [importlib.import_module('saddlescope.' + room) for room in sys.argv[1:]]"
    code += "; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_prediction_sees_no_simulation():
    assert not {"flow", "stages", "runs"} & set(BRACKETS["theory"])


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("units/a.py", "from ..networks import Layer", "units/a.py:1 units imports networks"),
        ("units/a.py", "from .. import networks", "units/a.py:1 units imports networks"),
        ("units/a.py", "import saddlescope.networks.layer", "units/a.py:1 units imports networks"),
        ("units/a.py", "import saddlescope", "units/a.py:1 units imports the whole package"),
        ("units/a.py", "def f():\n    from saddlescope.flow import x", "units/a.py:2 units imports flow"),
        ("units/deep/a.py", "from ...runs import run", "units/deep/a.py:1 units imports runs"),
        ("units/__init__.py", "from ..runs import run", "units/__init__.py:1 units imports runs"),
        ("theory/a.py", "from ..flow import flow", "theory/a.py:1 theory imports flow"),
        ("cli/a.py", "import importlib\nimportlib.import_module('saddlescope.flow')", "cli/a.py:2 cli imports flow"),
        ("tasks/a.py", "import jax.numpy as jnp", "tasks/a.py:1 tasks imports jax"),
        ("plots/a.py", "from jaxtyping import Float, Array", "plots/a.py:1 plots imports jaxtyping"),
        ("specs/a.py", "from numpy import array", "specs/a.py:1 specs imports numpy"),
        ("results.py", "from .units import Linear", "results.py:1 results imports units"),
        ("helpers/a.py", "", "helpers/a.py: no bracket knows the room helpers"),
        ("__init__.py", "from .runs import run", "__init__.py:1 imports a room when it is itself imported"),
    ],
)
def test_the_checker_finds_a_wrong_import(tmp_path, path, text, complaint):
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    assert violations(tmp_path) == [complaint]


def test_the_checker_lets_a_right_import_pass(tmp_path):
    for path, text in {
        "networks/layer.py": "import jax\nfrom ..units import Linear\nfrom ._base import A\nfrom ..results import RESULTS",
        "networks/_base.py": "from .. import __version__",
        "__init__.py": "def __getattr__(name):\n    from .runs import run",
        "results.py": "from enum import Enum",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert violations(tmp_path) == []
