"""What a user asks for: read exactly, refused in one line that says where and what, and written out in full."""

import math
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, fields
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saddlescope import init
from saddlescope.networks.build import ARCHITECTURES
from saddlescope.specs import (
    ACTIVATIONS,
    INITS,
    NETWORKS,
    TEMPLATES,
    AttentionSpec,
    ConvolutionalSpec,
    FullyConnectedSpec,
    GaussianSpec,
    GradientDescentSpec,
    GradientFlowSpec,
    Spec,
    SpecError,
    as_tables,
    read_options,
    read_spec,
    resolved,
)
from saddlescope.specs.source import Source
from saddlescope.tasks import TASKS
from saddlescope.units import NEURONS

NETWORK = {"architecture": "fully_connected", "units": 5}
TASK = {"kind": "linear_teacher", "singular_values": [1.0, 0.5]}


def spec(**tables: Any) -> Spec:
    return read_spec({"network": NETWORK, "task": TASK} | tables)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(call, *arguments, **keywords) -> str:
    with pytest.raises(SpecError) as caught:
        call(*arguments, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- one table into one dataclass ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Everything:
    kind: ClassVar[str] = "everything"

    number: float
    count: int = 1
    flag: bool = False
    word: str = "a"
    choice: Literal["left", "right"] = "left"
    step: Literal[1, 2] = 1
    until: Literal["converged"] | float = "converged"
    samples: int | Literal["population"] = "population"
    widths: int | list[int] = 3
    row: list[float] = field(default_factory=list)
    pair: tuple[float, float] = (0.0, 1.0)
    rows: list[list[float]] | None = None
    entries: tuple[tuple[float, ...], ...] = ()
    maybe: float | None = None
    where: Path = Path()
    table: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.count > 100:
            raise ValueError("count is at most 100.")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("number", 2, 2.0),
        ("number", -1e300, -1e300),
        ("count", 7, 7),
        ("flag", True, True),
        ("choice", "right", "right"),
        ("step", 2, 2),
        ("until", "converged", "converged"),
        ("until", 3, 3.0),
        ("samples", 3, 3),
        ("samples", "population", "population"),
        ("widths", [4, 5], [4, 5]),
        ("row", [1, 2.5], [1.0, 2.5]),
        ("pair", [1, 2], (1.0, 2.0)),
        ("rows", [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        ("entries", [[1], [2, 3]], ((1.0,), (2.0, 3.0))),
        ("maybe", None, None),
        ("maybe", 2, 2.0),
        ("where", "a/b", Path("a/b")),
        ("table", {"a": [1]}, {"a": [1]}),
    ],
)
def test_a_value_arrives_in_the_type_of_its_field(key, value, expected):
    read = getattr(read_options(Everything, {"number": 1.0, key: value}), key)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "needs"),
    [
        ("number", True, "[task] number needs a finite number, found true."),
        ("number", "1", "[task] number needs a finite number, found '1'."),
        ("number", math.nan, "[task] number needs a finite number, found nan."),
        ("number", -math.inf, "[task] number needs a finite number, found -inf."),
        ("number", 10**400, "needs a finite number"),
        ("count", 2.0, "[task] count needs an integer, found 2.0."),
        ("count", False, "[task] count needs an integer, found false."),
        ("flag", 1, "[task] flag needs true or false, found 1."),
        ("word", 3, "[task] word needs a string, found 3."),
        ("choice", "rihgt", "[task] choice needs 'left' or 'right', found 'rihgt' (the nearest is 'right')."),
        ("step", 3, "[task] step needs 1 or 2, found 3."),
        ("step", True, "[task] step needs 1 or 2, found true."),
        ("until", "convergd", "[task] until needs 'converged' or a finite number, found 'convergd' (the nearest is"),
        ("until", True, "[task] until needs 'converged' or a finite number, found true."),
        ("samples", 2.5, "[task] samples needs an integer or 'population', found 2.5."),
        ("widths", [3, 4.5], "[task] widths[1] needs an integer, found 4.5."),
        ("widths", "3", "[task] widths needs an integer or a list of integers, found '3'."),
        ("row", 1.0, "[task] row needs a list of finite numbers, found 1.0."),
        ("row", [1.0, "x"], "[task] row[1] needs a finite number, found 'x'."),
        ("row", [1.0, True], "[task] row[1] needs a finite number, found true."),
        ("row", "12", "[task] row needs a list of finite numbers, found '12'."),
        ("pair", [1], "[task] pair needs a list of 2: a finite number, a finite number, found [1]."),
        ("rows", [[1], [2, "x"]], "[task] rows[1][1] needs a finite number, found 'x'."),
        ("rows", [1, 2], "[task] rows[0] needs a list of finite numbers, found 1."),
        ("maybe", "x", "[task] maybe needs a finite number, found 'x'."),
        ("number", None, "[task] number needs a finite number, found nothing."),
        ("table", [1], "[task] table needs a table, found [1]."),
        ("word", ["x" * 80], "[task] word needs a string, found"),
    ],
)
def test_a_wrong_type_is_refused_with_what_is_needed(key, value, needs):
    assert needs in complaint(read_options, Everything, {"number": 1.0, key: value})


def test_numpy_values_are_taken_for_numbers_and_lists():
    import numpy as np

    numpy = {"number": np.float32(0.5), "count": np.int64(3), "row": np.arange(2), "flag": np.bool_(True)}
    read = read_options(Everything, numpy)
    assert (read.number, read.count, read.row, read.flag) == (0.5, 3, [0.0, 1.0], True)
    assert "found true" in complaint(read_options, Everything, {"number": np.bool_(True)})


def test_an_unknown_key_names_the_nearest_and_a_missing_one_itself():
    message = complaint(read_options, Everything, {"nubmer": 1.0}, "init")
    assert message.startswith("[init] has no key 'nubmer'; the nearest is 'number' (known: number, count,")
    assert "[init] needs the key 'number', which has no default" in complaint(read_options, Everything, {}, "init")
    assert "[init] needs a table of keys, found 3." in complaint(read_options, Everything, 3, "init")


def test_the_classs_own_errors_carry_the_tables_name_and_its_data_errors_pass_through():
    assert complaint(read_options, Everything, {"number": 1.0, "count": 101}, "flow") == "[flow] count is at most 100."

    class DataError(ValueError):
        pass

    @dataclass
    class BadFile:
        file: str

        def __post_init__(self):
            raise DataError("row 3 holds NaN")

    with pytest.raises(DataError, match="row 3"):
        read_options(BadFile, {"file": "x"})


def test_an_annotation_that_no_table_can_hold_is_a_mistake_of_ours():
    @dataclass
    class Odd:
        key: complex

    with pytest.raises(TypeError, match="cannot be annotated"):
        read_options(Odd, {"key": 1})


# --- lines ---------------------------------------------------------------------------------------

MANY_WAYS = """\
# units = 1, in a comment
network.architecture = "fully_connected"
network."units" = [
  1,  # units
  2,
]
[task]
kind = "arrays"
file = '''
units = 7
[flow]
'''
[init]
seed = 0
[flow]
until = "settled"
rtol = 1e-9
[deep.er]
inline = { seed = 3, rtol = 4 }
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("network",), 2),
        (("network", "units"), 3),
        (("task", "file"), 9),
        (("init", "seed"), 14),
        (("flow",), 15),
        (("flow", "rtol"), 17),
        (("deep", "er"), 18),
        (("deep", "er", "inline", "rtol"), 19),
        (("flow", "seed"), None),
        ((), None),
    ],
)
def test_a_key_is_found_on_its_line_however_it_is_written(path, line):
    assert Source("s", MANY_WAYS).line(path) == line


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[network]\narchitecture = fully\n", 2, "not valid TOML: Invalid value"),
        ("[network]\nunits = 3\nunits = 4\n", 3, "not valid TOML: Cannot overwrite a value"),
        ("[network\n", 1, "not valid TOML"),
        ("[network]\n\nunits = [1,\n", 3, "not valid TOML"),
        ('[network]\narchitecture = "fully_connected"\nunis = 3\n[task]\nkind = "x"', 3, "the nearest is 'units'"),
        ('[netwrok]\nunits = 3\n[task]\nkind = "x"', 1, "no table 'netwrok'; the nearest is 'network'"),
        ('[network]\narchitecture = "fully_connected"\n[task]\nkind = "x"', 1, "[network] needs the key 'units'"),
        ("[network]\nunits = 3\n[task]\n", 3, "[task] needs the key 'kind'"),
        ("[network]\nunits = 3\n[task]\nkind = 4", 3, "found 4"),
        ('[network]\nunits = 3\n[task]\nkind = "x"', 1, "[network] needs the key 'architecture': one of fully_conn"),
    ],
)
def test_an_error_in_a_file_gives_its_line(tmp_path, text, line, words):
    message = complaint(read_spec, written(tmp_path, text))
    assert message.startswith(f"{tmp_path / 'spec.toml'}, line {line}: ")
    assert words in message


def test_a_wrong_task_gives_its_line_too(tmp_path):
    text = '[network]\narchitecture = "fully_connected"\nunits = 3\n[task]\nkind = "linear_teacher"\nsingular_vales = [1]\n'
    message = complaint(read_spec(written(tmp_path, text)).read_task, TASKS)
    assert "line 6: [task] has no key 'singular_vales'; the nearest is 'singular_values'" in message
    message = complaint(read_spec(written(tmp_path, text.replace("linear_t", "liner_t"))).read_task, TASKS)
    assert "line 5: [task] kind knows no 'liner_teacher'; the nearest is 'linear_teacher'" in message


def test_a_file_that_is_no_text_is_a_wrong_spec_and_a_missing_one_an_oserror(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_bytes(b"[network]\nunits = \xff\n")
    assert "line 2: not valid TOML: the text is not UTF-8" in complaint(read_spec, path)
    path.write_text("x = " + "[" * 5000)
    assert "not valid TOML" in complaint(read_spec, path)
    with pytest.raises(FileNotFoundError):
        read_spec(tmp_path / "nope.toml")


def test_a_byte_order_mark_and_windows_lines_are_no_obstacle(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TEMPLATES["linear"].replace("\n", "\r\n").encode())
    assert read_spec(path) == read_spec(tomllib.loads(TEMPLATES["linear"]))


# --- the four tables -----------------------------------------------------------------------------


def test_only_network_and_task_have_no_defaults():
    made = spec()
    assert made.network == FullyConnectedSpec(activation="linear", units=5)
    assert made.init == GaussianSpec(scale=1e-3, convention="weight", seed=0)
    assert made.flow == GradientFlowSpec(until="converged", rtol=1e-8, order=8, max_steps=200_000, estimate_error=True)
    assert "needs the table [task]" in complaint(read_spec, {"network": NETWORK})
    assert "needs the table [network]" in complaint(read_spec, {"task": TASK})
    assert "no table 'flows'; the nearest is 'flow'" in complaint(spec, flows={})
    assert "[init] needs a table of keys, found 3." in complaint(spec, init=3)


def test_options_of_each_architecture():
    conv = {"architecture": "convolutional", "units": 4, "kernel_size": 3}
    assert spec(network=conv).network == ConvolutionalSpec(units=4, kernel_size=3, stride=3)
    assert spec(network=conv | {"stride": 1}).network.stride == 1
    heads = {"architecture": "attention", "units": 4, "input": "cubic"}
    assert spec(network=heads).network == AttentionSpec(units=4, rank=1, normalise=True, input="cubic")
    assert spec(network=NETWORK | {"units": [3, 2]}).network.units == [3, 2]
    assert spec(network=NETWORK | {"activation": "my.module:Unit"}).network.activation == "my.module:Unit"


LAYER = {"architecture": "fully_connected", "units": 3}
KERNELS = {"architecture": "convolutional", "units": 2, "kernel_size": 2}


def test_layers_of_different_kinds_are_one_table_each(tmp_path):
    text = """
        [[network.layers]]
        architecture = "convolutional"
        units = 2
        kernel_size = 2
        [[network.layers]]
        architecture = "fully_connected"
        activation = "relu"
        units = 3
        [task]
        kind = "convolutional_teacher"
    """
    made = read_spec(written(tmp_path, text))
    assert made.network.layers == [
        ConvolutionalSpec(units=2, kernel_size=2, stride=2),
        FullyConnectedSpec(units=3, activation="relu"),
    ]
    with pytest.raises(SpecError, match=r"line 8: \[network.layers\[1\]\] activation knows no 'rel'; the nearest"):
        read_spec(written(tmp_path, text.replace('"relu"', '"rel"')))
    with pytest.raises(SpecError, match=r"line 4: \[network.layers\[0\]\] has no key 'unit'"):
        read_spec(written(tmp_path, text.replace("units = 2", "unit = 2")))


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"network": NETWORK | {"units": 0}}, "[network] units needs an integer of at least 1, found 0."),
        ({"network": NETWORK | {"units": []}}, "[network] units = [] names no hidden layer"),
        ({"network": NETWORK | {"units": [3, -1]}}, "[network] units needs an integer of at least 1, found -1."),
        ({"network": NETWORK | {"units": True}}, "[network] units needs an integer or a list of integers, found true"),
        ({"network": NETWORK | {"activation": "reluu"}}, "activation knows no 'reluu'; the nearest is 'relu'"),
        ({"network": NETWORK | {"activation": "sinus"}}, "activation knows no 'sinus'; the nearest is 'sine'"),
        (
            {"network": NETWORK | {"units": [3, 3], "skip": 0}},
            "[network] skip needs an integer of at least 1, found 0.",
        ),
        ({"network": NETWORK | {"units": 3, "skip": 1}}, "skip = 1 needs a list of at least 2 hidden layers"),
        ({"network": NETWORK | {"units": [3, 4, 5], "skip": 2}}, "both need one width: found 3 and 5."),
        ({"network": {"layers": [LAYER]}}, "[network] layers needs at least two tables, found 1"),
        ({"network": {"layers": [LAYER, 3]}}, "[network] layers[1] needs a table of keys, found 3."),
        ({"network": {"layers": [LAYER, {"units": 3}]}}, "[network.layers[1]] needs the key 'architecture'"),
        (
            {"network": {"layers": [LAYER, LAYER | {"unit": 3}]}},
            "[network.layers[1]] has no key 'unit'; the nearest is",
        ),
        ({"network": {"layers": [LAYER, LAYER | {"units": [3]}]}}, "layers[1] is one layer, with one width"),
        ({"network": {"layers": [LAYER, KERNELS]}}, 'layers[1] needs architecture = "fully_connected"'),
        ({"network": NETWORK | {"layers": [LAYER, LAYER]}}, "'layers' does not apply to architecture"),
        ({"network": NETWORK | {"activation": "a:b:c"}}, "activation knows no 'a:b:c'"),
        ({"network": NETWORK | {"kernel_size": 2}}, "'kernel_size' does not apply to architecture = 'fully_connected'"),
        ({"network": NETWORK | {"architecture": "fully"}}, "knows no 'fully'; the nearest is 'fully_connected'"),
        ({"network": NETWORK | {"architecture": 3}}, "architecture needs one of fully_connected, "),
        (
            {"network": {"architecture": "attention", "units": 2, "activation": "relu"}},
            "'activation' does not apply to architecture = 'attention', only to fully_connected, convolutional",
        ),
        (
            {"network": {"architecture": "attention", "units": 2, "softmax": True, "normalise": True}},
            "[network] normalise means nothing with softmax = true",
        ),
        (
            {"network": {"architecture": "attention", "units": 2, "softmax": True, "input": "cubic"}},
            '[network] input = "cubic" needs linear attention',
        ),
        ({"network": {"architecture": "attention", "units": 2, "merged": True, "rank": 2}}, "needs separate keys"),
        ({"network": {"architecture": "attention", "units": 2, "input": "cubc"}}, "the nearest is 'cubic'"),
        (
            {"network": {"architecture": "convolutional", "units": 2, "kernel_size": 2, "stride": 0}},
            "[network] stride needs an integer of at least 1, found 0.",
        ),
        ({"init": {"scale": 0}}, "[init] zero scale is a critical point: nothing moves; choose e.g. 1e-3."),
        ({"init": {"scale": -1.0}}, "[init] scale is a standard deviation"),
        ({"init": {"scale": 1e-200}}, "[init] scale = 1e-200 makes products of weights underflow"),
        ({"init": {"scale": "small"}}, "[init] scale needs a finite number, found 'small'."),
        ({"init": {"seed": -1}}, "[init] seed needs an integer of at least 0, found -1."),
        ({"init": {"convention": "layers"}}, "the nearest is 'layer'"),
        ({"init": {"kind": "arrays"}}, "[init] needs the key 'file', which has no default (keys: kind, file)."),
        ({"init": {"kind": "arrays", "file": "x", "scale": 1.0}}, "'scale' does not apply to kind = 'arrays'"),
        ({"init": {"kind": "low_rank", "rank": 0}}, "[init] rank needs an integer of at least 1, found 0."),
        ({"init": {"rank": 2}}, "'rank' does not apply to kind = 'gaussian', only to low_rank"),
        ({"flow": {"rtol": 1e-14}}, "[flow] rtol needs a number from 1e-13 to 1e-4, found 1e-14."),
        ({"flow": {"rtol": 0.1}}, "[flow] rtol needs a number from 1e-13 to 1e-4, found 0.1."),
        ({"flow": {"until": 0}}, "[flow] until needs a positive time, found 0.0."),
        ({"flow": {"until": "setled"}}, "(the nearest is 'settled')"),
        ({"flow": {"order": 7}}, "[flow] order needs 8 or 5, found 7."),
        ({"flow": {"max_steps": 0}}, "[flow] max_steps needs an integer of at least 1, found 0."),
        ({"flow": {"steps": 10}}, "'steps' does not apply to method = 'gradient_flow', only to gradient_descent"),
        ({"flow": {"method": "gradient_descent", "steps": 10}}, "[flow] needs the key 'learning_rate'"),
        ({"flow": {"method": "gradient_descent", "learning_rate": 0.1}}, "[flow] needs the key 'steps'"),
        (
            {"flow": {"method": "gradient_descent", "steps": 9, "learning_rate": 0.1, "until": 3}},
            "'until' does not apply to method = 'gradient_descent'",
        ),
        (
            {"flow": {"method": "gradient_descent", "steps": 9, "learning_rate": 0.1, "rtol": 1e-8}},
            "'rtol' does not apply to method = 'gradient_descent'",
        ),
        ({"flow": {"method": "gradient_descent", "steps": 9, "learning_rate": 0}}, "learning_rate needs a positive"),
        (
            {"flow": {"method": "gradient_descent", "steps": 0, "learning_rate": 1}},
            "steps needs an integer of at least",
        ),
        ({"flow": {"method": "adam"}}, "[flow] method knows no 'adam'"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(tables, words):
    assert words in complaint(spec, **tables)


def test_gradient_descent_takes_a_learning_rate_and_steps():
    flow = {"method": "gradient_descent", "learning_rate": 1, "steps": 10}
    assert spec(flow=flow).flow == GradientDescentSpec(learning_rate=1.0, steps=10)


def test_files_are_relative_to_the_specs_folder_or_to_the_current_one(tmp_path, monkeypatch):
    tables = {"task": {"kind": "arrays", "file": "problem.npz"}, "init": {"kind": "arrays", "file": "/a/init.npz"}}
    (tmp_path / "sub").mkdir()
    path = written(
        tmp_path / "sub", resolved(spec()).split("[task]")[0] + '[task]\nkind = "arrays"\nfile = "problem.npz"'
    )
    monkeypatch.chdir(tmp_path)
    assert read_spec("sub/spec.toml").task["file"] == str(path.parent / "problem.npz")
    made = spec(**tables)
    assert made.task["file"] == str(tmp_path / "problem.npz")
    assert made.init.file == "/a/init.npz"
    assert read_spec(made) is made


# --- writing it out ------------------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
widths = st.integers(1, 10**7)
seeds = st.integers(0, 2**63)
plain = st.booleans() | st.integers(-(2**63), 2**63) | finite | names
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
activations = st.sampled_from((*ACTIVATIONS, "my.units:Swish"))


def tables(**options: st.SearchStrategy) -> st.SearchStrategy:
    """Tables with any choice of the optional keys; those that end with an underscore are required."""
    required = {key[:-1]: value for key, value in options.items() if key.endswith("_")}
    return st.fixed_dictionaries(required, optional={k: v for k, v in options.items() if not k.endswith("_")})


networks = st.one_of(
    tables(
        architecture_=st.just("fully_connected"), units_=widths | st.lists(widths, min_size=1), activation=activations
    ),
    tables(
        architecture_=st.just("convolutional"),
        units_=widths,
        kernel_size_=widths,
        stride=widths,
        activation=activations,
    ),
    tables(
        architecture_=st.just("attention"),
        units_=widths,
        rank=widths,
        normalise=st.booleans(),
        input=st.sampled_from(("tokens", "cubic")),
    ),
    tables(architecture_=st.just("attention"), units_=widths, merged=st.just(True)),
    tables(architecture_=st.just("attention"), units_=widths, softmax_=st.just(True), rank=widths),
    st.builds(
        lambda layers: {"layers": layers},
        st.lists(
            tables(architecture_=st.just("fully_connected"), units_=widths, activation=activations),
            min_size=2,
            max_size=4,
        ),
    ),
)
tasks = st.builds(lambda kind, rest: rest | {"kind": kind}, names, st.dictionaries(names, values, max_size=4))
scales = st.floats(1e-75, 1e3)
conventions = st.sampled_from(("weight", "layer"))
inits = st.one_of(
    tables(kind=st.sampled_from(("gaussian", "balanced")), scale=scales, convention=conventions, seed=seeds),
    tables(kind_=st.just("low_rank"), scale=scales, seed=seeds, rank=widths),
    tables(kind_=st.just("arrays"), file_=names),
)
flows = st.one_of(
    tables(
        method=st.just("gradient_flow"),
        until=st.sampled_from(("converged", "settled")) | st.floats(min_value=0, exclude_min=True, max_value=1e300),
        rtol=st.floats(1e-13, 1e-4),
        order=st.sampled_from((5, 8)),
        max_steps=widths,
        estimate_error=st.booleans(),
    ),
    tables(
        method_=st.just("gradient_descent"),
        learning_rate_=st.floats(min_value=0, exclude_min=True, max_value=1e3),
        steps_=widths,
    ),
)


@given(tables(network_=networks, task_=tasks, init=inits, flow=flows))
def test_what_is_written_out_reads_back_to_the_same_spec(asked):
    made = read_spec(asked)
    text = resolved(made)
    again = tomllib.loads(text)
    assert read_spec(again) == made
    assert resolved(read_spec(again)) == text


@given(tables(network_=networks, task_=tasks, init=inits, flow=flows))
def test_nothing_is_left_to_a_default(asked):
    made = read_spec(asked)
    full = as_tables(made)
    assert list(full) == ["network", "task", "init", "flow"]
    for name, selector in {"network": "architecture", "init": "kind", "flow": "method"}.items():
        options = getattr(made, name)
        given = {option.name for option in fields(options) if getattr(options, option.name) is not None}
        assert set(full[name]) == {selector, *given}
        assert full[name][selector] == getattr(options, selector)


def test_writing_can_be_seen_to_fail():
    # the round trip above compares specs: a changed number must not compare as the same
    made = read_spec(tomllib.loads(TEMPLATES["linear"]))
    changed = tomllib.loads(resolved(made).replace("scale = 1e-05", "scale = 1.0000000000000003e-05"))
    assert read_spec(changed) != made


# --- what comes with it --------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_spec_whose_task_exists(tmp_path, name):
    made = read_spec(written(tmp_path, TEMPLATES[name]))
    task = made.read_task(TASKS)
    full = read_spec(tomllib.loads(resolved(made, task)))
    assert (full.network, full.init, full.flow) == (made.network, made.init, made.flow)
    assert full.read_task(TASKS) == task
    assert max(map(len, TEMPLATES[name].splitlines())) <= 120


def test_activations_are_the_neurons_that_there_are():
    assert set(ACTIVATIONS) == set(NEURONS)


@pytest.mark.parametrize("kind", INITS)
def test_the_options_of_an_initialisation_are_the_arguments_of_its_function(kind):
    arguments = list(signature(init.INITS[kind]).parameters)[1:]  # the first is the network
    assert sorted(arguments) == sorted(option.name for option in fields(INITS[kind]))


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_options_of_an_architecture_are_the_arguments_of_its_function(architecture):
    arguments = list(signature(ARCHITECTURES[architecture]).parameters)[2:]  # the first are shapes
    assert sorted(arguments) == sorted(option.name for option in fields(NETWORKS[architecture]))


def test_reading_a_spec_imports_neither_jax_nor_numpy():
    code = "import sys, saddlescope.specs; print({'jax', 'numpy', 'matplotlib', 'tyro'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
