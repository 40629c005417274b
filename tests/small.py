"""Small networks on small data, made without a spec: what tests of single rooms start from."""

from functools import partial

import numpy as np

from saddlescope import networks, objective
from saddlescope.fixed_points import certify
from saddlescope.flow import gradient_flow
from saddlescope.init import put
from saddlescope.series import crossing_time, find_plateaus
from saddlescope.tasks import Samples


def problem(architecture, x, y, init=None, weight=None, *, seed=0, scale=1e-2, compress=None, **options):
    """A network with the weights `init`, or normal ones, and its objective on the samples."""
    x, y = np.asarray(x, float), np.asarray(y, float).reshape(len(x), -1)
    empty = networks.build(architecture, x.shape[1:], y.shape[1], options)
    if init is None:
        rng = np.random.default_rng(seed)
        init = {name: scale * rng.normal(size=a.shape) for name, a in empty.arrays().items()}
    network = put(empty, init)
    return network, objective.build(Samples(x, y, weight), network, compress=compress)


def neurons(activation, x, y, init=None, *, units=4, **more):
    if init is not None:
        units = len(init["u"])
    return problem("fully_connected", x, y, init, activation=activation, units=units, **more)


def modes(s, lam, rng=None):
    """As many samples as inputs with E x x^T = diag(lam) and E y x^T = diag(s), both turned if `rng` is given."""
    s, lam = np.asarray(s, float), np.asarray(lam, float)
    x, y = np.diag(np.sqrt(len(lam) * lam)), np.diag(np.sqrt(len(lam) / lam) * s)
    if rng is None:
        return x, y
    left, right = (np.linalg.qr(rng.normal(size=(len(s), len(s))))[0] for _ in range(2))
    return x @ right.T, y @ left.T


def linear_data(teacher, inputs):
    """An objective whose rows have E[x x^T] = inputs and y = teacher x."""
    x = np.linalg.cholesky(inputs).T
    y = x @ np.atleast_2d(teacher).T
    return objective.Objective(x, y, np.ones(len(x)), np.float64(0.0), lifted=True, psi_name="inputs")


def teacher_of_modes(rng, singular, inputs, commute=True):
    """`linear_data` with these singular values of E[y x^T] and eigenvalues of E[x x^T], in one basis of inputs or in two."""
    size = len(singular)
    left, right, other = (np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(3))
    basis = right if commute else other
    xx = basis @ np.diag(inputs) @ basis.T
    return linear_data(left @ np.diag(singular) @ right.T @ np.linalg.inv(xx), xx)


def simulated(network, loss, prediction, rtol=1e-9):
    """When the flow falls through the middle of each predicted drop, its plateaus, and the run."""
    until = 1.2 * max(s.t_end for s in prediction.stages) + 20
    run = gradient_flow(network, loss, until=until, rtol=rtol)
    heights = [s.height for s in prediction.stages] + [prediction.end.height]
    levels = 0.5 * (np.array(heights[1:]) + heights[:-1])
    times = [crossing_time(run.t, run.loss, run.speed, level) for level in levels]
    return times, find_plateaus(run.t, run.loss, run.speed), run


def rests_on(loss):
    """The claim `can_rest` of a flow on this loss."""
    claim = partial(certify, objective=loss)
    return lambda network: claim(network).rests


def arrays(network):
    return {name: np.asarray(a) for name, a in network.arrays().items()}
