"""The well-known libraries, each with the table of its operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from typing import Any, ClassVar

import numpy as np

import lossopt as lo
from lossopt.bench.grid import LR, Array, LinearOf, LossOf, StepOf, TrainOf
from lossopt.bench.sides import Side, Work, Works


class Torch:
    """Functional losses and backward on a leaf; optimizers as they come, with foreach, and fused."""

    columns: ClassVar[tuple[str, ...]] = ("torch", "foreach", "fused")
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch, functional = torch, torch.nn.functional
        self.losses: dict[str, Any] = {
            "mse": functional.mse_loss,
            "mae": functional.l1_loss,
            "huber": functional.huber_loss,
            "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
            "cross_entropy": functional.cross_entropy,
        }

    def loss(self, op: LossOf) -> Works:
        if op.name not in self.losses:
            return {}
        function, z, y = self.losses[op.name], self.torch.from_numpy(op.z.copy()), self.torch.from_numpy(op.y)
        z.requires_grad_()

        def call() -> Any:
            z.grad = None
            value = function(z, y)
            value.backward()
            return value.item(), z.grad

        return {"torch": Work(call)}

    def step(self, op: StepOf) -> Works:
        """lossopt's names and arguments are torch's."""
        optimizer = getattr(self.torch.optim, lo.OPTIMIZERS[op.name].__name__, None)
        return {
            column: work
            for column, how in (("torch", {}), ("foreach", {"foreach": True}), ("fused", {"fused": True}))
            if optimizer is not None and (work := self._step(op, optimizer, how))
        }

    def _step(self, op: StepOf, optimizer: Any, how: dict[str, bool]) -> Work | None:
        arrays = [x.copy() for x in op.w]
        params = [self.torch.from_numpy(x).requires_grad_() for x in arrays]
        for p, g in zip(params, op.g, strict=True):
            p.grad = self.torch.from_numpy(g.copy())
        try:
            step = optimizer(params, **op.kwargs, **how).step
        except (TypeError, RuntimeError):
            return None  # not every optimizer of torch has every form

        def call() -> Any:
            step()
            return arrays

        return Work(call)

    def linear(self, op: LinearOf) -> Works:
        if op.name not in self.losses:
            return {}
        torch, function, y = self.torch, self.losses[op.name], self.torch.from_numpy(op.y)
        d, k = op.X.shape[1], op.k
        if op.sparse:
            parts = map(torch.from_numpy, (op.X.indptr, op.X.indices, op.X.data))
            with warnings.catch_warnings(action="ignore"):  # it calls its CSR a beta
                X = torch.sparse_csr_tensor(*parts, op.X.shape, check_invariants=True)
        else:
            X = torch.from_numpy(op.X)
        weight = torch.from_numpy(op.w[: k * d].reshape(k, d)[0 if k == 1 else slice(None)].copy()).requires_grad_()
        bias = torch.from_numpy(op.w[k * d :].copy()).requires_grad_()

        def call() -> Any:
            weight.grad = bias.grad = None
            z = X @ weight + bias if k == 1 else torch.nn.functional.linear(X, weight, bias)
            value = function(z, y)
            value.backward()
            return value.item(), weight.grad, bias.grad

        return {"torch": Work(call, lambda result: (result[0], np.concatenate([np.ravel(x) for x in result[1:]])))}

    def train(self, op: TrainOf) -> Works:
        """Functional layers, the fused optimizer."""
        if "torch" not in op.of.beside:
            return {}
        torch, functional, function = self.torch, self.torch.nn.functional, self.losses[op.name]
        X, y, arrays = torch.from_numpy(op.X), torch.from_numpy(op.y), op.start()
        params = [torch.from_numpy(x).requires_grad_() for x in arrays]
        optimizer = getattr(torch.optim, lo.OPTIMIZERS[op.of.optimizer].__name__)(params, lr=op.lr, fused=True)
        *hidden, last = zip(params[::2], params[1::2], strict=True)
        epochs = count()

        def call() -> Any:
            total = 0.0
            for rows in torch.from_numpy(op.order(next(epochs))).split(op.of.batch):
                optimizer.zero_grad()
                z = X.index_select(0, rows)
                for layer in hidden:
                    z = functional.linear(z, *layer).relu()
                z = functional.linear(z, *last)
                # a single output is squeezed, several stay as they are
                value = function(z.squeeze(1), y.index_select(0, rows))
                value.backward()
                optimizer.step()
                total += value.item() * len(rows)
            return total / op.of.n, *arrays

        return {"torch": Work(call)}


class Jax:
    """Functions compiled by jax, losses and optimizers of optax, float64 enabled, a step's buffers donated.

    Dispatch is synchronous: every call waits for its result, and handing it to another thread would only cost.
    """

    columns: ClassVar[tuple[str, ...]] = ("jax",)
    needs: ClassVar[tuple[str, ...]] = ("jax", "optax")

    def __init__(self, threads: int) -> None:
        import jax
        import optax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        self.jax, self.apply, mean = jax, optax.apply_updates, jax.numpy.mean
        self.losses: dict[str, Any] = {
            "mse": lambda z, y: mean((z - y) ** 2),
            "mae": lambda z, y: mean(abs(z - y)),
            "huber": lambda z, y: mean(optax.losses.huber_loss(z, y)),
            "log_cosh": lambda z, y: mean(optax.losses.log_cosh(z, y)),
            "binary_cross_entropy": lambda z, y: mean(optax.losses.sigmoid_binary_cross_entropy(z, y)),
            "cross_entropy": lambda z, y: mean(optax.losses.softmax_cross_entropy_with_integer_labels(z, y)),
        }
        self.optimizers: dict[str, Any] = {
            "sgd": optax.sgd,
            "adam": optax.adam,
            "adamw": lambda lr: optax.adamw(lr, weight_decay=1e-2),
        }

    def _value_and_grad(self, function: Callable[..., Any], *arguments: Array) -> Work:
        run, given = self.jax.jit(self.jax.value_and_grad(function)), [self.jax.numpy.asarray(x) for x in arguments]
        return Work(lambda: self.jax.block_until_ready(run(*given)))

    def loss(self, op: LossOf) -> Works:
        return {"jax": self._value_and_grad(self.losses[op.name], op.z, op.y)} if op.name in self.losses else {}

    def step(self, op: StepOf) -> Works:
        if op.name not in self.optimizers:
            return {}
        lr, *others = op.kwargs.values()
        optimizer = self.optimizers[op.name](lr, *others)

        def update(params: Any, state: Any, grads: Any) -> Any:
            updates, state = optimizer.update(grads, state, params)
            return self.apply(params, updates), state

        run = self.jax.jit(update, donate_argnums=(0, 1))
        params, grads = ([self.jax.numpy.array(x) for x in arrays] for arrays in (op.w, op.g))
        state = optimizer.init(params)

        def call() -> Any:
            nonlocal params, state
            params, state = self.jax.block_until_ready(run(params, state, grads))
            return params

        return {"jax": Work(call)}

    def linear(self, op: LinearOf) -> Works:
        if op.name not in self.losses or op.sparse:
            return {}
        function, k, d = self.losses[op.name], op.k, op.X.shape[1]

        def of_w(w: Any, X: Any, y: Any) -> Any:
            z = X @ w[:d] + w[d] if k == 1 else X @ w[: k * d].reshape(k, d).T + w[k * d :]
            return function(z, y)

        return {"jax": self._value_and_grad(of_w, op.w, op.X, op.y)}

    def train(self, op: TrainOf) -> Works:
        """The epoch is one compiled scan, the short last batch a step after it."""
        if "jax" not in op.of.beside:
            return {}
        jax, numpy, function, batch = self.jax, self.jax.numpy, self.losses[op.name], op.of.batch
        optimizer, full = self.optimizers[op.of.optimizer](op.lr), op.of.n - op.of.n % batch

        def loss(params: Any, X: Any, y: Any) -> Any:
            *hidden, (weight, bias) = zip(params[::2], params[1::2], strict=True)
            for w, b in hidden:
                X = jax.nn.relu(X @ w.T + b)
            return function(X @ weight[0] + bias if len(weight) == 1 else X @ weight.T + bias, y)

        def epoch(params: Any, state: Any, order: Any, X: Any, y: Any) -> Any:
            def step(carry: Any, rows: Any) -> Any:
                params, state, total = carry
                part = (x.at[rows].get(mode="promise_in_bounds") for x in (X, y))
                value, grads = jax.value_and_grad(loss)(params, *part)
                updates, state = optimizer.update(grads, state, params)
                return (self.apply(params, updates), state, total + value * len(rows)), None

            rows = order[:full].reshape(-1, batch)
            # two steps a turn of the loop: at batch size 32 a little faster than one or four
            carry, _ = jax.lax.scan(step, (params, state, numpy.zeros(())), rows, unroll=2)
            return step(carry, order[full:])[0] if full < op.of.n else carry

        run = jax.jit(epoch, donate_argnums=(0, 1))
        params, X, y = [numpy.array(x) for x in op.start()], numpy.asarray(op.X), numpy.asarray(op.y)
        state, epochs = optimizer.init(params), count()

        def call() -> Any:
            nonlocal params, state
            params, state, total = jax.block_until_ready(run(params, state, op.order(next(epochs)), X, y))
            return total / op.of.n, *params

        return {"jax": Work(call)}


class Sklearn:
    """scikit-learn's pointwise losses, reduced as its LinearModelLoss reduces them; LinearModelLoss; classifiers."""

    columns: ClassVar[tuple[str, ...]] = ("sklearn",)
    needs: ClassVar[tuple[str, ...]] = ("sklearn",)

    def __init__(self, threads: int) -> None:
        from sklearn._loss import loss
        from sklearn.linear_model._linear_loss import LinearModelLoss

        self.threads, self.linear_loss = threads, LinearModelLoss
        # for so many classes: a loss, and what it must be multiplied by to be lossopt's
        self.losses: dict[str, Callable[[int], tuple[Any, int]]] = {
            "mse": lambda k: (loss.HalfSquaredError(), 2),
            "mae": lambda k: (loss.AbsoluteError(), 1),
            "quantile": lambda k: (loss.PinballLoss(quantile=0.5), 1),
            "binary_cross_entropy": lambda k: (loss.HalfBinomialLoss(), 1),
            "cross_entropy": lambda k: (loss.HalfMultinomialLoss(n_classes=k), 1),
        }

    def loss(self, op: LossOf) -> Works:
        if op.name not in self.losses:
            return {}
        made, factor = self.losses[op.name](op.z[0].size)
        n, y, values, out = len(op.z), op.y.astype(op.z.dtype), np.empty(len(op.z), op.z.dtype), np.empty_like(op.z)

        def call() -> Any:
            made.loss_gradient(y, op.z, loss_out=values, gradient_out=out, n_threads=self.threads)
            np.divide(out, n, out=out)
            return float(values.sum() / n), out

        return {"sklearn": Work(call, lambda result: tuple(factor * x for x in result))}

    def step(self, op: StepOf) -> Works:
        """Its optimizers come with a network."""
        return {}

    def linear(self, op: LinearOf) -> Works:
        if op.name not in self.losses:
            return {}
        made, factor = self.losses[op.name](op.k)
        k, d, y = op.k, op.X.shape[1], op.y.astype(op.X.dtype)
        w = op.w.copy() if k == 1 else np.asfortranarray(np.column_stack([op.w[: k * d].reshape(k, d), op.w[k * d :]]))
        run = self.linear_loss(made, fit_intercept=True).loss_gradient

        def read(result: Any) -> Any:
            value, grad = result
            return factor * value, factor * (grad if k == 1 else np.concatenate([grad[:, :d].ravel(), grad[:, d]]))

        return {"sklearn": Work(lambda: run(w, op.X, y, n_threads=self.threads), read)}

    def train(self, op: TrainOf) -> Works:
        """partial_fit is an epoch, goes on from the one before, and checks less than fit."""
        if "sklearn" not in op.of.beside:
            return {}
        from sklearn.linear_model import SGDClassifier
        from sklearn.neural_network import MLPClassifier

        y, hidden = op.y.astype(np.int64), op.of.sizes[1:-1]
        classes = np.arange(max(2, op.of.sizes[-1]))
        if hidden:
            made = MLPClassifier(
                hidden,
                solver=op.of.optimizer,
                alpha=0,
                batch_size=op.of.batch,
                learning_rate_init=op.lr,
                random_state=0,
            )
        else:
            made = SGDClassifier(
                loss="log_loss", penalty=None, learning_rate="constant", eta0=op.lr, tol=None, random_state=0
            )

        def read(result: Any) -> Any:
            """The epoch's loss; SGDClassifier keeps none, and gives the loss after it."""
            return [result.loss_ if hidden else -np.log(result.predict_proba(op.X)[np.arange(len(y)), y]).mean()]

        return {"sklearn": Work(lambda: made.partial_fit(op.X, y, classes=classes), read)}


class Thinc:
    """thinc's optimizers, without averages and clipping; Adam in float32, for which alone it has a kernel.

    It zeroes the gradient it was given: the call copies it back, one read and one write. Its eps stands before the
    bias correction, and so is given smaller.
    """

    columns: ClassVar[tuple[str, ...]] = ("thinc",)
    needs: ClassVar[tuple[str, ...]] = ("thinc",)

    def __init__(self, threads: int) -> None:
        from thinc.optimizers import SGD, Adam

        plain = {"grad_clip": 0.0, "use_averages": False, "L2": 0.0}
        self.optimizers: dict[str, Any] = {
            "sgd": lambda: SGD(LR, **plain),
            "adam": lambda: Adam(LR, eps=1e-10, **plain),
        }

    def loss(self, op: LossOf) -> Works:
        """Its losses take probabilities, and give no value of the cross-entropy."""
        return {}

    def step(self, op: StepOf) -> Works:
        known = op.name in self.optimizers and op.kwargs.keys() == {"lr"}
        if not known or (op.name == "adam" and op.w[0].dtype != np.float32):
            return {}
        optimizer, w, g = self.optimizers[op.name](), [x.copy() for x in op.w], [x.copy() for x in op.g]

        def call() -> Any:
            for i, grad in enumerate(op.g):
                np.copyto(g[i], grad)
                w[i], g[i] = optimizer((i, "w"), w[i], g[i])
            return w

        return {"thinc": Work(call)}

    def linear(self, op: LinearOf) -> Works:
        """It has none."""
        return {}

    def train(self, op: TrainOf) -> Works:
        """Its layers are trained by a loop as torch's are; torch stands for both."""
        return {}


PEERS: tuple[type[Side], ...] = (Torch, Jax, Sklearn, Thinc)
PEER_COLUMNS = tuple(column for peer in PEERS for column in peer.columns)


def missing(peer: type[Side]) -> str | None:
    """The first package that a peer lacks."""
    return next((name for name in peer.needs if find_spec(name) is None), None)
