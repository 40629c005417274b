"""What all tests share: seeds that never change, and 64 bits for those that speak JAX themselves."""

import itertools
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest


@pytest.fixture
def rng(request) -> np.random.Generator:
    """A generator of this test's own: the same numbers whenever and beside whatever the test runs."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def x64():
    """A 64-bit scope, for tests that call JAX with no package function between; the user's setting stays as it is."""
    with jax.enable_x64(True):
        yield


_count = itertools.count(1)
#: A process may have some 65 000 memory mappings on a usual Linux, and every compiled program takes a few.
MOST_MAPPINGS, EVERY = 30_000, 20


@pytest.fixture(autouse=True)
def few_mappings():
    """Compiled programs are let go before a process of many tests runs out of memory mappings, where compilers crash without a word."""
    yield
    maps = Path("/proc/self/maps")
    if next(_count) % EVERY == 0 and maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()
