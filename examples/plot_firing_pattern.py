"""
Which neurons fire on which samples
===================================

Of a wide network only some neurons fire on any sample.  After training many fire on none:
they cost nothing.  A ``FiringPatternDisplay`` shows the others, here of a classifier of
handwritten digits.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sksparsenn import SparseShiftedReLUClassifier
from sksparsenn.inspection import FiringPatternDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = SparseShiftedReLUClassifier(2048, cv=None, max_iter=100, random_state=0).fit(X_train, y_train)
print(f"accuracy on new rows: {model.score(X_test, y_test):.3f}")

# %%
# Who fires on rows that training has not seen: the image, and each of its margins.  Rows are
# ordered by the digit predicted, so neurons that fire on certain digits show as bands.  A display
# holds its data, from which come the numbers printed below it.
try:
    display = FiringPatternDisplay.from_estimator(model, X_test)
except ImportError as error:
    print(f"no plot was made: {error}")
else:
    starts = np.searchsorted(np.sort(model.predict(X_test)), np.arange(10))
    middles = (starts + np.append(starts[1:], len(X_test))) / 2
    display.axes_[0].set_yticks(middles, range(10))
    display.axes_[0].set_ylabel("samples, by predicted digit")
    display.figure_.savefig("firing_pattern.png", dpi=120)
    print("the plot is in firing_pattern.png")

    print(f"neurons that fire on a row: {display.neurons_per_sample.mean():.0f} of {model.width} on average")
    everywhere = np.count_nonzero(display.samples_per_neuron == len(X_test))
    print(f"neurons that fire on no row: {len(display.dead_neurons)}; on every row: {everywhere}")
