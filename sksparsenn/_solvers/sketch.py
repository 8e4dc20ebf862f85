"""Subspace embeddings: random matrices S for which ||S A x|| is close to ||A x|| for all x.

Each function draws an S of `n_rows` rows and returns (S A)^T, for a system whose matrix is A^T A.
"""

import numpy as np

# Numbers in memory at a time where a sketch reads parts of A in full.
ENTRIES_AT_ONCE = 1 << 23

NONZEROS = 8


def sparse_sign(system, n_rows, random_state, nonzeros=NONZEROS):
    """Sketch with columns of `nonzeros` entries +-1 / sqrt(nonzeros), one in each of as many strips of rows.

    Such an S is known as OSNAP in its block form [Nelson and Nguyen 2013].  It is applied over
    firing pairs only: a neuron adds to `nonzeros` places for each sample and feature.
    """
    nonzeros = min(nonzeros, n_rows)
    edges = np.arange(nonzeros + 1) * n_rows // nonzeros
    shape = system.n_items * system.item_size, nonzeros
    places = edges[:-1] + (random_state.uniform(size=shape) * np.diff(edges)).astype(np.int32)
    places = (2 * places + random_state.randint(2, size=shape)).astype(np.int32)  # the sign in the lowest bit
    out = np.zeros((system.size, n_rows))
    system.sparse_sign_sketch(places, out)
    return out


def gaussian(system, n_rows, random_state):
    """Sketch with independent entries N(0, 1 / n_rows), drawn for some neurons (or samples) at a time."""
    out = np.zeros((system.size, n_rows))
    items = max(1, ENTRIES_AT_ONCE // (n_rows * system.item_size))
    for first in range(0, system.n_items, items):
        rows = system.rows_of_factor(first, min(first + items, system.n_items))
        out += rows.T @ (random_state.standard_normal((rows.shape[0], n_rows)) / np.sqrt(n_rows))
    return out


def srht(system, n_rows, random_state):
    """Sketch with distinct rows of a randomised Walsh-Hadamard transform [Ailon and Chazelle 2006, Tropp 2011].

    The transform mixes all rows of A, so columns of A are written out, some at a time.
    """
    n_long = system.n_items * system.item_size
    length = 1 << int(np.ceil(np.log2(max(n_long, n_rows, 1))))
    signs = random_state.choice([-1.0, 1.0], size=n_long)
    drawn = np.sort(random_state.permutation(length)[:n_rows])
    out = np.empty((system.size, n_rows))
    columns = max(1, ENTRIES_AT_ONCE // length)
    for first in range(0, system.size, columns):
        last = min(first + columns, system.size)
        block = np.zeros((length, last - first))
        block[:n_long] = signs[:, None] * system.columns_of_factor(first, last).toarray()
        walsh_hadamard(block)
        out[first:last] = block[drawn].T / np.sqrt(n_rows)  # entries of the transform are +-1
    return out


def walsh_hadamard(block):
    """Multiply by the Hadamard matrix (entries +-1) along the first axis, a power of two long, in place."""
    length, half = len(block), 1
    while half < length:
        pairs = block.reshape(length // (2 * half), 2, half, -1)
        difference = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = difference
        half *= 2


SKETCHES = {"sparse_sign": sparse_sign, "srht": srht, "gaussian": gaussian}
