"""Whether a neuron's declared facts are true of its formula: what a user declares decides everything downstream."""

import jax
import jax.numpy as jnp
import numpy as np

from ._base import AbstractNeuron

#: Arguments at which an activation is looked at: both signs, no symmetry, nothing special.
ARGUMENTS = np.array([-2.3, -1.1, -0.7, -0.2, 0.3, 0.8, 1.3, 1.9])

#: How near 0 slopes are measured: a smooth activation's differ by this times its curvature, far below the thousandth that counts.
NEAR = 1e-6


def wrong_facts(neuron: AbstractNeuron) -> list[str]:
    r"""What the formula of a neuron contradicts, a phrase for each wrong fact; empty if it agrees.

    Looked at are $\sigma(z)$ at a few arguments, their multiples and sums, with a relative tolerance of 1e-9, and the slope of $\log|\sigma|$
    against $\log z$ near 0. Of `kinks` only this: where none is declared, the slopes on both sides of 0 agree. A check, not a proof.
    """

    def at(z: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(neuron.activation(jnp.asarray(z, jnp.float64)), np.float64)

    z = ARGUMENTS
    value = at(z)
    if value.shape != z.shape:
        return [f"activation gives shape {list(value.shape)} for {list(z.shape)}"]
    if not np.all(np.isfinite(value)):
        where = ", ".join(f"{a:g}" for a in z[~np.isfinite(value)])
        return [f"activation is not finite at z = {where}, and u . x takes any value"]
    size = float(np.max(np.abs(value)))

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.max(np.abs(a - b)) <= 1e-9 * max(size, float(np.max(np.abs(b)))))

    wrong = []
    if neuron.degree is not None and not same(at(1.7 * z), 1.7**neuron.degree * value):
        wrong.append(f"degree = {neuron.degree}")
    linear = same(at(1.7 * z), 1.7 * value) and same(at(z + z[::-1]), value + value[::-1])
    if neuron.linear != linear:
        wrong.append(f"linear = {neuron.linear}")
    silent = abs(float(at(np.zeros(1))[0])) <= 1e-12 * size
    if neuron.silent != silent:
        wrong.append(f"silent = {neuron.silent}")
    near, nearer = (float(np.sum(np.abs(at(scale * z)))) for scale in (1e-3, 1e-4))
    order = np.log10(near / nearer) if nearer > 0 else np.nan
    if np.isfinite(order) and abs(order - neuron.order) > 0.1:
        wrong.append(f"order = {neuron.order} (it falls as z^{order:.1f} towards 0)")
    odd, even = same(at(-z), -value), same(at(-z), value)
    parity = "odd" if odd else "even" if even else "none"
    if neuron.parity != parity:
        wrong.append(f'parity = "{neuron.parity}" (it is "{parity}")')
    left, right = (at(np.array([0.0, sign * NEAR])) for sign in (-1.0, 1.0))
    slopes = (left[0] - left[1]) / NEAR, (right[1] - right[0]) / NEAR
    if not neuron.kinks and abs(slopes[0] - slopes[1]) > 1e-3 * max(size, *map(abs, slopes)):
        wrong.append(
            f"kinks = False (its slopes at 0 are {slopes[0]:.3g} and {slopes[1]:.3g}: declare kinks, kink_rows and kink_slopes, as saddlescope.units.ReLU does)"
        )
    return wrong
