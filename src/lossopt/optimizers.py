"""Optimizers: one step downhill, in place, for any arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Set
from fnmatch import fnmatchcase
from itertools import accumulate, repeat
from math import prod
from operator import mul
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._component import Component, _construct
from lossopt._kernels import abi
from lossopt.penalties import Penalty
from lossopt.schedules import Schedule

__all__ = [
    "FTRL",
    "LAMB",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
]

Array = NDArray[Any]
Params = ArrayLike | list[Array] | tuple[Array, ...] | Mapping[str, Array]
Number = float | Schedule
Groups = Mapping[str, Mapping[str, Any]]


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


def _positive(name: str, limit: Any) -> float:
    if not (isinstance(limit, (int, float, np.number)) and limit > 0):
        raise ValueError(f"{name} must be positive, got {limit!r}")
    return float(limit)


def _steps_of(state_dict: Mapping[str, Any], arrays: str, optional: Set[str] = frozenset()) -> int:
    """The step count of a state, which must have it, its arrays, and nothing unknown."""
    if set(state_dict) - optional != {"steps", arrays}:
        raise ValueError(f"state_dict must have the keys 'steps' and {arrays!r}, got {sorted(map(str, state_dict))}")
    steps = state_dict["steps"]
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"state_dict: 'steps' must be a whole number, 0 or more, got {steps!r}")
    return int(steps)


def _checked_scale(scale: Any) -> float:
    if isinstance(scale, bool) or not isinstance(scale, (int, float, np.number)) or not 0 <= scale < np.inf:
        raise ValueError(f"lr_scale must be finite and not negative, got {scale!r}")
    return float(scale)


def _coefficient(limit: float, norm: float) -> float:
    """What a gradient of this norm is multiplied by."""
    return min(1.0, limit / (norm + 1e-6)) if norm == norm else np.nan


def _each_clipped(grads: Params, limit: float) -> tuple[Params, float]:
    """Gradients as they came, but for those that are too long; and the norm of all together."""
    given, norms = _named(grads, "grads"), []
    for name, x in given.items():
        g = _arrays.floats("grads", x)
        norms.append(float(_kernels.updates.norm(_kernels.Arrays([g], False))))
        if (scale := _coefficient(limit, norms[-1])) != 1:
            given[name] = g * g.dtype.type(scale)
    made: Params = given if isinstance(grads, Mapping) else list(given.values())
    return (made if isinstance(grads, (Mapping, list, tuple)) else made[0]), float(np.hypot.reduce([0.0, *norms]))  # type: ignore[index]


_NOTHING = (0.0, 0.0)  # l1 and l2 of no penalty


def _unpenalized(name: str) -> bool:
    return name == "bias" or name.endswith(".bias")


class _Bound:
    """The arrays of a training run: the objects, their memory, and the state tied to their shapes."""

    def __init__(self, params: Params, kinds: tuple[str, ...], initial: float, patterns: list[str]) -> None:
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
        if patterns and self.keys is None:
            raise ValueError("params must be a dict: groups goes by their names")
        if odd := [p for p in patterns if not any(fnmatchcase(name, p) for name in self.names)]:
            raise ValueError(f"params has no name that groups[{odd[0]!r}] matches, of {', '.join(self.names)}")
        # the settings there are: a group (0: none, the optimizer's own numbers), and whether the penalty acts there
        each = [
            (
                next((i + 1 for i, p in enumerate(patterns) if fnmatchcase(name, p)), 0),
                self.keys is None or not _unpenalized(name),
            )
            for name in self.names
        ]
        self.settings = sorted(set(each))
        self.which = np.array([self.settings.index(x) for x in each], dtype=np.int64)
        self.closed: tuple[Penalty | None, list[Any] | None] = (None, None)
        self.state = [np.full(x.shape, initial, self.dtype) for x in arrays for _ in kinds]
        self.state_memory = _kernels.Arrays(self.state, True)

    def _label(self, name: str) -> str:
        return name if name.startswith("params") else f"params[{name!r}]"

    def closings(self, penalty: Penalty | None) -> list[Any] | None:
        """How this penalty closes each array's step, where a soft threshold does not."""
        if self.closed[0] is not penalty:
            made = [
                penalty._closing(self._label(name), x) if penalty is not None and self.settings[j][1] else None
                for name, x, j in zip(self.names, self.arrays, self.which, strict=True)
            ]
            self.closed = penalty, made if any(x is not None for x in made) else None
        return self.closed[1]

    def holds(self, params: Params) -> bool:
        """Whether these are the very arrays of the last step, under the same names."""
        # an array first: whether something is a Mapping takes longer to ask
        if type(params) is not np.ndarray and not isinstance(params, (list, tuple)) and isinstance(params, Mapping):
            return tuple(params) == self.keys and self.memory.holds(self.given, params.values())
        now = params if isinstance(params, (list, tuple)) else [params]
        return self.keys is None and self.memory.holds(self.given, now)

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
    ``schedule(k - 1)``, and bias corrections use k. Moments below the smallest normal number become zero.

    Attributes
    ----------
    steps : int
        Updates done.
    grad_norm : float or None
        The global norm of the data gradient at the last step that was given `max_norm` or `clip_norm`, before clipping.

    Notes
    -----
    `groups`, of every optimizer, gives arrays hyperparameters of their own, by name:
    ``groups={"*.bias": {"weight_decay": 0}, "0.*": {"lr": 1e-4}}`` for parameters given as a dict. Patterns are those
    of shells, matched by upper and lower case; the first that matches counts, and what it does not say is the
    optimizer's own.
    """

    _below_one: ClassVar[tuple[int, ...]] = (1, 2)  # places in `_hyper` of what must stay below 1

    def __init__(self, groups: Groups | None) -> None:
        self.groups = groups
        # fixed here: the kernel and the state that it expects belong together
        self._state_names = self._kinds()
        self._kernel = self._family()()
        self._patterns, self._parts = self._split(groups)
        self.reset()

    @abstractmethod
    def _family(self) -> Any:
        """What makes the kernel."""

    def _split(self, groups: Groups | None) -> tuple[list[str], list[Optimizer]]:
        """The patterns, and for each an optimizer that knows, and has checked, the numbers of its group."""
        if groups is None:
            return [], []
        who = type(self).__name__
        if not isinstance(groups, Mapping) or not all(isinstance(x, Mapping) for x in groups.values()):
            raise TypeError(f"{who}: groups must be a dict from patterns of names to dicts, got {groups!r}")
        own, parts = self._arguments() | {"groups": None}, []
        for pattern, numbers in groups.items():
            if odd := [name for name in numbers if name not in own or name == "groups"]:
                raise ValueError(f"{who}: groups[{pattern!r}] has {odd[0]!r}, which is no hyperparameter")
            try:
                part = type(self)(**own | dict(numbers))
            except (TypeError, ValueError) as error:
                raise type(error)(f"groups[{pattern!r}]: {error}") from None
            same = part._family() is self._family() and part._state_names == self._state_names
            if not same or part._initial() != self._initial():
                raise ValueError(
                    f"{who}: groups[{pattern!r}] needs another state: {', '.join(numbers)} must suit the rest"
                )
            parts.append(part)
        return list(groups), parts

    def _grouped(self) -> list[Optimizer]:
        """Who knows the numbers of each group, all where this one stands."""
        for part in self._parts:
            part.steps, part._lr_scale = self.steps, self._lr_scale
        return [self, *self._parts]

    @abstractmethod
    def _hyper(self) -> tuple[Number | bool, ...]:
        """The hyperparameters in the kernel's order."""

    @abstractmethod
    def _kinds(self) -> tuple[str, ...]:
        """The names of the state arrays a parameter has, torch's."""

    @property
    def lr_scale(self) -> float:
        """What multiplies every lr, scheduled or not, of every group; 1, until somebody sets it."""
        return self._lr_scale

    @lr_scale.setter
    def lr_scale(self, scale: float) -> None:
        self._lr_scale = _checked_scale(scale)

    def reset(self) -> None:
        """Forget moments, step count and lr_scale."""
        self.steps = 0
        self._lr_scale = 1.0
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
        clip_norm: float | None = None,
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
        clip_norm : float, optional
            Instead of `max_norm`: clip the norm of each array's gradient by itself, in the same way.

        Raises
        ------
        ValueError, TypeError
            An array has the wrong shape, type, layout or memory; nothing has been written then.
        """
        if clip_norm is None:
            self._update(params, grads, penalty, max_norm, clip_value, self.steps)
            return
        if max_norm is not None:
            raise ValueError("clip_norm and max_norm clip the same: give one of them")
        grads, norm = _each_clipped(grads, _positive("clip_norm", clip_norm))
        self._update(params, grads, penalty, None, clip_value, self.steps)
        self.grad_norm = norm

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
                if limit is not None:
                    _positive(name, limit)
        bound = self._bound_to(params)
        memory = bound.gradients(grads)
        closings = None
        if penalty is None and not self._parts:
            settings = (self._now(t) + _NOTHING,) * len(bound.settings)
        else:
            hypers = [part._now(t) for part in self._grouped()]
            acts = _NOTHING if penalty is None else penalty._coefficients(t)
            settings = tuple(hypers[group] + (acts if penalized else _NOTHING) for group, penalized in bound.settings)
            closings = bound.closings(penalty)
            self._refuse(acts[0] != 0, closings is not None)
        scale, norm = 1.0, 0.0
        if max_norm is not None or judge is not None:
            norm = float(_kernels.updates.norm(memory))
        if judge is not None and not judge(norm):
            return None
        if max_norm is not None:
            self.grad_norm = norm
            scale = _coefficient(max_norm, norm)
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
        return settings[0] if settings else self._now(t)

    def _now(self, t: float) -> tuple[Any, ...]:
        """The hyperparameters of an update at t."""
        hyper: tuple[Any, ...] = self._hyper()
        if not abi.plain(hyper) and any(isinstance(h, Schedule) for h in hyper):
            return tuple(self._hypers(np.array([t], dtype=np.float64))[0].tolist())
        return hyper if self._lr_scale == 1 else (hyper[0] * self._lr_scale, *hyper[1:])

    def _refuse(self, kink: bool, closed: bool) -> None:
        """Raise where a penalty's L1 part, or one that closes a step by itself, cannot act after this update."""

    def _initial(self) -> float:
        """What a new state array is filled with."""
        return 0.0

    def _table(self, t: Array, penalty: Penalty | None) -> Array:
        """The settings of the updates at the given t of the arrays at hand, a row each, lr first."""
        assert self._bound is not None
        hypers = [part._hypers(t) for part in self._grouped()]
        table = np.zeros((len(t), len(self._bound.settings), hypers[0].shape[1] + 2))
        for i, (group, penalized) in enumerate(self._bound.settings):
            table[:, i, :-2] = hypers[group]
            if penalty is not None and penalized:
                table[:, i, -2:] = penalty._table(t)
        return table.reshape(len(t), -1)

    def _hypers(self, t: Array) -> Array:
        """The hyperparameters of the updates at the given t, a row each; what a schedule says is checked here."""
        hypers = self._hyper()
        table = np.empty((len(t), len(hypers)))
        for i, hyper in enumerate(hypers):
            table[:, i] = hyper(t) if isinstance(hyper, Schedule) else hyper
            below = 1.0 if i in self._below_one else np.inf
            if isinstance(hyper, Schedule) and not ((table[:, i] >= 0) & (table[:, i] < below)).all():
                raise ValueError(f"{type(self).__name__}: {hyper!r} must stay in [0, {below:g}) as a hyperparameter")
        table[:, 0] *= self._lr_scale
        return table

    def _bound_to(self, params: Params) -> _Bound:
        if self._bound is not None and self._bound.holds(params):
            return self._bound
        new = _Bound(params, self._state_names, self._initial(), self._patterns)
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
            ``{"steps": int, "lr_scale": float, "state": {parameter: {name: array}}}``. A parameter goes by its key
            in a dict, by ``params[i]`` in a list, and by ``params`` alone; the names are torch's, such as ``exp_avg``.
        """
        return {
            "steps": self.steps,
            "lr_scale": self.lr_scale,
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
        steps = _steps_of(state_dict, "state", {"lr_scale"})
        for name, arrays in state_dict["state"].items():
            if set(arrays) != set(self._state_names):
                raise ValueError(
                    f"state_dict: {type(self).__name__} keeps {list(self._state_names)}, "
                    f"got {sorted(arrays)} for {name!r}"
                )
        scale = _checked_scale(state_dict.get("lr_scale", 1.0))
        self.reset()
        self.steps, self._lr_scale = steps, scale
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
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

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
        groups: Groups | None = None,
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
        super().__init__(groups)

    def _family(self) -> Any:
        return _kernels.updates.momentum_update if self._state_names else _kernels.updates.sgd_update

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
    amsgrad : bool
        v_hat is made of the largest v there was (Reddi et al. 2018); the correction comes after, as torch's.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

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
        amsgrad: bool = False,
        groups: Groups | None = None,
    ) -> None:
        self.lr = lr
        self.betas = _betas(self, betas)
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = bool(amsgrad)
        _checked(self, lr=(lr, 0, np.inf), eps=(eps, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        super().__init__(groups)

    def _family(self) -> Any:
        return _kernels.updates.amsgrad_update if self.amsgrad else _kernels.updates.adam_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, *self.betas, self.eps, self.weight_decay, False

    def _kinds(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if self.amsgrad else ()))


class AdamW(Optimizer):
    """Adam with decoupled weight decay: ``w = (1 - lr * weight_decay) * w`` before Adam's step.

    Parameters
    ----------
    lr, betas, eps
        As Adam's.
    weight_decay : float or Schedule
        Never seen by the moments.
    amsgrad : bool
        As Adam's.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

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
        amsgrad: bool = False,
        groups: Groups | None = None,
    ) -> None:
        self.lr = lr
        self.betas = _betas(self, betas)
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = bool(amsgrad)
        _checked(self, lr=(lr, 0, np.inf), eps=(eps, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        super().__init__(groups)

    def _family(self) -> Any:
        return _kernels.updates.amsgrad_update if self.amsgrad else _kernels.updates.adam_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, *self.betas, self.eps, self.weight_decay, True

    def _kinds(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if self.amsgrad else ()))


class RMSprop(Optimizer):
    """Gradients divided by the root of their mean square.

    ``v = alpha v + (1 - alpha) g**2``, then ``w = w - lr * g / (sqrt(v) + eps)``; with momentum the quotient goes to a
    velocity, ``b = momentum b + g / (sqrt(v) + eps)``, and ``w = w - lr * b``.

    Parameters
    ----------
    lr : float or Schedule
    alpha : float in [0, 1) or Schedule
    eps : float or Schedule
        Outside the square root, as torch's; Keras's and optax's stands inside it.
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient.
    momentum : float in [0, 1) or Schedule
        lr stands outside the velocity, as torch's; Keras and optax multiply by it before.
    centered : bool
        Take the square of the gradients' mean off v: their variance, not below 0.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold), a number a coordinate:
    ``lr / ((1 - momentum) (sqrt(v) + eps))``. Keras's and optax's default of alpha is 0.9.
    Source: Tieleman and Hinton 2012; centered, Graves 2013.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(1)
    >>> lo.RMSprop(lr=0.1).step(w, np.array([2.0]))
    >>> w.round(6)
    array([-1.])
    """

    def __init__(
        self,
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        momentum: Number = 0,
        centered: bool = False,
        groups: Groups | None = None,
    ) -> None:
        _checked(self, lr=(lr, 0, np.inf), alpha=(alpha, 0, 1), eps=(eps, 0, np.inf))
        _checked(self, weight_decay=(weight_decay, 0, np.inf), momentum=(momentum, 0, 1))
        self.lr = lr
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.centered = bool(centered)
        super().__init__(groups)

    _below_one = (1, 4)

    def _family(self) -> Any:
        family, moves = _kernels.updates, "momentum_buffer" in self._state_names
        if self.centered:
            return family.rmsprop_both_update if moves else family.rmsprop_centered_update
        return family.rmsprop_momentum_update if moves else family.rmsprop_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, self.alpha, self.eps, self.weight_decay, self.momentum

    def _kinds(self) -> tuple[str, ...]:
        names = {"square_avg": True, "momentum_buffer": self.momentum != 0, "grad_avg": self.centered}
        return tuple(name for name, there in names.items() if there)


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares.

    ``s = s + g**2``, then ``w = w - lr_k * g / (sqrt(s) + eps)`` with ``lr_k = lr / (1 + (k - 1) lr_decay)``.

    Parameters
    ----------
    lr : float or Schedule
    lr_decay : float or Schedule
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient.
    initial_accumulator_value : float
        What s begins with. torch's 0; Keras's and optax's is 0.1.
    eps : float or Schedule
        Outside the square root, as torch's; Keras's and optax's 1e-7 stands inside.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold), a number a coordinate: ``lr_k / (sqrt(s) + eps)``.
    Source: Duchi, Hazan and Singer 2011.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(1)
    >>> lo.Adagrad(lr=1.0).step(w, np.array([2.0]))
    >>> w
    array([-1.])
    """

    def __init__(
        self,
        lr: Number = 1e-2,
        lr_decay: Number = 0,
        weight_decay: Number = 0,
        initial_accumulator_value: float = 0,
        eps: Number = 1e-10,
        groups: Groups | None = None,
    ) -> None:
        _checked(self, lr=(lr, 0, np.inf), lr_decay=(lr_decay, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        _checked(self, eps=(eps, 0, np.inf))
        if isinstance(initial_accumulator_value, Schedule):
            raise TypeError("Adagrad: initial_accumulator_value must be a number, not a schedule")
        _checked(self, initial_accumulator_value=(initial_accumulator_value, 0, np.inf))
        self.lr = lr
        self.lr_decay = lr_decay
        self.weight_decay = weight_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps
        super().__init__(groups)

    _below_one = ()

    def _family(self) -> Any:
        return _kernels.updates.adagrad_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, self.lr_decay, self.weight_decay, self.eps

    def _kinds(self) -> tuple[str, ...]:
        return ("sum",)

    def _initial(self) -> float:
        return self.initial_accumulator_value


class Adadelta(Optimizer):
    """Steps as long as those before, in units of the gradients.

    ``v = rho v + (1 - rho) g**2``, ``d = g * sqrt(a + eps) / sqrt(v + eps)``, ``a = rho a + (1 - rho) d**2``, then
    ``w = w - lr * d``.

    Parameters
    ----------
    lr : float or Schedule
    rho : float in [0, 1) or Schedule
    eps : float or Schedule
        Inside both square roots, as everywhere.
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold), a number a coordinate:
    ``lr sqrt(a + eps) / sqrt(v + eps)``.
    Keras's default of lr is 0.001, and of rho 0.95. Source: Zeiler 2012.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(1)
    >>> lo.Adadelta().step(w, np.array([2.0]))
    >>> w.round(6)
    array([-0.003162])
    """

    def __init__(
        self,
        lr: Number = 1.0,
        rho: Number = 0.9,
        eps: Number = 1e-6,
        weight_decay: Number = 0,
        groups: Groups | None = None,
    ) -> None:
        _checked(self, lr=(lr, 0, np.inf), rho=(rho, 0, 1), eps=(eps, 0, np.inf))
        _checked(self, weight_decay=(weight_decay, 0, np.inf))
        self.lr = lr
        self.rho = rho
        self.eps = eps
        self.weight_decay = weight_decay
        super().__init__(groups)

    _below_one = (1,)

    def _family(self) -> Any:
        return _kernels.updates.adadelta_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, self.rho, self.eps, self.weight_decay

    def _kinds(self) -> tuple[str, ...]:
        return "square_avg", "acc_delta"


class _WithBetas(Optimizer, ABC):
    """lr, betas, eps and weight_decay, which joins the gradient; a first moment and another state."""

    def _made(
        self, lr: Number, betas: tuple[Number, Number], eps: Number, weight_decay: Number, groups: Groups | None
    ) -> None:
        self.lr = lr
        self.betas = _betas(self, betas)
        self.eps = eps
        self.weight_decay = weight_decay
        _checked(self, lr=(lr, 0, np.inf), eps=(eps, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        super().__init__(groups)

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, *self.betas, self.eps, self.weight_decay

    def _kinds(self) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq"


class Adamax(_WithBetas):
    """Adam with the largest gradient, fading, in place of the root of the mean square.

    ``m = b1 m + (1 - b1) g``, ``u = max(b2 u, |g| + eps)``, then ``w = w - lr / (1 - b1**k) * m / u``.

    Parameters
    ----------
    lr : float or Schedule
    betas : (b1, b2), floats in [0, 1) or Schedules
    eps : float or Schedule
        Added to each gradient's size, as torch's; Keras adds it to u.
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold), a number a coordinate: ``lr / u``.
    Source: Kingma and Ba 2014, algorithm 2.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(1)
    >>> lo.Adamax(lr=0.1).step(w, np.array([2.0]))
    >>> w.round(6)
    array([-0.1])
    """

    def __init__(
        self,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        groups: Groups | None = None,
    ) -> None:
        self._made(lr, betas, eps, weight_decay, groups)

    def _family(self) -> Any:
        return _kernels.updates.adamax_update

    def _kinds(self) -> tuple[str, ...]:
        return "exp_avg", "exp_inf"


class NAdam(_WithBetas):
    """Adam with Nesterov's look ahead.

    With ``mu_k = b1 (1 - 0.96**(k momentum_decay) / 2)``, P_k the product of all mu up to k, and Adam's m and v_hat:
    ``w = w - lr / (sqrt(v_hat) + eps) * ((1 - mu_k) / (1 - P_k) g + mu_(k+1) / (1 - P_(k+1)) m)``.

    Parameters
    ----------
    lr : float or Schedule
    betas : (b1, b2), floats in [0, 1) or Schedules
    eps : float or Schedule
        As Adam's.
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient.
    momentum_decay : float or Schedule
    decoupled_weight_decay : bool
        Decay as AdamW's, which the moments do not see.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    P is made again of the schedules where it is not at hand, and so needs no state; b1 and momentum_decay are taken to
    have been read at evenly spaced t. Gain of a step (the factor of a penalty's L1 threshold), a number a coordinate:
    lr times the sum of both factors, over ``sqrt(v_hat) + eps``.
    Source: Dozat 2016.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(1)
    >>> lo.NAdam(lr=0.1).step(w, np.array([2.0]))
    >>> w.round(6)
    array([-0.105645])
    """

    def __init__(
        self,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        momentum_decay: Number = 4e-3,
        decoupled_weight_decay: bool = False,
        groups: Groups | None = None,
    ) -> None:
        _checked(self, momentum_decay=(momentum_decay, 0, np.inf))
        self.decoupled_weight_decay = bool(decoupled_weight_decay)
        self.momentum_decay = momentum_decay
        self._product: tuple[int, float] = (0, 1.0)  # of so many mu
        self._made(lr, betas, eps, weight_decay, groups)

    def _family(self) -> Any:
        return _kernels.updates.nadam_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        # three are made for each update
        return *super()._hyper(), 0.0, 0.0, 0.0, self.decoupled_weight_decay

    def _mu(self, first: int, t: Array) -> list[tuple[float, float]]:
        """mu_k, and what mu_(k+1) would be, of the updates from `first` on, at the given t."""
        pair = (x(t).tolist() if isinstance(x, Schedule) else repeat(x) for x in (self.betas[0], self.momentum_decay))
        return [(_mu(k, *x), _mu(k + 1, *x)) for k, *x in zip(range(first, first + len(t)), *pair, strict=False)]

    def _before(self, apart: float) -> float:
        """The product of all mu up to now, of updates that read their schedules so far apart."""
        if self._product[0] != self.steps:
            self._product = self.steps, prod(mu for mu, _ in self._mu(1, np.arange(self.steps) * apart))
        return self._product[1]

    def _hypers(self, t: Array) -> Array:
        done = self.steps
        before = self._before(t[0] / done if done else (t[1] - t[0] if len(t) > 1 else 1.0))
        table = super()._hypers(t)
        table[:, 5:7] = self._mu(done + 1, t)
        products = list(accumulate(table[:, 5].tolist(), mul, initial=before))
        table[:, 7] = products[1:]
        self._product = done + len(t), products[-1]
        return table

    def _now(self, t: float) -> tuple[Any, ...]:
        hyper: tuple[Any, ...] = (self.lr, *self.betas, self.eps, self.weight_decay)
        decay: Any = self.momentum_decay
        if not abi.plain((*hyper, decay)):
            return super()._now(t)
        # the same without a schedule, and without arrays of one number
        k, before = self.steps + 1, self._before(1.0)
        mu, ahead = _mu(k, hyper[1], decay), _mu(k + 1, hyper[1], decay)
        self._product = k, before * mu
        return hyper[0] * self._lr_scale, *hyper[1:], mu, ahead, before * mu, self.decoupled_weight_decay


class RAdam(_WithBetas):
    """Adam that waits until its second moment can be trusted.

    With ``rho = 2 / (1 - b2) - 1`` and ``r_k = rho - 2 k b2**k / (1 - b2**k)``: where ``r_k > 5`` Adam's step times
    ``sqrt((r_k - 4) (r_k - 2) rho / ((rho - 4) (rho - 2) r_k))``, until then ``w = w - lr * m_hat``.

    Parameters
    ----------
    lr : float or Schedule
    betas : (b1, b2), floats in [0, 1) or Schedules
    eps : float or Schedule
        Added to ``sqrt(v)`` before the correction, as torch's.
    weight_decay : float or Schedule
        ``weight_decay * w`` joins the gradient.
    decoupled_weight_decay : bool
        Decay as AdamW's, which the moments do not see.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    Gain of a step (the factor of a penalty's L1 threshold): what multiplies m_hat, lr where it waits.
    Source: Liu et al. 2020.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(1)
    >>> lo.RAdam(lr=0.1).step(w, np.array([2.0]))
    >>> w.round(6)
    array([-0.2])
    """

    def __init__(
        self,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        decoupled_weight_decay: bool = False,
        groups: Groups | None = None,
    ) -> None:
        self.decoupled_weight_decay = bool(decoupled_weight_decay)
        self._made(lr, betas, eps, weight_decay, groups)

    def _family(self) -> Any:
        return _kernels.updates.radam_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return *super()._hyper(), self.decoupled_weight_decay


class Lion(Optimizer):
    """The sign of a momentum: each number moves by lr.

    ``w = (1 - lr weight_decay) w - lr sign(b1 m + (1 - b1) g)``, then ``m = b2 m + (1 - b2) g``.

    Parameters
    ----------
    lr : float or Schedule
    betas : (b1, b2), floats in [0, 1) or Schedules
    weight_decay : float or Schedule
        Never seen by m; larger than AdamW's by as much as lr is smaller.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    A sign has no metric: the L1 part of a penalty is refused. Source: Chen et al. 2023; optax's ``lion``.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(3)
    >>> lo.Lion(lr=0.1).step(w, np.array([2.0, -1e-9, 0.0]))
    >>> w
    array([-0.1,  0.1,  0. ])
    """

    def __init__(
        self,
        lr: Number = 1e-4,
        betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: Number = 0,
        groups: Groups | None = None,
    ) -> None:
        self.lr = lr
        self.betas = _betas(self, betas)
        self.weight_decay = weight_decay
        _checked(self, lr=(lr, 0, np.inf), weight_decay=(weight_decay, 0, np.inf))
        super().__init__(groups)

    def _family(self) -> Any:
        return _kernels.updates.lion_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, *self.betas, self.weight_decay

    def _kinds(self) -> tuple[str, ...]:
        return ("exp_avg",)

    def _refuse(self, kink: bool, closed: bool) -> None:
        _without_metric(self, kink or closed)


class LAMB(_WithBetas):
    """Adam's way, with a length in proportion to each array's own.

    With Adam's m_hat and v_hat, and ``r = m_hat / (sqrt(v_hat) + eps) + weight_decay w``:
    ``w = w - lr * |w| / |r| * r``, Euclidean lengths of a whole array, and lr alone where one of them is 0.

    Parameters
    ----------
    lr : float or Schedule
    betas : (b1, b2), floats in [0, 1) or Schedules
    eps : float or Schedule
        As Adam's.
    weight_decay : float or Schedule
        Part of r, never seen by the moments.
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    What one coordinate moves depends on all: the L1 part of a penalty is refused.
    Source: You et al. 2020, without a bound on the lengths; optax's ``lamb``.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> lo.LAMB(lr=0.1).step(w, np.array([1.0, -1.0]))
    >>> w.round(4)
    array([2.6464, 4.3536])
    """

    def __init__(
        self,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-6,
        weight_decay: Number = 0,
        groups: Groups | None = None,
    ) -> None:
        self._made(lr, betas, eps, weight_decay, groups)

    def _family(self) -> Any:
        return _kernels.updates.lamb_update

    def _refuse(self, kink: bool, closed: bool) -> None:
        _without_metric(self, kink or closed)


class FTRL(Optimizer):
    """Follow the regularized leader, proximal: gradients are added up, and weights follow from their sum.

    With ``n`` the sum of squares and ``p = -lr_power``: ``s = ((n + g**2)**p - n**p) / lr``, ``z = z + g - s w``,
    ``n = n + g**2``, then ``w = 0`` where ``|z| <= l1``, else
    ``w = -(z - sign(z) l1) / ((beta + n**p) / lr + 2 l2)``.

    Parameters
    ----------
    lr : float or Schedule
    lr_power : float, not positive
        -0.5 is the paper's square root.
    l1, l2 : float or Schedule
        Of the sum of all losses so far, not of their mean: as updates add up they weigh less and less, where
        ``step(penalty=)`` keeps its weight. l2 counts without a half, as the penalties do.
    beta : float or Schedule
    groups : dict of dicts, optional
        Hyperparameters of their own for arrays by name: see Optimizer.

    Notes
    -----
    A weight without a gradient stays where it is; at a scheduled lr of 0 nothing moves or adds up. z is kept as what it
    is beyond ``-w`` times the denominator, which holds whatever lr becomes. Gain of a step (the factor of a penalty's
    L1 threshold), a number a coordinate: one over the denominator. Keras's ``Ftrl`` begins with n = 0.1.
    Source: McMahan et al. 2013.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.zeros(2)
    >>> lo.FTRL(lr=0.1, l1=1.0).step(w, np.array([3.0, 0.5]))
    >>> w.round(6)
    array([-0.066667,  0.      ])
    """

    def __init__(
        self,
        lr: Number = 0.1,
        lr_power: float = -0.5,
        l1: Number = 0,
        l2: Number = 0,
        beta: Number = 0,
        groups: Groups | None = None,
    ) -> None:
        _checked(self, lr=(lr, 0, np.inf), l1=(l1, 0, np.inf), l2=(l2, 0, np.inf))
        _checked(self, beta=(beta, 0, np.inf))
        if (
            isinstance(lr_power, bool)
            or not isinstance(lr_power, (int, float, np.number))
            or not -np.inf < lr_power <= 0
        ):
            raise ValueError(f"FTRL: lr_power must be a number, finite and not positive, got {lr_power!r}")
        self.lr = lr
        self.lr_power = lr_power
        self.l1 = l1
        self.l2 = l2
        self.beta = beta
        super().__init__(groups)

    _below_one = (1,)

    def _family(self) -> Any:
        return _kernels.updates.ftrl_update if self.lr_power == -0.5 else _kernels.updates.ftrl_power_update

    def _hyper(self) -> tuple[Number | bool, ...]:
        return self.lr, self.lr_power, self.l1, self.l2, self.beta

    def _kinds(self) -> tuple[str, ...]:
        return "accumulator", "remainder"


def _without_metric(owner: Optimizer, refused: bool) -> None:
    if refused:
        raise ValueError(
            f"{type(owner).__name__}: penalty must have no L1 part, group or bound: its step has no metric"
        )


def _betas(owner: Component, betas: tuple[Number, Number]) -> tuple[Number, Number]:
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"{type(owner).__name__}: betas must be two numbers, got {betas!r}")
    _checked(owner, **{f"betas[{i}]": (beta, 0, 1) for i, beta in enumerate(betas)})
    return betas[0], betas[1]


def _mu(k: int, beta: float, decay: float) -> float:
    return float(beta * (1 - 0.5 * 0.96 ** (k * decay)))


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "lion": Lion,
    "lamb": LAMB,
    "ftrl": FTRL,
}
