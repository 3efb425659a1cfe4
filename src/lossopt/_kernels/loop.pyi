from typing import Any

from numpy.typing import NDArray

from lossopt._kernels.abi import Arrays, Loss, Pass, Update

def permutation(order: NDArray[Any], seed: int, epoch: int) -> None: ...

class Stretch:
    steps: int
    window: int
    norm: float
    total: float
    mass: float
    def __init__(
        self,
        objective: Pass,
        loss: Loss,
        update: Update,
        params: Arrays,
        grads: Arrays,
        more: Arrays,
        state: Arrays,
        X: NDArray[Any],
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        k: int,
        batch: int,
        accumulate: int,
        batches: int,
        shuffled: bool,
        mean: bool,
        terms: float,
        max_norm: float,
        l1: tuple[float, ...],
        l2: tuple[float, ...],
    ) -> None: ...
    def begin(self, steps: int) -> None: ...
    def skip(self) -> None: ...
    def run(self, order: NDArray[Any] | None, hyper: NDArray[Any], told: NDArray[Any], windows: int) -> bool: ...
