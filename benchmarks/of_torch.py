"""lossopt.torch beside torch.optim, one thread each: the time of a step, in microseconds, and ratios.

python benchmarks/of_torch.py
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch

import lossopt as lo
import lossopt.torch as optims

MANY, LARGE, MIDDLE, QUIET = [1_000] * 200, [10_000_000], [1_000_000], [100_000]
FUSED = {"fused": {"fused": True}}
LOOPS = {"default": {}, "loop": {"foreach": False}, "foreach": {"foreach": True}}
ROWS = [
    ("Adam", MANY, FUSED | LOOPS),
    ("Adam", LARGE, FUSED),
    ("Adam", QUIET, FUSED),
    *((name, MIDDLE, LOOPS) for name in ("RMSprop", "NAdam", "RAdam", "Adadelta", "Adamax")),
]


def step(cls: type, sizes: list[int], dtype: torch.dtype, **flags: bool) -> Callable[[], object]:
    """The step of an optimizer that has made one; of QUIET a thousand more, without gradient for half of it."""
    params = [torch.nn.Parameter(torch.randn(n, dtype=dtype)) for n in sizes]
    for p in params:
        p.grad = torch.randn(p.shape, dtype=dtype)
    optimizer = cls(params, **flags)
    optimizer.step()
    if sizes is QUIET:
        params[0].grad[::2] = 0
        for _ in range(1000):
            optimizer.step()
    return optimizer.step


def times(sides: dict[str, Callable[[], object]], rounds: int, steps: int) -> dict[str, float]:
    """Medians in microseconds; the sides take turns of some steps, so that a noisy moment meets all of them."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            side()
            began = perf_counter()
            for _ in range(steps):
                side()
            spent[name].append((perf_counter() - began) / steps * 1e6)
    return {name: median(x) for name, x in spent.items()}


def main() -> None:
    torch.set_num_threads(1)
    lo.set_num_threads(1)
    for dtype in (torch.float32, torch.float64):
        for name, sizes, flags in ROWS:
            sides = {side: step(getattr(torch.optim, name), sizes, dtype, **kwargs) for side, kwargs in flags.items()}
            sides = {"lossopt": step(getattr(optims, name), sizes, dtype)} | sides
            made = times(sides, rounds=11, steps=3 if sizes is LARGE else 20)
            others = ", ".join(
                f"{side} {x:.0f} ({x / made['lossopt']:.2f})" for side, x in made.items() if side != "lossopt"
            )
            print(f"{name}, {dtype}, {len(sizes)} x {sizes[0]}: {made['lossopt']:.0f}; {others}", flush=True)


if __name__ == "__main__":
    main()
