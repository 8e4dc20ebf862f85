"""
Classifying handwritten digits
==============================

Ten classes, 64 pixels: the same network trained by gradient descent on the squared error of the labels and by
Gauss-Newton on the log loss.  All classes share hidden neurons and the search for those that fire.  With
``early_stopping=True`` a tenth of the images is held out and the weights with the best accuracy there are kept.
"""

# %%
# Two classifiers
# ---------------

from time import perf_counter

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn import SketchedGaussNewtonClassifier, SparseShiftedReLUClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
classifiers = {
    "gradient descent, squared error": SparseShiftedReLUClassifier(
        width=512, loss="squared_error", max_iter=200, cv=None, early_stopping=True, n_iter_no_change=20, random_state=0
    ),
    "Gauss-Newton, log loss": SketchedGaussNewtonClassifier(cv=None, random_state=0),
}
models = {}
for name, classifier in classifiers.items():
    start = perf_counter()
    models[name] = make_pipeline(StandardScaler(), classifier).fit(X_train, y_train)
    seconds = perf_counter() - start
    fitted = models[name][-1]
    print(
        f"{name}: {models[name].score(X_test, y_test):.1%} of the test images, best after {fitted.best_iteration_} "
        f"of {fitted.n_iter_} iterations, {fitted.firing_fraction_curve_[-1]:.0%} of the pairs fire, {seconds:.1f} s"
    )

# %%
# The hardest images
# ------------------
# The test images with the least probability for their class, and what each was taken for.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    model = models["Gauss-Newton, log loss"]
    probabilities = model.predict_proba(X_test)
    hardest = probabilities[range(len(y_test)), y_test].argsort()[:8]
    figure, axes = plt.subplots(2, 4, figsize=(7, 4.2), layout="constrained")
    for ax, row in zip(axes.flat, hardest, strict=True):
        ax.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
        guess = probabilities[row].argmax()
        ax.set_title(f"{y_test[row]}, taken for {guess}\n(probability {probabilities[row, guess]:.0%})", fontsize=9)
        ax.set_axis_off()
    figure.suptitle("The eight hardest test images")
    figure.savefig("classification.png", dpi=120)
    print("the plot is in classification.png")
