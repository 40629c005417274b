"""The largest singular value of a matrix, cheaply enough to ask for beside a training."""

import numpy as np

#: Up to so many rows or columns, whichever are fewer, from all eigenvalues of the small Gram matrix; above, by Lanczos.
DENSE = 512


def largest_singular_value(matrix: np.ndarray) -> float:
    """Of a float64 matrix, exact to about 1e-8 of itself; NaN where an entry is not finite."""
    if matrix.size == 0:
        return 0.0
    largest = float(np.max(np.abs(matrix)))
    if not np.isfinite(largest):
        return float("nan")
    if largest == 0.0:
        return 0.0
    matrix = matrix / largest  # squares of small weights would underflow
    if min(matrix.shape) <= DENSE:
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        return largest * float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))
    from scipy.sparse.linalg import svds

    start = np.random.default_rng(0).normal(size=min(matrix.shape))
    return largest * float(svds(matrix, k=1, v0=start, tol=1e-9, return_singular_vectors=False)[0])
