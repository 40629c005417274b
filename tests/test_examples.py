"""Every example runs, within its minute, and prints what its page promises."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

# the first words of each line that a reader is shown; "..." stands for any further ones
PROMISED = {
    "01_stages_of_a_linear_network.py": [
        "origin 0  loss 5.750000",
        "rank   1  loss 1.250000",
        "rank   2  loss 0.125000",
    ],
    "02_a_unit_of_your_own.py": ["__main__:Cubic", "origin 0", "active 1"],
    "03_where_am_i.py": ["t =    1  loss 3.99", "t =   14  loss 1.33", "t =   40  loss 0.000000"],
    "04_grow_and_prune.py": [
        "trained: 200 units, loss ",
        "pruned:  2 units (rays), function changed by ",
        "stuck:   1 unit, loss 1.333333",
        "grown:   2 units, function changed by 0e+00, gradient ",
        "kicked:  function changed by ",
    ],
    "05_watch_a_pytorch_loop.py": [
        "step    0  loss 0.96",
        "step  8",
        "step 2",
        "...",
    ],
    "06_watch_a_jax_loop.py": [
        "weights: first.weight, last.weight",
        "layer first: Linear-Linear, rank 3 at the end",
        "loss below 5.0  from step    0 on, outputs vary by 0.00",
        "loss below 0.6  from step ",
        "loss below 0.06 from step ",
        "...",
    ],
    "07_when_will_it_end.py": [
        "Sequential: 250 steps, 251 losses",
        "stall at loss 2.29",
        "  why: 3 layers share a gain of ",
        "...",
    ],
}


def test_every_example_is_listed():
    assert sorted(PROMISED) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_an_example_prints_what_its_page_promises(name):
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    promised = PROMISED[name]
    if promised[-1] == "...":
        promised = promised[:-1]
        assert len(lines) > len(promised)
        lines = lines[: len(promised)]
    assert len(lines) == len(promised)
    for line, start in zip(lines, promised, strict=True):
        assert line.startswith(start)


def test_a_watched_network_needs_none_then_one_then_two_units():
    script = EXAMPLES / "05_watch_a_pytorch_loop.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert [int(line.split("needs ")[1].split()[0]) for line in lines] == [0, 1, 2]
    # the two saddles: the loss of the origin, and of the best single square
    losses = [float(line.split()[3]) for line in lines]
    assert losses[0] > losses[1] > 2 * losses[2]


def test_the_readme_shows_the_output_of_the_first_example():
    done = subprocess.run(
        [sys.executable, EXAMPLES / "01_stages_of_a_linear_network.py"], capture_output=True, text=True, check=True
    )
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    # heights to every digit; times to the six that two machines share
    for line in done.stdout.splitlines():
        assert line[:-2] in readme


def test_pruning_and_growing_keep_what_they_promise():
    script = EXAMPLES / "04_grow_and_prune.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    _, pruned, _, grown, kicked = done.stdout.splitlines()
    assert float(pruned.split()[-1]) < 1e-8
    assert float(grown.split()[-1]) < 1e-12
    assert 0 < float(kicked.split("by ")[1].split(",")[0]) < 1e-4
    assert kicked.endswith("0.000000")
