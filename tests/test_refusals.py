"""What is wrong with a request or a file is told in one line, with the place and the way out."""

import sys

import numpy as np
import pytest

from saddlescope.cli import main

SPEC = """[network]
architecture = "fully_connected"
activation = "{activation}"
units = {units}
[task]
kind = "linear_teacher"
singular_values = [3.0, 1.0]
[init]
scale = 1e-3
[flow]
{flow}
"""
UNIT = """import jax.numpy as jnp
from saddlescope.units import AbstractNeuron
class Own(AbstractNeuron):
    degree, linear, silent, order, parity = {degree}, False, True, 1, "none"
    def activation(self, z):
        return {formula}
"""


def spec(folder, activation="linear", units=4, flow="until = 1.0"):
    path = folder / "spec.toml"
    path.write_text(SPEC.format(activation=activation, units=units, flow=flow))
    return str(path)


def told(capsys, *arguments):
    code = main(arguments)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return code, lines[0]


@pytest.fixture
def module(tmp_path, request):
    """The name of a module beside the spec that nothing has imported yet."""
    name = "unit_" + "".join(c for c in request.node.name if c.isalnum())[-30:]
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = 1\nraise RuntimeError('no luck')\n", 2, "RuntimeError: no luck"),
        ("def f(:\n", 1, "SyntaxError"),
        (UNIT.format(degree=None, formula="foo(z)"), 6, "NameError: name 'foo'"),
    ],
)
def test_what_a_users_unit_raises_is_one_line_with_its_place(tmp_path, module, capsys, text, line, said):
    (tmp_path / f"{module}.py").write_text(text)
    code, message = told(capsys, "run", spec(tmp_path, f"{module}:Own"), "--dry-run")
    assert code == 2
    assert said in message
    assert f"{module}.py, line {line}" in message


@pytest.mark.parametrize(
    ("degree", "formula", "said"),
    [
        (None, "jnp.sqrt(z)", "not finite at z = -2.3"),
        (1, "jnp.where(z > 0, z, 0.2 * z)", "kinks = False (its slopes at 0 are 0.2 and 1"),
    ],
)
def test_a_unit_that_is_nan_or_bends_unsaid_is_refused_by_a_dry_run(tmp_path, module, capsys, degree, formula, said):
    (tmp_path / f"{module}.py").write_text(UNIT.format(degree=degree, formula=formula))
    code, message = told(capsys, "run", spec(tmp_path, f"{module}:Own"), "--dry-run")
    assert code == 2
    assert said in message


def test_a_width_that_no_memory_holds_is_refused_at_once(tmp_path, capsys):
    code, message = told(capsys, "run", spec(tmp_path, units=10**12), "--dry-run")
    assert code == 2
    assert "units" in message
    assert "at most 10000000" in message


def test_a_record_that_was_cut_short_is_named_with_the_way_out(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", spec(tmp_path, flow="until = 1.0\nestimate_error = false"), "--out", str(out)]) == 0
    capsys.readouterr()
    whole = (out / "record.nc").read_bytes()
    (out / "record.nc").write_bytes(whole[: len(whole) // 2])
    for arguments in (("show", str(out)), ("run", spec(tmp_path), "--out", str(out), "--resume")):
        code, message = told(capsys, *arguments)
        assert code == 3
        assert "record.nc: not a whole record" in message
        assert "again" in message


def test_steps_too_long_are_told_alone_with_the_largest_that_would_do(tmp_path, capsys):
    import saddlescope

    told = saddlescope.predict(
        spec(tmp_path, flow='method = "gradient_descent"\nlearning_rate = 0.35\nsteps = 10')
    ).outside
    assert len(told) == 1
    assert "below 0.333333" in told[0]
    assert np.isclose(1 / 3.0, 0.333333, atol=1e-6)
