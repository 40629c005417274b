"""Experiments side by side: what they return, how they fail, and that nothing goes on after an interrupt."""

import os
import signal
import time

import pytest

from saddlescope.cli._progress import Progress
from saddlescope.experiments._side_by_side import side_by_side
from saddlescope.results import RESULTS, ComputationError


class Odd(Exception):
    """Cannot be put together again from its words, as pickle would."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def begin() -> None:
    os.environ["BEGUN"] = "yes"


def work(name: str, progress) -> tuple[str, int, str | None]:
    progress(0.5, f"{name}: half")
    if name == "wrong":
        raise ValueError("it is wrong")
    if name == "stalled":
        raise ComputationError(RESULTS.stalled, "It ended at t = 1.")
    if name == "killed":
        os.kill(os.getpid(), 9)
    if name == "odd":
        raise Odd(1, 2)
    if name == "unsendable":
        return lambda: None
    if name.startswith("/"):
        with open(name, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(60)
    return name, os.getpid(), os.environ.get("BEGUN")


def quiet(part: float | None, text: str) -> None:
    assert part is not None
    assert 0.0 <= part <= 1.0


def test_each_name_has_a_process_of_its_own_that_has_begun():
    said: list[tuple[float | None, str]] = []
    found = dict(side_by_side(work, ["a", "b", "c"], 2, begin, lambda part, text: said.append((part, text))))
    assert {name: value[0] for name, value in found.items()} == {"a": "a", "b": "b", "c": "c"}
    assert len({value[1] for value in found.values()} | {os.getpid()}) == 4
    assert all(value[2] == "yes" for value in found.values())
    assert said[-1] == (1.0, said[-1][1])
    assert said[-1][1].startswith("[3 of 3 done]")


def test_one_ended_from_outside_gives_up_the_others():
    began = time.monotonic()
    with pytest.raises(MemoryError, match="outside"):
        list(side_by_side(work, ["killed", "/dev/null", "a"], 2, begin, quiet))
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("wrong", ValueError, "it is wrong"),
        ("stalled", ComputationError, "t = 1"),
        ("killed", MemoryError, "outside"),
        ("odd", RuntimeError, "Odd: 1 and 2"),
        ("unsendable", RuntimeError, "cannot be sent"),
    ],
)
def test_what_a_process_raises_is_raised_here(name, kind, words):
    with pytest.raises(kind, match=words) as caught:
        list(side_by_side(work, [name], 2, begin, quiet))
    if kind is ComputationError:
        assert caught.value.result is RESULTS.stalled


def test_an_interrupt_ends_the_processes(tmp_path):
    place = tmp_path / "process"

    def interrupted(part: float | None, text: str) -> None:
        if place.exists() and place.read_text():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(work, [str(place), "a"], 2, begin, interrupted))
    assert time.monotonic() - began < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), 0)


def test_a_term_signal_is_answered_as_an_interrupt():
    with Progress() as progress:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            progress(0.5, "half")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
