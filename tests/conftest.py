"""What all tests share: seeds that never change, and 64 bits for those that speak JAX themselves."""

import zlib

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
