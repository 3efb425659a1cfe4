"""Components as one writes them in a shell: ``adam``, ``l2(0.01)``, ``warmup(cosine, steps=20) * 0.5``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

import lossopt as lo
from lossopt._refused import RefusedError

# by shorter names than the tables have
_SHORT = {
    "bce": "binary_cross_entropy",
    "cosine": "cosine_annealing",
    "exponential": "exponential_decay",
    "step": "step_decay",
    "linear": "linear_decay",
}


def component(text: str, what: str, example: str, table: Mapping[str, type], usual: Mapping[str, Any]) -> Any:
    """An entry of a table (a ``what``) from its name and arguments; `usual` fills in those that must be given."""

    def made(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() | None as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [made(part) for part in parts]
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return made(left) * made(right)
            case ast.Name(id=name):
                return of(name, [], {})
            case ast.Call(func=ast.Name(id=name), args=given, keywords=more):
                return of(name, [made(part) for part in given], {str(word.arg): made(word.value) for word in more})
        raise ValueError(f"cannot read {ast.unparse(node)!r}")

    def of(name: str, given: list[Any], more: dict[str, Any]) -> Any:
        cls = table.get(_SHORT.get(name, name)) or {c.__name__: c for c in table.values()}.get(name)
        if cls is None:
            short = [key for key, long in _SHORT.items() if long in table]
            raise ValueError(f"there is no {what} {name!r}; there are {', '.join([*short, *table])}")
        wanted = inspect.signature(cls).parameters
        left = list(wanted)[len(given) :]
        # a ramp is short, and what it leads to takes the rest
        own = {**usual, "steps": max(1, usual["steps"] // 20)} if cls is lo.Warmup else usual
        missing = {k: own[k] for k in left if wanted[k].default is inspect.Parameter.empty and k in own}
        return cls(*given, **missing | more)

    try:
        return made(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise RefusedError(f"{text!r} is no {what}: write {example}") from None
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from None


def schedule(text: str, lr: float, steps: int) -> lo.Schedule:
    """A schedule; a number is a constant one."""
    usual = {
        "lr": lr, "peak": lr, "base": lr / 10, "end": 0.0, "power": 1.0, "k": 5 / steps, "T_max": steps, "steps": steps,
        "T_0": max(1, steps // 4), "step_size": max(1, steps // 3), "milestones": [steps // 2, steps * 3 // 4],
        "up": max(1, steps // 10), "schedule": lr,
    }  # fmt: skip
    made = component(text, "schedule", "warmup(cosine), or step(0.1, 30) * 0.5", lo.SCHEDULES, usual)
    if isinstance(made, lo.Schedule):
        return made
    if not isinstance(made, (int, float)):
        raise RefusedError(f"{text!r} is no schedule")
    return lo.Constant(made)


def says(text: str, name: str) -> bool:
    """Whether a component is written with this argument, the first of its class."""
    node = ast.parse(text, mode="eval").body
    return isinstance(node, ast.Call) and (bool(node.args) or any(word.arg == name for word in node.keywords))
