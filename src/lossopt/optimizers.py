"""Optimizers: one step downhill, in place, for any arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._component import Component, _construct
from lossopt._kernels import abi
from lossopt.penalties import Penalty
from lossopt.schedules import Schedule

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
]

Array = NDArray[Any]
Params = ArrayLike | list[Array] | tuple[Array, ...] | Mapping[str, Array]
Number = float | Schedule


def _checked(owner: Component, **limits: tuple[Any, float, float]) -> None:
    """Each hyperparameter lies in [low, high), unless a schedule will say."""
    for name, (value, low, high) in limits.items():
        if isinstance(value, Schedule):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{type(owner).__name__}: {name} must be a number or a schedule, got {value!r}")
        if not low <= value < high:
            bounds = "not be negative" if high == np.inf else f"lie in [{low:g}, {high:g})"
            raise ValueError(f"{type(owner).__name__}: {name} must {bounds}, got {value!r}")


def _named(params: Params, what: str) -> dict[str, Any]:
    """Arrays by name: a dict's keys, or positions in a list; a single array is `params` (or `grads`) itself."""
    if isinstance(params, Mapping):
        return dict(params)
    if isinstance(params, (list, tuple)) and not any(isinstance(x, (int, float)) for x in params):
        return {f"{what}[{i}]": x for i, x in enumerate(params)}
    return {what: params}


def _unpenalized(name: str) -> bool:
    return name == "bias" or name.endswith(".bias")


class _Bound:
    """The arrays of a training run: the objects, their memory, and the state tied to their shapes."""

    def __init__(self, params: Params, kinds: tuple[str, ...]) -> None:
        given = _named(params, "params")
        self.keys = tuple(params) if isinstance(params, Mapping) else None
        self.names = list(given)
        self.given = list(given.values())
        arrays = [_arrays.written(self._label(name), x) for name, x in given.items()]
        self.dtype = arrays[0].dtype if arrays else _arrays.FLOATS[0]
        for name, array in zip(self.names, arrays, strict=True):
            if array.dtype != self.dtype:
                raise TypeError(f"{self._label(name)} must be {self.dtype} as the other params are, got {array.dtype}")
        self.arrays = arrays
        self.memory = _kernels.Arrays(arrays, True)
        shared = self.memory.overlap_within()
        if shared is not None:
            first, second = (self._label(self.names[i]) for i in shared)
            raise ValueError(f"{first} overlaps {second}: each parameter needs memory of its own")
        # the settings there are, and which one each array has; so far, whether the penalty acts
        penalized = [self.keys is None or not _unpenalized(name) for name in self.names]
        self.settings = list(dict.fromkeys(penalized))
        self.which = np.array([self.settings.index(x) for x in penalized], dtype=np.int64)
        self.closed: tuple[Penalty | None, list[Any] | None] = (None, None)
        # a single array, which need not be looked for
        self.alone = self.given[0] if self.keys is None and self.names == ["params"] else None
        self.state = [np.zeros(x.shape, self.dtype) for x in arrays for _ in kinds]
        self.state_memory = _kernels.Arrays(self.state, True)

    def _label(self, name: str) -> str:
        return name if name.startswith("params") else f"params[{name!r}]"

    def closings(self, penalty: Penalty | None) -> list[Any] | None:
        """How this penalty closes each array's step, where a soft threshold does not."""
        if self.closed[0] is not penalty:
            made = [
                penalty._closing(self._label(name), x) if penalty is not None and self.settings[j] else None
                for name, x, j in zip(self.names, self.arrays, self.which, strict=True)
            ]
            self.closed = penalty, made if any(x is not None for x in made) else None
        return self.closed[1]

    def holds(self, params: Params) -> bool:
        """Whether these are the very arrays of the last step, under the same names."""
        if params is self.alone and type(params) is np.ndarray:
            return params.flags.writeable
        if (tuple(params) if isinstance(params, Mapping) else None) != self.keys:
            return False
        now = (
            params.values()
            if isinstance(params, Mapping)
            else params
            if isinstance(params, (list, tuple))
            else (params,)
        )
        same = len(now) == len(self.given) and all(a is b for a, b in zip(now, self.given, strict=True))
        return same and all(x.flags.writeable for x in self.arrays)

    def gradients(self, grads: Params) -> Any:
        """The memory of the gradients, in the order of the params."""
        # arrays that are right as they are, in one call; else the careful way, which converts or says what is wrong
        plain = None
        if type(grads) is np.ndarray:
            plain = [grads]
        elif type(grads) is dict and tuple(grads) == self.keys:
            plain = list(grads.values())
        elif isinstance(grads, (list, tuple)) and self.keys is None:
            plain = list(grads)
        memory = None if plain is None else self.memory.like(plain)
        if memory is not None:
            return memory
        given = _named(grads, "grads")
        if isinstance(grads, Mapping):
            if given.keys() != set(self.names):
                odd = sorted(given.keys() ^ set(self.names))
                raise ValueError(f"grads must have the keys of params; {odd[0]!r} is in only one of them")
            values = [given[name] for name in self.names]
        else:
            values = list(given.values())
        if len(values) != len(self.arrays):
            raise ValueError(f"grads must hold {len(self.arrays)} arrays as params does, got {len(values)}")
        read = []
        for name, w, x in zip(self.names, self.arrays, values, strict=True):
            g = _arrays.floats("grads", x, self.dtype)
            if g.shape != w.shape:
                raise ValueError(
                    f"the gradient of {self._label(name)} must have its shape {w.shape}, got {_arrays.describe(g)}"
                )
            # a converted copy no longer shows what it shared memory with
            if g is not x and isinstance(x, np.ndarray):
                for other, array in zip(self.names, self.arrays, strict=True):
                    if np.may_share_memory(x, array):
                        raise ValueError(f"the gradient of {self._label(name)} overlaps {self._label(other)}")
            read.append(g)
        memory = _kernels.Arrays(read, False)
        shared = memory.overlap(self.memory)
        if shared is not None:
            raise ValueError(
                f"the gradient of {self._label(self.names[shared[0]])} overlaps {self._label(self.names[shared[1]])}"
            )
        return memory


class Optimizer(Component, ABC):
    """What all optimizers share. Any number among the hyperparameters may be a schedule.

    State is made at the first step and tied to the shapes of the parameters; the k-th step (k = 1, 2, ...) uses
    ``schedule(k - 1)``, and bias corrections use k.

    Attributes
    ----------
    steps : int
        Updates done.
    grad_norm : float or None
        The global norm of the data gradient at the last step that was given `max_norm`, before clipping.
    """

    def __init__(self) -> None:
        # fixed here: the kernel and the state that it expects belong together
        self._state_names = self._kinds()
        self._kernel = self._make_kernel()
        self.reset()

    @abstractmethod
    def _make_kernel(self) -> Any:
        """The kernel, made once."""

    @abstractmethod
    def _hyper(self) -> tuple[Number | bool, ...]:
        """The hyperparameters in the kernel's order."""

    @abstractmethod
    def _kinds(self) -> tuple[str, ...]:
        """The names of the state arrays a parameter has, torch's."""

    def reset(self) -> None:
        """Forget moments and step count."""
        self.steps = 0
        self.grad_norm: float | None = None
        self._bound: _Bound | None = None
        self._loaded: dict[str, dict[str, Array]] | None = None

    def step(
        self,
        params: Params,
        grads: Params,
        penalty: Penalty | None = None,
        max_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        """Update the parameters in place.

        Parameters
        ----------
        params : array, or a list, tuple or dict of arrays
            float64 or float32, one dtype among them, C-contiguous, writable. Their memory is held until `reset`.
        grads : as params
            Gradients of the data term, of the same shapes; they are read, and converted where they must be.
        penalty : Penalty, optional
            Its L2 part joins the gradient before the moments; its L1 part acts after the update, by the proximal step
            with the update's own gain, so that weights become exactly 0.0. In a dict, arrays named ``bias`` or ending
            in ``.bias`` are not penalized.
        max_norm : float, optional
            Clip the global norm of the gradients: they are multiplied by ``min(1, max_norm / (norm + 1e-6))``.
        clip_value : float, optional
            Clamp each number of the (so multiplied) gradients to ``[-clip_value, clip_value]``.

        Raises
        ------
        ValueError, TypeError
            An array has the wrong shape, type, layout or memory; nothing has been written then.
        """
        self._update(params, grads, penalty, max_norm, clip_value, self.steps)

    def _update(
        self,
        params: Params,
        grads: Params,
        penalty: Penalty | None,
        max_norm: float | None,
        clip_value: float | None,
        t: float,
        judge: Callable[[float], bool] | None = None,
    ) -> tuple[Any, ...] | None:
        """A step whose schedules are read at t; returns the hyperparameters it used, lr first.

        `judge` sees the norm of the gradients before anything is written: where it says no, there is no step, and None.
        """
        if penalty is not None and not isinstance(penalty, Penalty):
            raise TypeError(f"penalty must be a Penalty, got {penalty!r}")
        if max_norm is not None or clip_value is not None:
            for name, limit in (("max_norm", max_norm), ("clip_value", clip_value)):
                if limit is not None and not (isinstance(limit, (int, float, np.number)) and limit > 0):
                    raise ValueError(f"{name} must be positive, got {limit!r}")
        bound = self._bound_to(params)
        memory = bound.gradients(grads)
        hyper: tuple[Any, ...] = self._hyper()
        if not abi.plain(hyper) and any(isinstance(h, Schedule) for h in hyper):
            hyper = tuple(self._hypers(np.array([t], dtype=np.float64))[0].tolist())
        acts = (0.0, 0.0) if penalty is None else penalty._coefficients(t)
        settings = tuple(hyper + (acts if penalized else (0.0, 0.0)) for penalized in bound.settings)
        closings = bound.closings(penalty)
        scale, norm = 1.0, 0.0
        if max_norm is not None or judge is not None:
            norm = float(_kernels.updates.norm(memory))
        if judge is not None and not judge(norm):
            return None
        if max_norm is not None:
            self.grad_norm = norm
            scale = min(1.0, max_norm / (norm + 1e-6)) if norm == norm else np.nan
        self._keep(bound)
        self.steps += 1
        _kernels.updates.step(
            self._kernel,
            bound.memory,
            memory,
            bound.state_memory,
            settings,
            bound.which,
            self.steps,
            scale,
            np.inf if clip_value is None else clip_value,
            closings,
        )
        return hyper

    def _table(self, t: Array, penalty: Penalty | None) -> Array:
        """The settings of the updates at the given t of the arrays at hand, a row each, lr first."""
        assert self._bound is not None
        hyper = self._hypers(t)
        table = np.zeros((len(t), len(self._bound.settings), hyper.shape[1] + 2))
        table[:, :, :-2] = hyper[:, None]
        if penalty is not None:
            table[:, self._bound.settings, -2:] = penalty._table(t)[:, None]
        return table.reshape(len(t), -1)

    def _hypers(self, t: Array) -> Array:
        """The hyperparameters of the updates at the given t, a row each; what a schedule says is checked here."""
        hypers = self._hyper()
        table = np.empty((len(t), len(hypers)))
        for i, hyper in enumerate(hypers):
            table[:, i] = hyper(t) if isinstance(hyper, Schedule) else hyper
            # momentum and dampening, or the two betas, stand behind lr
            below = 1.0 if i in (1, 2) else np.inf
            if isinstance(hyper, Schedule) and not ((table[:, i] >= 0) & (table[:, i] < below)).all():
                raise ValueError(f"{type(self).__name__}: {hyper!r} must stay in [0, {below:g}) as a hyperparameter")
        return table

    def _bound_to(self, params: Params) -> _Bound:
        if self._bound is not None and self._bound.holds(params):
            return self._bound
        new = _Bound(params, self._state_names)
        # other arrays than last time go on with the same state, where their shapes allow
        before = self._states() if self._bound is not None else self._loaded
        if before is not None:
            self._fill(new, before)
        return new

    def _keep(self, bound: _Bound) -> None:
        """Go on with these arrays: nothing is refused any more."""
        self._bound, self._loaded = bound, None

    def _fill(self, bound: _Bound, states: dict[str, dict[str, Array]]) -> None:
        kinds = self._state_names
        wanted = {name: x.shape for name, x in zip(bound.names, bound.arrays, strict=True)}
        if not kinds:
            return
        found = {name: next(iter(arrays.values())).shape for name, arrays in states.items()}
        for name, arrays in states.items():
            if any(x.shape != found[name] for x in arrays.values()):
                raise ValueError(f"the state of {name!r} must have one shape, got {[x.shape for x in arrays.values()]}")
        if wanted != found:
            raise ValueError(
                f"params must have the names and shapes of the optimizer's state, {found}, got {wanted}; "
                "reset() makes a new start"
            )
        for i, name in enumerate(bound.names):
            for j, kind in enumerate(kinds):
                bound.state[i * len(kinds) + j][...] = states[name][kind]

    def _states(self) -> dict[str, dict[str, Array]]:
        if self._bound is None:
            return {} if self._loaded is None else self._loaded
        kinds, state = self._state_names, self._bound.state
        return {
            name: {kind: state[i * len(kinds) + j].copy() for j, kind in enumerate(kinds)}
            for i, name in enumerate(self._bound.names)
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as copies.

        Returns
        -------
        dict
            ``{"steps": int, "state": {parameter: {name: array}}}``. A parameter goes by its key in a dict, by
            ``params[i]`` in a list, and by ``params`` alone; the names are torch's, such as ``exp_avg``.
        """
        return {
            "steps": self.steps,
            "state": {k: {n: a.copy() for n, a in v.items()} for k, v in self._states().items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`; its arrays are copied, and matched to the parameters at the next step.

        Parameters
        ----------
        state_dict : dict

        Raises
        ------
        ValueError
            It is not a state of this optimizer.
        """
        if set(state_dict) != {"steps", "state"}:
            raise ValueError(f"state_dict must have the keys 'steps' and 'state', got {sorted(map(str, state_dict))}")
        for name, arrays in state_dict["state"].items():
            if set(arrays) != set(self._state_names):
                raise ValueError(
                    f"state_dict: {type(self).__name__} keeps {list(self._state_names)}, "
                    f"got {sorted(arrays)} for {name!r}"
                )
        steps = state_dict["steps"]
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
            raise ValueError(f"state_dict: 'steps' must be a whole number, 0 or more, got {steps!r}")
        self.reset()
        self.steps = int(steps)
        if state_dict["state"]:
            self._loaded = {k: {n: np.array(a) for n, a in v.items()} for k, v in state_dict["state"].items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _construct, (type(self), self._arguments()), self.state_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state)


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant.

    ``v = momentum * v + (1 - dampening) * g`` (the first v is g itself), then ``w = w - lr * v``; with `nesterov`
    ``w = w - lr * (g + momentum * v)``. With momentum = 0 it is plain gradient descent, and keeps no state.

    Parameters
    ----------
    lr : float or Schedule
    momentum : float in [0, 1) or Schedule
        The chapter's beta; 0.9 is usual. The velocity is the undamped sum, as the chapter's and torch's.
    dampening : float in [0, 1) or Schedule
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient of every array.
    nesterov : bool

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold): ``lr * (1 - dampening) / (1 - momentum)``.
    Keras multiplies the gradient by lr before the velocity: the same for a constant lr.
    Source: chapter "Loss Functions and Optimization"; Nesterov's form is torch's (Sutskever et al. 2013).

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w, opt = np.array([1.0]), lo.SGD(lr=0.1, momentum=0.9)
    >>> opt.step(w, np.array([1.0])); opt.step(w, np.array([1.0]))
    >>> w.round(3)
    array([0.71])
    """

    def __init__(
        self,
        lr: Number = 1e-3,
        momentum: Number = 0,
        dampening: Number = 0,
        weight_decay: Number = 0,
        nesterov: bool = False,
    ) -> None:
        _checked(self, lr=(lr, 0, np.inf), momentum=(momentum, 0, 1), dampening=(dampening, 0, 1))
        _checked(self, weight_decay=(weight_decay, 0, np.inf))
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")
        self.lr = lr
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        super().__init__()

    def _make_kernel(self) -> Any:
        return _kernels.updates.momentum_update() if self._state_names else _kernels.updates.sgd_update()

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, self.momentum, self.dampening, self.weight_decay, self.nesterov

    def _kinds(self) -> tuple[str, ...]:
        return () if self.momentum == 0 else ("momentum_buffer",)


class Adam(Optimizer):
    """Adam: a step of its own for every number, from the moments of its gradients.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g**2``; with ``m_hat = m / (1 - b1**k)`` and
    ``v_hat = v / (1 - b2**k)``, ``w = w - lr * m_hat / (sqrt(v_hat) + eps)``.

    Parameters
    ----------
    lr : float or Schedule
    betas : (b1, b2), floats in [0, 1) or Schedules
    eps : float or Schedule
        Outside the square root, after the bias correction, as torch's and optax's; Keras's and scikit-learn's stands
        before the correction and so weighs ``1 / sqrt(1 - b2**k)`` times as much.
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient before the moments. AdamW is the decoupled form.

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold), a number a coordinate: ``lr / (sqrt(v_hat) + eps)``.
    Source: Kingma and Ba 2014, algorithm 1.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(2)
    >>> lo.Adam(lr=0.1).step(w, np.array([3.0, -0.01]))
    >>> w.round(6)
    array([-0.1,  0.1])
    """

    def __init__(
        self,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
    ) -> None:
        self.lr = lr
        self.betas = _betas(self, betas)
        self.eps = eps
        self.weight_decay = weight_decay
        _checked(self, lr=(lr, 0, np.inf), eps=(eps, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        super().__init__()

    def _make_kernel(self) -> Any:
        return _kernels.updates.adam_update()

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, *self.betas, self.eps, self.weight_decay, False

    def _kinds(self) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq"


class AdamW(Optimizer):
    """Adam with decoupled weight decay: ``w = (1 - lr * weight_decay) * w`` before Adam's step.

    Parameters
    ----------
    lr, betas, eps
        As Adam's.
    weight_decay : float or Schedule
        Never seen by the moments.

    Notes
    -----
    The decay is multiplied by the scheduled lr, as torch's; optax's adds it to the update, which is the same.
    Gain of a step: Adam's. Source: Loshchilov and Hutter 2019.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([1.0])
    >>> lo.AdamW(lr=0.1, weight_decay=0.5).step(w, np.array([0.0]))
    >>> w
    array([0.95])
    """

    def __init__(
        self,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
    ) -> None:
        self.lr = lr
        self.betas = _betas(self, betas)
        self.eps = eps
        self.weight_decay = weight_decay
        _checked(self, lr=(lr, 0, np.inf), eps=(eps, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        super().__init__()

    def _make_kernel(self) -> Any:
        return _kernels.updates.adam_update()

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, *self.betas, self.eps, self.weight_decay, True

    def _kinds(self) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq"


def _betas(owner: Component, betas: tuple[Number, Number]) -> tuple[Number, Number]:
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"{type(owner).__name__}: betas must be two numbers, got {betas!r}")
    _checked(owner, **{f"betas[{i}]": (beta, 0, 1) for i, beta in enumerate(betas)})
    return betas[0], betas[1]


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
