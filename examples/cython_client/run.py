"""The client beside the same training in Python."""

import client
import numpy as np

import lossopt as lo

rng = np.random.default_rng(0)
X = rng.standard_normal((500, 4))
y = (X @ [1.0, -2.0, 0.0, 0.5] + rng.logistic(size=500) > 0).astype(float)

w = np.zeros(5)
loss = client.fit(X, y, w, 200, 0.05)

objective, other, adam = lo.Objective(X, y, lo.BinaryCrossEntropy()), np.zeros(5), lo.Adam(0.05)
for _ in range(200):
    value, grad = objective.value_and_grad(other)
    adam.step(other, grad)
assert np.array_equal(w, other), (w, other)
assert abs(loss - value) < 1e-12
print(f"200 steps, loss {loss:.6f}, the same bits as in Python")
