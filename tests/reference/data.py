"""Data and initial weights of the problems: seeded, small, and with exact second moments where a closed form needs them."""

import numpy as np

from .networks import Weights


def gaussian(seed: int, scale: float, **shapes: tuple[int, ...]) -> Weights:
    """Independent normal weights of standard deviation `scale`, in the order of the names."""
    rng = np.random.default_rng(seed)
    return {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}


def neurons(seed: int, scale: float, units: int, inputs: int, outputs: int) -> Weights:
    return gaussian(seed, scale, u=(units, inputs), v=(units, outputs))


def layers(seed: int, scale: float, *sizes: int) -> Weights:
    return gaussian(seed, scale, **{f"W{l}": (sizes[l], sizes[l - 1]) for l in range(1, len(sizes))})


def modes(singular_values, input_eigenvalues, outputs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """As many samples as inputs with E xx^T = R diag(lam) R^T and E yx^T = L diag(s) R^T for random rotations L, R."""
    s, lam = np.asarray(singular_values, float), np.asarray(input_eigenvalues, float)
    rng = np.random.default_rng(seed)
    right = np.linalg.qr(rng.normal(size=(len(lam), len(lam))))[0]
    left = np.linalg.qr(rng.normal(size=(outputs, outputs)))[0]
    x = np.sqrt(len(lam) * lam)[:, None] * right.T
    y = np.zeros((len(lam), outputs))
    y[: len(s)] = (np.sqrt(len(lam) / lam[: len(s)]) * s)[:, None] * left[:, : len(s)].T
    return x, y


def regression(seed: int, samples: int, inputs: int, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Correlated inputs and noisy linear targets: nothing commutes with anything."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, inputs)) @ (np.eye(inputs) + 0.4 * rng.normal(size=(inputs, inputs)))
    return x, x @ rng.normal(size=(inputs, outputs)) + 0.3 * rng.normal(size=(samples, outputs))


def quadratic_teacher(seed: int, samples: int, strengths, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """y_o = sum_d strengths_d x_d^2, shifted round by one direction for every further output."""
    x = np.random.default_rng(seed).normal(size=(samples, len(strengths)))
    return x, np.stack([x**2 @ np.roll(strengths, shift) for shift in range(outputs)], axis=1)


def cubic_population(eigenvalues, context: int) -> tuple[np.ndarray, np.ndarray]:
    """In-context regression on a few samples whose second moments of beta x_q^T and y are exactly the population's.

    E ww^T = 1, E beta w^T = Lam, E beta beta^T = Lam^2 (1 + 1/N) + (tr Lam / N) Lam and E x_q x_q^T = Lam, with x_q independent.
    """
    lam = np.diag(np.asarray(eigenvalues, float))
    size = len(lam)
    second = lam @ lam * (1 + 1 / context) + np.trace(lam) / context * lam
    joint = np.sqrt(2 * size) * np.linalg.cholesky(np.block([[np.eye(size), lam], [lam, second]])).T  # rows: (w, beta)
    query = np.sqrt(size) * np.sqrt(lam)
    x = np.array([[row[size:], x_q] for row in joint for x_q in query])
    return x, np.array([[row[:size] @ x_q] for row in joint for x_q in query])


def in_context(seed: int, sequences: int, context: int, inputs: int, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of (input, target) tokens with their own linear task each; the query's target is kept out of x."""
    rng = np.random.default_rng(seed)
    tasks = rng.normal(size=(sequences, inputs, outputs))
    inputs_ = rng.normal(size=(sequences, context + 1, inputs)) * np.linspace(1.3, 0.6, inputs)
    targets = np.einsum("nji,nio->njo", inputs_, tasks)
    y = targets[:, -1].copy()
    targets[:, -1] = 0.0
    return np.concatenate([inputs_, targets], axis=2), y


def separate_heads(seed: int, scale: float, units: int, rank: int, embedding: int, value: tuple[int, int]) -> Weights:
    shape = (units, rank, embedding)
    return gaussian(seed, scale, key=shape, query=shape, value=(units, *value))


def merged_heads(seed: int, scale: float, units: int, embedding: int, value: tuple[int, int]) -> Weights:
    return gaussian(seed, scale, key_query=(units, embedding, embedding), value=(units, *value))


def white_patches(strengths, input_eigenvalues) -> tuple[np.ndarray, np.ndarray]:
    """Patches that do not overlap, E x_pk x_p'k' = lam_k delta_pp' delta_kk', and y = sum_k strengths_k (g_k . x_.k), g orthonormal.

    The rates are then s_k = lam_k strengths_k and the losses of the modes s_k^2 / (2 lam_k).
    """
    size = len(strengths)
    lam = np.tile(input_eigenvalues, size)  # signal: position, then entry of the kernel
    angle = 0.4
    g = np.eye(size)
    g[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    teacher = (np.asarray(strengths)[:, None] * g).T.ravel()
    x = np.diag(np.sqrt(len(lam) * lam))
    return x, x @ teacher[:, None]
