"""Dense training steps, the honest rivals: torch autograd, and the best step on NumPy and BLAS.

Both compute every pair of neuron and sample, in chunks of rows so that the products
fit into a cache, and both are given the chunk size that is fastest on the machine.
"""

import numpy as np

from benchmarks.common import in_fresh_process, measured


class TorchStep:
    """Autograd on the same network, chunk by chunk, gradients accumulated."""

    chunks = (64, 256, 1024)

    def __init__(self, X, y, W, signs, shift, scale, rate):
        import torch

        self.torch = torch
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        self.W = torch.from_numpy(W.copy()).requires_grad_()
        self.signs, self.shift, self.scale, self.rate = torch.from_numpy(signs), shift, scale, rate
        self.chunk = 256

    def __call__(self, rows=None):
        n = len(self.X) if rows is None else rows
        for start in range(0, n, self.chunk):
            x, y = self.X[start : start + self.chunk], self.y[start : start + self.chunk]
            f = self.scale * (self.torch.relu(x @ self.W.T - self.shift) @ self.signs)
            (0.5 / len(self.X) * ((f - y) ** 2).sum()).backward()
        with self.torch.no_grad():
            if rows is None:
                self.W -= self.rate * self.W.grad
            self.W.grad = None

    def weights(self):
        return self.W.detach().numpy()


class NumpyStep:
    """Two products over all pairs (a third of the width of the samples for the forward pass) and one comparison.

    With M the 0/1 firing matrix of a chunk, its outputs are the row sums of
    (M (a o W)) o X less shift times M a, and its part of the gradient is a o (M^T (r o X)),
    so that the only pass over all pairs between the products is the one that makes M.
    """

    chunks = (16, 64, 256)

    def __init__(self, X, y, W, signs, shift, scale, rate):
        self.X, self.y, self.W, self.signs = X, y, W.copy(), signs
        self.shift, self.scale, self.rate = np.float32(shift), np.float32(scale), np.float32(rate)
        self.chunk = 64

    def forward(self, x, signed, products, firing):
        np.matmul(x, self.W.T, out=products)
        np.greater(products, self.shift, out=firing)
        mask = firing.astype(np.float32)
        sums = mask @ signed
        return mask, self.scale * ((sums[:, :-1] * x).sum(axis=1) - self.shift * sums[:, -1])

    def __call__(self, rows=None, backward=True):
        n = len(self.X)
        signed = np.hstack([self.signs * self.W, self.signs])
        gradient = np.zeros_like(self.W)
        products = np.empty((self.chunk, len(self.W)), np.float32)
        firing = np.empty((self.chunk, len(self.W)), bool)
        for start in range(0, n if rows is None else rows, self.chunk):
            x, y = self.X[start : start + self.chunk], self.y[start : start + self.chunk, 0]
            mask, f = self.forward(x, signed, products[: len(x)], firing[: len(x)])
            if backward:
                gradient += mask.T @ ((self.scale / n * (f - y))[:, None] * x)
        if rows is None and backward:
            self.W -= self.rate * self.signs * gradient

    def weights(self):
        return self.W


def rivals():
    """The dense steps that can be made here, by name."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return {"numpy": NumpyStep}
    return {"numpy": NumpyStep, "torch": TorchStep}


def step_memory(rival, start, chunk):
    """Bytes at the peak of a rival's first step, its copy of the weights included, its libraries not."""
    return in_fresh_process(_step_memory, rival, start, chunk)


def _step_memory(rival, start, chunk):
    X, y, W, signs, *numbers = start
    rival(X[:2], y[:2], W[:2], signs[:2], *numbers)()  # loads libraries, starts threads

    def step():
        dense = rival(*start)
        dense.chunk = chunk
        dense()

    return measured(step)[2]


def with_best_chunk(step, timer):
    """Set the chunk size that is fastest over the first rows."""
    times = {}
    for chunk in step.chunks:
        step.chunk = chunk
        times[chunk] = timer(lambda: step(rows=min(len(step.X), 2048)))
    step.chunk = min(times, key=times.get)
    return step
