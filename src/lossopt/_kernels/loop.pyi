from typing import Any

from numpy.typing import NDArray

def permutation(order: NDArray[Any], seed: int, epoch: int) -> None: ...
