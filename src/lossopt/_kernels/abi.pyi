from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

OPENMP: bool
COMPILER: str
FLAGS: str
X86_LEVEL: int

class Loss:
    target_size: int
    def direct(
        self,
        z: NDArray[Any],
        y: object,
        out: NDArray[Any] | None,
        mean: bool,
        low: float,
        high: float,
        binary: bool,
        dims: int,
    ) -> float | None: ...

class Pass: ...

class Problem:
    def __new__(
        cls,
        objective: Pass,
        loss: Loss,
        X: NDArray[Any],
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        k: int,
        intercept: bool,
    ) -> Problem: ...
    def value_and_grad(self, w: object, grad: NDArray[Any], scale: float) -> float | None: ...

class Closing: ...

class Update:
    hypers: int
    slots: int

class Arrays:
    count: int
    itemsize: int
    def __new__(cls, arrays: list[NDArray[Any]], writable: bool) -> Arrays: ...
    def like(self, arrays: list[NDArray[Any]]) -> Arrays | None: ...
    @staticmethod
    def of_tensors(tensors: list[Any], exchange: object) -> Arrays | None: ...
    def matches(self, other: Arrays, each: int) -> bool: ...
    def advance(self, factor: float, plus: float) -> list[float]: ...
    def holds(self, given: list[Any], now: Iterable[Any]) -> bool: ...
    def overlap_within(self) -> tuple[int, int] | None: ...
    def overlap(self, other: Arrays) -> tuple[int, int] | None: ...

def plain(numbers: tuple[object, ...]) -> bool: ...
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
