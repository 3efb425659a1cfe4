from typing import Any

from numpy.typing import NDArray

from lossopt._kernels.abi import Arrays, Closing, Loss, Pass, Update

def permutation(order: NDArray[Any], seed: int, epoch: int, block: int) -> None: ...

class Member:
    window: int
    steps: int
    skipped: int
    norm: float
    step: float
    total: float
    mass: float
    bad: tuple[float, float] | None
    def __new__(
        cls,
        update: Update,
        params: Arrays,
        grads: Arrays,
        more: Arrays,
        state: Arrays,
        sample_weight: NDArray[Any] | None,
        max_norm: float,
        which: NDArray[Any],
        closings: list[Closing | None] | None,
    ) -> Member: ...
    def begin(self, window: int, steps: int, skipped: int, total: float, mass: float, norm: float) -> None: ...

class Stretch:
    window: int
    grain: int
    def __new__(
        cls,
        objective: Pass,
        loss: Loss,
        X: Any,
        y: NDArray[Any],
        k: int,
        batch: int,
        accumulate: int,
        batches: int,
        shuffled: bool,
        mean: bool,
        terms: float,
        skip: bool,
        most: int,
        members: list[Member],
    ) -> Stretch: ...
    def begin(self, window: int) -> None: ...
    def run(
        self, order: NDArray[Any] | None, hypers: list[NDArray[Any]], told: list[NDArray[Any] | None], windows: int
    ) -> bool: ...
