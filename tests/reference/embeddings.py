"""Theorem 1's four constructions as loops over the named arrays of a layer, an init file's: one row a unit, the last array is v.

No matrices: a wide unit is a list of numbers copied or multiplied one by one.
"""

import numpy as np


def split(arrays, index, share):
    """(i) Unit `index` keeps a share of its output weights, a copy at the end has the rest."""
    wide = {}
    *first, last = arrays
    for name in first:
        wide[name] = [unit.copy() for unit in arrays[name]] + [arrays[name][index].copy()]
    wide[last] = [unit.copy() for unit in arrays[last]]
    wide[last][index] = share * arrays[last][index]
    wide[last].append((1 - share) * arrays[last][index])
    return _stacked(wide)


def silent(arrays, count):
    """(ii) Units of zeros at the end."""
    wide = {name: [unit.copy() for unit in units] for name, units in arrays.items()}
    for name, units in arrays.items():
        for _ in range(count):
            wide[name].append(np.zeros_like(units[0]))
    return _stacked(wide)


def proportional(arrays, index, inputs, outputs):
    """(iii) Unit `index` becomes units with its weights times g_i and h_i, the first in its place, the others at the end."""
    wide = {}
    *_, last = arrays
    for name, units in arrays.items():
        factors = outputs if name == last else inputs
        wide[name] = [unit.copy() for unit in units]
        wide[name][index] = factors[0] * units[index]
        for factor in factors[1:]:
            wide[name].append(factor * units[index])
    return _stacked(wide)


def factorised(arrays, g, left):
    """(iv) Unit i is sum_k g_ik u_k, and sum_k left_ki v_k."""
    wide = {}
    *_, last = arrays
    for name, units in arrays.items():
        wide[name] = []
        for i in range(len(g)):
            total = np.zeros_like(units[0])
            for k in range(len(units)):
                total += (left[k][i] if name == last else g[i][k]) * units[k]
            wide[name].append(total)
    return _stacked(wide)


def _stacked(units):
    return {name: np.array(rows) for name, rows in units.items()}
