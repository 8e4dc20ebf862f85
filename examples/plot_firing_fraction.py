"""
How many neurons fire
=====================

A neuron fires on a sample where its input exceeds the shift b.  Samples are lifted to the unit sphere and first weights
are Gaussian, so that the input is standard normal, and a share Q(b) of the neurons fires: the upper tail of the normal
distribution, whatever the data [SYZ21, Lemma 3.8].  Here it is measured on two real tables.
"""

# %%
# Against the shift
# -----------------
# ``firing_fraction_curve_`` holds the share of the pairs of a neuron and a sample that fired in each iteration.  The
# first is that of the first weights, the last is what training has made of it.  At large shifts less than one in 4,096
# neurons is expected to fire on a sample, and similar samples share theirs, so that the measured share scatters.
# There, training multiplies it.

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn import SparseShiftedReLUClassifier, SparseShiftedReLURegressor
from sksparsenn.ntk import expected_firing_fraction

tables = {
    "diabetes, 10 features": (*load_diabetes(return_X_y=True), SparseShiftedReLURegressor),
    "breast cancer, 30 features": (*load_breast_cancer(return_X_y=True), SparseShiftedReLUClassifier),
}


def firing_fractions(X, y, estimator, **parameters):
    """The share of pairs that fire, before training and in its last iteration."""
    model = make_pipeline(StandardScaler(), estimator(max_iter=50, random_state=0, **parameters)).fit(X, y)
    return model[-1].firing_fraction_curve_[[0, -1]]


shifts = np.arange(0, 4, 0.5)
against_shift = {
    name: np.array([firing_fractions(*table, width=4096, shift=shift) for shift in shifts])
    for name, table in tables.items()
}
print("share of pairs that fire: the normal tail, then before and after training")
print("shift   Q(shift)  " + "  ".join(f"{name:^26}" for name in tables))
for k, shift in enumerate(shifts):
    measured = "  ".join("{:13.4%}{:13.4%}".format(*rows[k]) for rows in against_shift.values())
    print(f"{shift:5.1f}{expected_firing_fraction(shift):11.4%}  {measured}")

# %%
# Against the width, at the automatic shift
# -----------------------------------------
# The automatic shift sqrt(0.4 ln m) grows with the width m.  The theorems say that at most some m^0.8 neurons then fire
# on a sample [SYZ21, Remark 3.9]: m times the bound exp(-b^2 / 2) of the tail, which the tail itself stays well below.

widths = 2 ** np.arange(6, 15)
against_width = {
    name: np.array([width * firing_fractions(*table, width=int(width)) for width in widths])
    for name, table in tables.items()
}
expected = widths * expected_firing_fraction(np.sqrt(0.4 * np.log(widths)))
for name, rows in against_width.items():
    before, after = rows[-1]
    print(f"{name}: of {widths[-1]:,} neurons {before:.0f} fire before training and {after:.0f} after")
print(f"expected before training: {expected[-1]:.0f}; m^0.8 = {widths[-1] ** 0.8:.0f}")

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    fine = np.linspace(0, 3.5, 200)
    left.semilogy(fine, 100 * expected_firing_fraction(fine), "k-", label="normal tail Q(shift)")
    right.loglog(widths, expected, "k-", label="width times Q(automatic shift)")
    right.loglog(widths, widths**0.8, "k--", label="width$^{0.8}$")
    right.loglog(widths, widths, "k:", label="all neurons")
    for name, marker in zip(tables, "os", strict=True):
        for column, (when, fill, size) in enumerate((("before", "none", 8), ("after", "0.4", 4))):
            style = {"linestyle": "none", "color": "0.4", "marker": marker, "markerfacecolor": fill, "markersize": size}
            left.plot(shifts, 100 * against_shift[name][:, column], label=f"{name}, {when} training", **style)
            right.plot(widths, against_width[name][:, column], **style)
    left.set(xlabel="shift (standard deviations of a neuron's input)", ylabel="neurons that fire on a sample (%)")
    right.set(xlabel="width (neurons)", ylabel="neurons that fire on a sample")
    left.legend(frameon=False)
    right.legend(frameon=False)
    figure.savefig("firing_fraction.png", dpi=120)
    print("the plot is in firing_fraction.png")
