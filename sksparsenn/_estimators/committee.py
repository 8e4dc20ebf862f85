"""A committee: networks that each left out a fold, whose mean is one network, and what their fits left.

The mean of K networks of width m and output scale B has outputs B / (K sqrt(m)) * sum_r a_r (<w_r, x> - shift) over the
neurons of all: it is a network of width K m and output scale B / sqrt(K), whose neurons come in K blocks.
"""

import numpy as np

from sksparsenn._search.work import Work
from sksparsenn._training.trust_region import Iteration


def members_of(network, n_members):
    """Return the networks whose mean a network is."""
    width = len(network.weights) // n_members
    blocks = [slice(member * width, (member + 1) * width) for member in range(n_members)]
    output_scale = network.output_scale * np.sqrt(n_members)
    return [
        network._replace(weights=network.weights[block], signs=network.signs[block], output_scale=output_scale)
        for block in blocks
    ]


def out_of_fold(outputs, folds):
    """Return for each sample the mean output of the networks that left it out, NaN where none did.

    Parameters
    ----------
    outputs : ndarray of shape (n_networks, n_samples, n_outputs)
    folds : Folds
        With a label for each sample; those of label -1 take no part in any, and all networks predict them.
    """
    left_out = np.append(folds.leaves_out, np.ones((len(folds), 1), dtype=bool), axis=1)[:, folds.labels]
    with np.errstate(invalid="ignore"):
        return np.einsum("ki,kio->io", left_out.astype(outputs.dtype), outputs) / left_out.sum(axis=0)[:, None]


def joined(curves, how):
    """Return one curve for the curves of several networks, of which some ended before others.

    "mean": one that ended counts with its last value; "sum": with zero; "all": as true; "longest": not at all.
    """
    if how == "longest":
        return max(curves, key=len)
    length = max(len(curve) for curve in curves)
    ends = {"mean": lambda curve: curve[-1], "sum": lambda curve: 0, "all": lambda curve: True}
    rows = [np.append(curve, np.full(length - len(curve), ends[how](curve), curve.dtype)) for curve in curves]
    if len(rows) == 1:
        return rows[0]
    return {"mean": np.mean, "sum": np.sum, "all": np.all}[how](rows, axis=0)


def of_single_network(state):
    """Return what is pickled of an estimator today for a pickle of version 0.1, which had no committees."""
    state = state | {"cv": None}
    if "class_weight" not in state:  # a regressor
        state["linear_part"] = False
    if "hidden_weights_" in state:
        state["n_members_"], state["_fitted_width"] = 1, len(state["hidden_weights_"])
    if "objective_curve_" in state:
        state["alpha_curve_"] = np.full(len(state["objective_curve_"]), float(state["alpha"]))
        state["alpha_"] = float(state["alpha"])
        state["rows_curve_"] = np.zeros(len(state["objective_curve_"]), dtype=np.int64)  # not known
    elif "loss_curve_" in state:
        state["rows_curve_"], state["solver_"] = np.zeros(len(state["loss_curve_"]), dtype=np.int64), state["solver"]
    memory = state.get("_training")
    if memory:
        of_all = {name: memory[name] for name in ("key", "split_seed") if name in memory}
        member = {name: value for name, value in memory.items() if name not in of_all}
        if "objective_curve_" in state:
            columns = [state[f"{name}_curve_"] for name in Iteration._fields]
            member["State.history"] = np.stack(columns, axis=1).astype(np.float64)
            member |= {"State.n_steps": len(columns[0]), "State.objective": state["objective_"]}
        else:
            member["State.rows_curve"] = state["rows_curve_"]
            member["State.work_curve"] = np.stack([state[f"{name}_curve_"] for name in Work._fields], axis=1)
        state["_training"] = of_all | {"members": [member]}
    return state
