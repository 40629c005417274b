"""What one unit computes, as loops over the sums of its definition: no einsum, no matrix product, no reshape.

Each function takes one input and the named arrays of one unit (an init file's, without their leading `units`), and returns its features.
"""

import math

import numpy as np

ACTIVATIONS = {
    "linear": lambda z: z,
    "relu": lambda z: z if z > 0 else 0.0,
    "quadratic": lambda z: z * z,
    "tanh": math.tanh,
    "cubic": lambda z: z * z * z,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "sine": math.sin,
    "xtanhx": lambda z: z * math.tanh(z),
    "cubed": lambda z: z * z * z,
    "swish": lambda z: z / (1 + math.exp(-z)),
    "softplus": lambda z: math.log(1 + math.exp(z)),
    "magnitude": abs,
}


def dot(a, b) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


def neuron(activation: str, x, u) -> np.ndarray:
    """act(u . x), [1]."""
    return np.array([ACTIVATIONS[activation](dot(u, x))])


def kernel(activation: str, stride: int, x, u) -> np.ndarray:
    """act(u . patch) for every place where the whole kernel fits, [positions]."""
    found, start = [], 0
    while start + len(u) <= len(x):
        found.append(ACTIVATIONS[activation](dot(u, x[start : start + len(u)])))
        start += stride
    return np.array(found)


def separate_score(a, b, key, query) -> float:
    """sum_r (query_r . a)(key_r . b)."""
    total = 0.0
    for r in range(len(key)):
        total += dot(query[r], a) * dot(key[r], b)
    return total


def bilinear(a, matrix, b) -> float:
    """a^T matrix b."""
    total = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            total += a[i] * matrix[i][j] * b[j]
    return total


def token_head(outputs: int, normalise: bool, x, *, key=None, query=None, key_query=None) -> np.ndarray:
    """sum_j score_j x_j, [embedding], over all tokens j; divided by the number of context tokens if `normalise`.

    The last token is the query; its last `outputs` entries, where its target would stand, count as zero.
    """
    tokens = [list(token) for token in x]
    for o in range(outputs):
        tokens[-1][len(tokens[-1]) - 1 - o] = 0.0
    asking, found = tokens[-1], [0.0] * len(tokens[-1])
    for token in tokens:
        if key_query is None:
            score = separate_score(asking, token, key, query)
        else:
            score = bilinear(asking, key_query, token)
        for e in range(len(found)):
            found[e] += score * token[e]
    context = len(tokens) - 1
    return np.array([value / context if normalise else value for value in found])


def softmax_head(outputs: int, x, *, key=None, query=None, key_query=None) -> np.ndarray:
    """sum_j p_j x_j, [embedding], with p the softmax of the scores of all tokens j, the query's own among them.

    The last `outputs` entries of the query count as zero, as in a linear head.
    """
    tokens = [list(token) for token in x]
    for o in range(outputs):
        tokens[-1][len(tokens[-1]) - 1 - o] = 0.0
    asking = tokens[-1]
    scores = [
        separate_score(asking, token, key, query) if key_query is None else bilinear(asking, key_query, token)
        for token in tokens
    ]
    weights = [math.exp(score) for score in scores]
    found = [0.0] * len(asking)
    for weight, token in zip(weights, tokens, strict=True):
        for e in range(len(found)):
            found[e] += weight / sum(weights) * token[e]
    return np.array(found)


def cubic_head(x, *, key=None, query=None, key_query=None) -> np.ndarray:
    """sum_r (key_r . beta)(query_r . x_q), merged beta^T key_query x_q, [1]; x is beta, then x_q."""
    beta, asking = x
    if key_query is None:
        return np.array([separate_score(asking, beta, key, query)])
    return np.array([bilinear(beta, key_query, asking)])
