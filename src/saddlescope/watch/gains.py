"""What the layers have gained in common, and how large they were when it began: all that the law takes from weights."""

import numpy as np
from numpy.typing import NDArray

from .hypotheses import Abstention
from .recording import Recording

#: Agreement of gains.
AGREEMENT = 1.6


def common_gain(seen: Recording) -> tuple[list[int], NDArray, int]:
    """The weights that share one gain of squared norm, the gain [snapshots], and the snapshot from which it grows.

    Matrices only: a bias is not a factor of the function. The gain is measured from where it was least, where the network was neither for nor against its target.

    **Raises:** `Abstention` if the gains of most layers disagree, or nothing has been gained.
    """
    matrices = [
        i
        for i, shape in enumerate(seen.weight_shapes)
        if len(shape) >= 2 and not seen.frozen[i] and np.all(np.isfinite(seen.weight_norm[:, i]))
    ]
    if len(matrices) < 2:
        raise Abstention(f"{len(matrices)} matrices are trained: a saddle at the origin needs two or more")
    squares = seen.weight_norm[:, matrices] ** 2
    middle = np.median(squares - squares[0], axis=1)
    first = int(np.argmin(middle[: max(2, 3 * len(middle) // 4)]))
    gains = squares - squares[first]
    last = gains[-1]
    middle = float(np.median(last))
    if middle <= 1e-7 * float(np.median(squares[first])):
        lost = "lost" if middle < 0 else "gained"
        raise Abstention(
            f"the layers have {lost} {abs(middle):.2g} in squared norm, nothing that grows towards an exit"
        )
    agree = (last > middle / AGREEMENT) & (last < middle * AGREEMENT)
    if agree.sum() < max(2, int(np.ceil(0.7 * len(matrices)))):
        spread = f"{last.min():.2g} to {last.max():.2g}"
        raise Abstention(
            f"the layers' gains in squared norm disagree ({spread}), while those of a homogeneous network under gradient descent are one"
        )
    members = [i for i, kept in zip(matrices, agree, strict=True) if kept]
    return members, np.median(gains[:, agree], axis=1), first


def initial_squares(seen: Recording, members: list[int], first: int) -> NDArray:
    """Largest singular values squared where the gain begins; where they were not seen, of a normal matrix of that norm."""
    largest = seen.weight_largest[first, members] ** 2
    for k, i in enumerate(members):
        if not np.isfinite(largest[k]):
            rows, columns = seen.weight_shapes[i][0], int(np.prod(seen.weight_shapes[i][1:]))
            largest[k] = seen.weight_norm[first, i] ** 2 * (rows**-0.5 + columns**-0.5) ** 2
    return np.maximum(largest, 1e-30)
