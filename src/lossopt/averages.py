"""Averages: weights that are the mean of those that training went through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lossopt import _arrays, _kernels
from lossopt._component import Component, _construct
from lossopt.optimizers import Params, _named, _steps_of

Array = NDArray[Any]


class _Average(Component, ABC):
    """What both averages share: the first weights count whole, later ones by their share."""

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def _share(self, k: int) -> float:
        """How much of the way to the k-th weights the average goes."""

    def reset(self) -> None:
        """Forget all weights."""
        self.steps = 0
        self._averages: dict[str, Array] = {}
        self._wrap: type = dict  # what the weights came in

    def update(self, params: Params) -> None:
        """Take the weights as they are now into the average.

        Parameters
        ----------
        params : array, or a list, tuple or dict of arrays
            float64 or float32, one dtype among them; they are read. Names and shapes are those of the first call.

        Raises
        ------
        ValueError, TypeError
            An array has another shape or type than before; nothing has been averaged then.
        """
        read: dict[str, Array] = {}
        dtype = next((x.dtype for x in self._averages.values()), None)
        for name, x in _named(params, "params").items():
            read[name] = _arrays.floats(name, x)
            dtype = read[name].dtype if dtype is None else dtype
            if read[name].dtype != dtype:
                raise TypeError(
                    f"params must be {dtype} as the others are, got {_arrays.describe(read[name])} for {name!r}"
                )
        averages = self._averages if self.steps else {name: np.zeros_like(x) for name, x in read.items()}
        was, now = ({name: x.shape for name, x in arrays.items()} for arrays in (averages, read))
        if was != now:
            raise ValueError(
                f"params must have the names and shapes averaged so far, {was}, got {now}; reset() starts anew"
            )
        into, weights = ([arrays[name] for name in averages] for arrays in (averages, read))
        _kernels.updates.blend(
            _kernels.Arrays(into, True), _kernels.Arrays(weights, False), self._share(self.steps + 1)
        )
        several = isinstance(params, (list, tuple)) and "params" not in read
        self._wrap = dict if isinstance(params, Mapping) else type(params) if several else np.ndarray
        self._averages, self.steps = averages, self.steps + 1

    @property
    def params(self) -> Any:
        """The averages, in what the weights last came in (an array, list, tuple, or dict by name); copies."""
        if not self.steps:
            raise ValueError("there is nothing to average: update was never called")
        arrays = {name: x.copy() for name, x in self._averages.items()}
        if self._wrap is dict:
            return arrays
        return self._wrap(arrays.values()) if self._wrap in (list, tuple) else next(iter(arrays.values()))

    def copy_to(self, params: Params) -> None:
        """Write the averages over weights, such as a model's.

        Parameters
        ----------
        params : as for `update`
            C-contiguous, writable, of the types averaged.

        Raises
        ------
        ValueError, TypeError
            An array has another shape or type; nothing has been written then.
        """
        given = _named(params, "params")
        if given.keys() != self._averages.keys():
            raise ValueError(f"params must have the names averaged, {list(self._averages)}, got {list(given)}")
        into = {n: _arrays.written(n, given[n], x.dtype, x.shape) for n, x in self._averages.items()}
        for name, x in into.items():
            x[...] = self._averages[name]

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on needs, as copies.

        Returns
        -------
        dict
            ``{"steps": int, "averages": {parameter: array}}``.
        """
        return {"steps": self.steps, "averages": {name: x.copy() for name, x in self._averages.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`.

        Parameters
        ----------
        state_dict : dict

        Raises
        ------
        ValueError
            It is not a state of an average.
        """
        steps = _steps_of(state_dict, "averages")
        self.reset()
        self.steps = steps
        self._averages = {name: np.array(x) for name, x in state_dict["averages"].items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _construct, (type(self), self._arguments()), (self._wrap, self.state_dict())

    def __setstate__(self, state: tuple[type, dict[str, Any]]) -> None:
        self.load_state_dict(state[1])
        self._wrap = state[0]


@final
class EMA(_Average):
    """An average that fades: with the weights w_1 ... w_k, ``(1 - d) / (1 - d**k) * sum d**(k - i) w_i``.

    Parameters
    ----------
    decay : float in [0, 1)
        d: about ``1 / (1 - d)`` updates are remembered.

    Attributes
    ----------
    steps : int
        Updates taken in.

    Notes
    -----
    The divisor makes it a mean of the weights that there were, from the first on, as optax's ``ema(debias=True)``;
    torch's ``get_ema_multi_avg_fn`` starts with a copy of the first weights instead, which it remembers long.
    Source: Kingma and Ba 2014, section 7.2.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w, ema = np.array([1.0]), lo.EMA(decay=0.5)
    >>> for w[0] in (1.0, 4.0):
    ...     ema.update(w)
    >>> ema.params
    array([3.])
    """

    def __init__(self, decay: float) -> None:
        if isinstance(decay, bool) or not isinstance(decay, (int, float, np.number)) or not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be a number in [0, 1), got {decay!r}")
        self.decay = decay
        super().__init__()

    def _share(self, k: int) -> float:
        return float((1 - self.decay) / (1 - self.decay**k))


@final
class Polyak(_Average):
    """The plain mean of all weights taken in: ``(w_1 + ... + w_k) / k``.

    Attributes
    ----------
    steps : int
        Updates taken in.

    Notes
    -----
    Begin to call `update` where training has come near the minimum: what is far counts for ever. Once an epoch at a
    constant learning rate, it is stochastic weight averaging, torch's ``AveragedModel``.
    Source: Polyak and Juditsky 1992; Izmailov et al. 2018.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> model, average = lo.Linear(1), lo.Polyak()
    >>> for model.params["weight"][...] in (1.0, 4.0):
    ...     average.update(model.params)
    >>> average.copy_to(model.params)
    >>> model.params["weight"]
    array([[2.5]])
    """

    def __init__(self) -> None:
        super().__init__()

    def _share(self, k: int) -> float:
        return 1 / k
