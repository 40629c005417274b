"""Our driver against solvers that others wrote, on the same field."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import small
from saddlescope.flow import field_of, gradient_flow, weights_of
from saddlescope.series import interpolate_loss

SETTINGS = {"linear": (1e-4, 30.0), "quadratic": (3e-2, 12.0), "tanh": (1e-3, 25.0)}


@pytest.mark.parametrize("activation", sorted(SETTINGS))
@pytest.mark.parametrize("order", [8, 5])
def test_the_loss_is_that_of_diffrax_at_a_tighter_tolerance(activation, order):
    scale, until = SETTINGS[activation]
    rng = np.random.default_rng(3)
    x = rng.normal(size=(12, 3))
    y = x[:, :1] * 1.5 if activation != "quadratic" else x[:, :1] ** 2 + 0.5 * x[:, 1:2] ** 2
    init = {"u": scale * rng.normal(size=(4, 3)), "v": scale * rng.normal(size=(4, 1))}
    network, objective = small.neurons(activation, x, y, init)
    run = gradient_flow(network, objective, until=until, order=order, rtol=1e-9)
    times = np.linspace(0.0, until, 41)
    with jax.enable_x64(True):
        field = field_of(objective, network)
        none = jnp.zeros((0,), jnp.int32)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: field(y, none)[1]),
            diffrax.Dopri8(),
            0.0,
            until,
            1e-3,
            jnp.asarray(weights_of(network)),
            saveat=diffrax.SaveAt(ts=jnp.asarray(times)),
            stepsize_controller=diffrax.PIDController(rtol=1e-11, atol=1e-13 * scale),
            max_steps=100_000,
        )
        loss = np.asarray(jax.vmap(lambda y: field(y, none)[0])(solution.ys))
    ours = interpolate_loss(run.t, run.loss, run.speed, times)
    # reading the curve by cubic Hermite may add 1e-6, the steps themselves 1e-7 at this rtol
    assert np.max(np.abs(ours - loss)) < 1e-6 * loss[0]
    assert np.ptp(loss) > 0.5 * loss[0]  # there was something to get wrong
    assert np.max(np.abs(1.01 * ours - loss)) > 1e-6 * loss[0]
