"""The estimators with the settings of one network trained on all rows, whose training the papers describe.

What is tested of training is tested with these; the defaults, which are committees, have tests of their own.
"""

import sksparsenn


def _single(name, **settings):
    def make(*arguments, **more):
        if arguments:
            more = {"width": arguments[0], **more}
        return getattr(sksparsenn, name)(**{**settings, **more})

    make.__name__ = make.__qualname__ = name
    return make


SketchedGaussNewtonRegressor = _single(
    "SketchedGaussNewtonRegressor",
    alpha=0.002, output_scale=1.0, linear_part=False, cv=None, max_iter=30, n_iter_no_change=10,
)  # fmt: skip
SketchedGaussNewtonClassifier = _single(
    "SketchedGaussNewtonClassifier", alpha=0.001, output_scale=1.0, cv=None, max_iter=6, n_iter_no_change=10
)
SparseShiftedReLURegressor = _single(
    "SparseShiftedReLURegressor",
    alpha=0.003, output_scale=2.0, linear_part=False, momentum=0.99, cv=None, max_iter=500, n_iter_no_change=10,
)  # fmt: skip
SparseShiftedReLUClassifier = _single(
    "SparseShiftedReLUClassifier",
    loss="squared_error", alpha=0.1, output_scale=2.0, momentum=0.99, cv=None, max_iter=500, n_iter_no_change=10,
)  # fmt: skip
