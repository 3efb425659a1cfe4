"""What every public object shares: it is its constructor's arguments."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    return a is b or (type(a) is type(b) and bool(a == b))


class Component:
    """An object that prints, pickles and copies itself as it was constructed.

    A subclass keeps every constructor argument as an attribute of the same name and may build whatever else it
    needs from them: pickle and copy go through the constructor again, so pointers and caches never travel.
    """

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        given, arguments = [], self._arguments()
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = arguments[name]
            if parameter.default is inspect.Parameter.empty or not _same(value, parameter.default):
                given.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _construct, (type(self), self._arguments())


def _construct(cls: type, arguments: dict[str, Any]) -> Any:
    return cls(**arguments)
