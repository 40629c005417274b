"""docs/spec.md against what it describes: keys, types, defaults, arrays, facts, ends and exit codes. Nothing is simulated."""

import dataclasses
import re
import tomllib
import typing
from pathlib import Path

import jax
import numpy as np
import pytest

from saddlescope.cli._commands import FAILURES
from saddlescope.cli._exit import Exit
from saddlescope.flow import Trajectory
from saddlescope.networks import build
from saddlescope.specs import FLOWS, INITS, NETWORKS, read_spec
from saddlescope.specs.values import wanted
from saddlescope.tasks import TASKS
from saddlescope.units import NEURONS, AbstractNeuron, Facts, wrong_facts

PAGE = (Path(__file__).parents[1] / "docs" / "spec.md").read_text(encoding="utf-8")

# table of a spec -> (the key that chooses, its default, the variants)
TABLES = {
    "network": ("architecture", None, NETWORKS),
    "task": ("kind", None, TASKS),
    "init": ("kind", "gaussian", INITS),
    "flow": ("method", "gradient_flow", FLOWS),
}


# ----------------------------------------------------------------------------------------------------- reading the page


def sections(page: str) -> dict[tuple[str, str], str]:
    """(heading of level 2, heading of level 3 or "") -> the text below it."""
    found, chapter, section = {}, "", ""
    for line in page.splitlines():
        if line.startswith("## "):
            chapter, section = line[3:], ""
        elif line.startswith("### "):
            section = line[4:]
        else:
            found[chapter, section] = found.get((chapter, section), "") + line + "\n"
    return found


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a text: rows of cells, the head first, without the ruler."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    rows = [[[cell.strip() for cell in line.strip("|").split(" | ")] for line in b.splitlines()] for b in blocks]
    return [[row for i, row in enumerate(table) if i != 1] for table in rows]


def table(text: str, head: str) -> list[list[str]]:
    """The rows below the head of the one table whose first column is called `head`."""
    (found,) = [rows[1:] for rows in tables(text) if rows[0][0].strip("| ") == head]
    return [[cell.strip("| ") for cell in row] for row in found]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def wrong_keys(page: str) -> list[str]:
    """What the page says of the keys of a spec and is not so; a line for each."""
    wrong = []
    found = sections(page)
    described = {(chapter, name) for chapter, name in found if chapter.startswith("[") and name}
    wrong += [f"{place} is no variant" for place in described - {(f"[{t}]", v) for t in TABLES for v in TABLES[t][2]}]
    for name, (_, _, variants) in TABLES.items():
        for variant, cls in variants.items():
            where = f"[{name}] {variant}"
            try:
                rows = {row[0]: row[1:] for row in table(found[f"[{name}]", variant], "key")}
            except (KeyError, ValueError):
                wrong.append(f"{where} has no table of keys")
                continue
            types = typing.get_type_hints(cls)
            fields = {f"`{f.name}`": f for f in dataclasses.fields(cls) if f.init}
            wrong += [f"{where} has no key {key}" for key in rows.keys() - fields.keys()]
            wrong += [f"{where} {key} is missing" for key in fields.keys() - rows.keys()]
            for key in fields.keys() & rows.keys():
                kind, default, meaning = rows[key]
                if kind != wanted(types[fields[key].name]).replace("'", '"'):
                    wrong.append(f"{where} {key} is {wanted(types[fields[key].name])}, not {kind}")
                if not is_default(default, fields[key].default):
                    wrong.append(f"{where} {key} does not default to {default}")
                if not meaning:
                    wrong.append(f"{where} {key} has no meaning")
    # keys that are named in passing, `key = value`
    known = {f.name for _, _, variants in TABLES.values() for cls in variants.values() for f in dataclasses.fields(cls)}
    known |= {chosen_by for chosen_by, _, _ in TABLES.values()} | set(Facts._fields)
    named = [match[1] for span in spans(page) if (match := re.match(r"(\w+) = ", span))]
    return wrong + [f"there is no key {name}" for name in named if name not in known]


def is_default(cell: str, default: object) -> bool:
    if default is dataclasses.MISSING:
        return cell == "required"
    if default is None:
        return cell.startswith("unset: ")
    if not re.fullmatch("`[^`]+`", cell):
        return False
    plain = list(default) if isinstance(default, tuple) else default
    said = tomllib.loads(f"value = {cell[1:-1]}")["value"]
    return said == plain and type(said) is type(plain)


# ----------------------------------------------------------------------------------------------------------------- keys


def test_the_page_has_every_key_with_its_type_and_default_and_no_other():
    assert wrong_keys(PAGE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("| `stride` |", "| `strides` |", "[network] convolutional has no key `strides`"),
        ("| `opposite` | true or false | `false` |", "| `opposite` | true or false | `true` |", "`opposite` does not"),
        ("| `1e-8` |", "| `1e-9` |", "[flow] gradient_flow `rtol` does not default to `1e-9`"),
        ("| `0.0` | standard", "| `0` | standard", "[task] linear_teacher `noise` does not default to `0`"),
        ("| `steps` | an integer | required |", "| `steps` | an integer | `100` |", "`steps` does not default"),
        (
            "| `per_class` | an integer | unset: all |",
            "| `per_class` | an integer | required |",
            "`per_class` does not",
        ),
        ("| `order` | 8 or 5 |", "| `order` | 8, 5 or 3 |", "[flow] gradient_flow `order` is 8 or 5, not"),
        ("| `learning_rate` | a finite number | required | above 0 |\n", "", "`learning_rate` is missing"),
        ("### low_rank", "### low", "[init] low_rank has no table of keys"),
        ("### low_rank", "### low", "is no variant"),
        ('`input = "cubic"`', '`inputting = "cubic"`', "there is no key inputting"),
    ],
)
def test_a_mistake_on_the_page_is_seen(right, wrong, complaint):
    assert right in PAGE
    assert any(complaint in found for found in wrong_keys(PAGE.replace(right, wrong)))


def test_the_page_says_which_key_chooses_a_variant():
    rows = {row[0]: row[1:] for row in table(sections(PAGE)["", ""], "table")}
    assert rows.keys() == {f"`[{name}]`" for name in TABLES}
    for name, (chosen_by, default, variants) in TABLES.items():
        said = rows[f"`[{name}]`"]
        assert said[:2] == [f"`{chosen_by}`", "required" if default is None else f'`"{default}"`']
        assert spans(said[2]) == list(variants)
    plain = read_spec({"network": {"architecture": "attention", "units": 1}, "task": {"kind": "digits"}})
    assert (plain.init.kind, plain.flow.method) == (TABLES["init"][1], TABLES["flow"][1])


def test_the_page_says_which_task_is_for_which_network():
    suits = {"vectors": "fully_connected", "signals": "convolutional", "tokens": "attention", "cubic": "attention"}
    said = {task: row[1] for row in table(sections(PAGE)["[task]", ""], "task") for task in spans(row[0])}
    assert said.pop("arrays") == "every network"
    assert set(TASKS["arrays"].forms) == set(suits)
    assert {task: set(spans(networks)) for task, networks in said.items()} == {
        name: {suits[form] for form in task.forms} for name, task in TASKS.items() if name != "arrays"
    }


def test_the_spec_on_the_page_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    read_spec(tomllib.loads(text)).read_task(TASKS)


# --------------------------------------------------------------------------------------------------------------- arrays

# the row of the page, a network of that row, shape of one x, outputs
SIZES = {
    "`fully_connected`, one width": ("fully_connected", {"activation": "relu", "units": 5}, (3,), 2),
    "`convolutional`": ("convolutional", {"activation": "relu", "units": 5, "kernel_size": 3}, (7,), 2),
    "`attention` on tokens": ("attention", {"units": 5, "rank": 2}, (6, 4), 3),
    "the same, merged": ("attention", {"units": 5, "merged": True}, (6, 4), 3),
    "`attention` on cubic features": ("attention", {"units": 5, "rank": 2, "input": "cubic"}, (2, 4), 1),
    "the same, merged (cubic)": ("attention", {"units": 5, "merged": True, "input": "cubic"}, (2, 4), 1),
}


def test_the_page_gives_names_and_shapes_of_initial_weights():
    rows = table(sections(PAGE)["[init]", "arrays"], "network")
    deep = rows.pop(1)
    assert [row[0] for row in rows] == [name.removesuffix(" (cubic)") for name in SIZES]
    for (_, said), (architecture, options, x_shape, outputs) in zip(rows, SIZES.values(), strict=True):
        length = x_shape[-1]
        sizes = {"inputs": length, "embedding": length, "outputs": outputs, "positions": length // 3} | options
        shapes = {}
        for names, axes in re.findall(r"((?:`\w+`(?:, )?)+) \[([^]]*)\]", said):
            shape = tuple(int(axis) if axis.isdigit() else sizes[axis] for axis in axes.split(", "))
            shapes |= dict.fromkeys(spans(names), shape)
        made = build(architecture, x_shape, outputs, options).arrays()
        assert shapes == {name: np.shape(array) for name, array in made.items()}
    for widths in ([4], [4, 6], [4, 6, 5]):
        dims = build("fully_connected", (3,), 2, {"activation": "tanh", "units": widths}).dims()
        axes = {name: f"`{name}` [{', '.join(axes)}]" for name, axes in dims.items()}
        first, *between, last = axes
        assert axes[first] in deep[1]
        assert all(axes[name] in deep[1] for name in between[:1])
        assert list(dims[last]) == ["outputs", f"hidden_{len(widths)}"]
        assert last == f"W{len(widths) + 1}"
    assert "`WL` [outputs, hidden_(L−1)]" in deep[1]


# ---------------------------------------------------------------------------------------------------------------- facts

FORMULAS = {
    "z³": lambda z: z**3,
    "z tanh z": lambda z: z * jax.numpy.tanh(z),
    "z / (1 + e⁻ᶻ)": jax.nn.silu,
    "ln(1 + eᶻ)": jax.nn.softplus,
}


def test_the_facts_on_the_page_are_facts_of_the_formulas():
    text = sections(PAGE)["A unit of your own", ""]
    assert [row[0] for row in table(text, "fact")] == [f"`{name}`" for name in Facts._fields]
    rows = {row[0]: row[1:] for row in table(text, "σ(z)")}
    for formula, said in rows.items():
        named = spans(formula)
        degree, linear, silent, order, parity = said
        facts = Facts(
            None if degree == "None" else int(degree), linear == "True", silent == "True", int(order), parity, False
        )
        if named:
            assert NEURONS[named[0]]().facts._replace(kinks=False) == facts
        else:
            assert wrong_facts(neuron_of(FORMULAS[formula], facts)) == []
    assert {name for formula in rows for name in spans(formula)} == set(NEURONS)
    assert wrong_facts(neuron_of(FORMULAS["z³"], Facts(2, False, True, 3, "odd", False))) == ["degree = 2"]


def neuron_of(formula, facts: Facts) -> AbstractNeuron:
    declared = {name: getattr(facts, name) for name in ("degree", "linear", "silent", "order", "parity")}
    annotations = dict.fromkeys(declared, typing.ClassVar[object])
    body = declared | {"__annotations__": annotations, "activation": lambda self, z: formula(z)}
    return type(AbstractNeuron)("Made", (AbstractNeuron,), body)()


# ------------------------------------------------------------------------------------------------------------------ ends


def test_the_page_has_every_end_of_a_run_and_every_exit_code():
    text = sections(PAGE)["How a run ends", ""]
    said = {row[0].strip("`"): int(row[2]) for row in table(text, "ended")}
    listed = re.search(r"`ended`:((?:[\s|]+\w+)+)", Trajectory.__doc__ or "")
    assert listed is not None
    assert set(said) == set(re.findall(r"\w+", listed[1]))
    assert {end for end, code in said.items() if code == Exit.FAILED} == set(FAILURES)
    assert {end for end, code in said.items() if code == Exit.INTERRUPTED} == {"interrupted"}
    assert [int(row[0]) for row in table(text, "exit code")] == [int(code) for code in Exit]


def test_the_snippets_on_the_landscape_run_one_after_the_other():
    text = (Path(__file__).parents[1] / "docs" / "landscape.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    scope: dict = {}
    for block in blocks:
        exec(compile(block, "landscape.md", "exec"), scope)
    assert scope["back"].misfit < 1e-12
    assert scope["wide"].network.u.shape[0] == 8
