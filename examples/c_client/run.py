"""The client beside the same training in Python."""

import client
import numpy as np

import lossopt as lo

rng = np.random.default_rng(0)
X = rng.standard_normal((400, 6))
y = (X @ rng.standard_normal((6, 3)) + rng.gumbel(size=(400, 3))).argmax(axis=1)

w = np.zeros(21)
loss = client.fit(X, y.astype(np.int64), w, 6, 3, 100, 0.1)

objective, other, sgd = lo.Objective(X, y, lo.CrossEntropy()), np.zeros(21), lo.SGD(0.1, momentum=0.9)
for _ in range(100):
    value, grad = objective.value_and_grad(other)
    sgd.step(other, grad)
assert np.array_equal(w, other), (w, other)
assert abs(loss - value) < 1e-12
print(f"100 steps, loss {loss:.6f}, the same bits as in Python")
