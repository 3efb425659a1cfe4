"""The command line: ``lossopt demo``, ``bench``, ``diagnose``, ``schedule`` and ``info``."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lossopt as lo
from lossopt import _kernels, plot

Array = NDArray[Any]

PICTURE = "lossopt-demo.png"


@dataclass(frozen=True)
class _Job:
    """A model of the demo: a data set, a loss, and who finds the optimum of the same objective independently."""

    title: str
    data: str
    loss: lo.Loss
    outputs: int
    strength: float
    lr: float
    optimum: Callable[[Array, Array, float], tuple[Array, Array]]
    score: str
    kernel: str


def _ridge(X: Array, y: Array, strength: float) -> tuple[Array, Array]:
    from sklearn.linear_model import Ridge

    # scikit-learn minimizes the sum of squares, lossopt the mean
    fitted = Ridge(alpha=len(y) * strength, tol=1e-12).fit(X, y)
    return np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)


def _logistic(X: Array, y: Array, strength: float) -> tuple[Array, Array]:
    from sklearn.linear_model import LogisticRegression

    # scikit-learn minimizes C * the sum of losses + half the squares, lossopt the mean + strength * the squares
    fitted = LogisticRegression(C=1 / (2 * len(y) * strength), tol=1e-10, max_iter=100_000).fit(X, y)
    return fitted.coef_, fitted.intercept_


JOBS = (
    _Job("linear regression", "diabetes", lo.MSE(), 1, 1e-2, 0.1, _ridge, "R2", "mse"),
    _Job("logistic regression", "breast_cancer", lo.BinaryCrossEntropy(), 1, 1e-3, 0.03, _logistic, "accuracy", "bce"),
    _Job("softmax regression", "digits", lo.CrossEntropy(), 10, 1e-3, 0.02, _logistic, "accuracy", "softmax_labels"),
)
EPOCHS, WARMUP, BATCH = 400, 50, 32


def _load(job: _Job) -> tuple[Array, Array, Array, Array]:
    """The data set, a quarter of its rows held back, columns scaled by the rows to train on."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{job.data}")(return_X_y=True)
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.25, random_state=0)
    scaler = StandardScaler().fit(X)
    if job.score == "R2":
        mean, spread = y.mean(), y.std()
        y, y_held = (y - mean) / spread, (y_held - mean) / spread
    return scaler.transform(X), scaler.transform(X_held), y, y_held


def _scored(job: _Job, scores: Array, y: Array) -> float:
    if job.score == "R2":
        return 1 - float(np.sum((y - scores) ** 2) / np.sum((y - y.mean()) ** 2))
    label = scores.argmax(axis=1) if scores.ndim == 2 else scores > 0
    return float(np.mean(label == y))


def _step_seconds(kernels: SimpleNamespace, objective: lo.Objective, make: str) -> float:
    """The median time of one training step (loss, gradient, Adam) on a batch, by the kernels of one level."""
    X, k = np.ascontiguousarray(objective.X[:BATCH]), objective.n_outputs
    y = np.ascontiguousarray(objective._y[:BATCH])
    weight, bias = np.zeros((k, X.shape[1])), np.zeros(k)
    grads = [np.empty_like(weight), np.empty_like(bias)]
    state = kernels.Arrays([np.zeros_like(x) for x in (weight, weight, bias, bias)], True)
    params, memory = kernels.Arrays([weight, bias], True), kernels.Arrays(grads, False)
    loss = getattr(kernels.losses, make)(*([1.0, 1.0, 0.0] if make == "bce" else []))
    adam, which = (1e-3, 0.9, 0.999, 1e-8, 0.0, False), np.array([0, 1])
    update, settings = kernels.updates.adam_update(), ((*adam, 0.0, 1e-3), (*adam, 0.0, 0.0))
    times = []
    for t in range(1, 301):
        began = time.perf_counter()
        kernels.linear.value_and_grad(loss, X, y, None, weight, bias, *grads, 1 / len(X))
        kernels.updates.step(update, params, memory, state, settings, which, t, 1.0, np.inf)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def demo(arguments: argparse.Namespace) -> int:
    """Train three models on data that scikit-learn ships, and judge each by an independent solver."""
    try:
        import sklearn  # noqa: F401
        import tqdm  # noqa: F401
        from matplotlib.figure import Figure
    except ImportError as error:
        return _refuse(f"the demo needs {error.name}: pip install 'lossopt[demo]'")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, len(JOBS))
    rows = []
    for job, ax in zip(JOBS, axes, strict=True):
        X, X_held, y, y_held = _load(job)
        objective = lo.Objective(X, y, job.loss, lo.L2(job.strength), n_outputs=job.outputs)
        updates = arguments.epochs * -(-len(X) // BATCH)
        warmup = min(WARMUP, updates)
        schedule = lo.Warmup(lo.CosineAnnealing(lr=job.lr, T_max=max(1, updates - warmup)), steps=max(1, warmup))
        model = lo.Linear(X.shape[1], job.outputs)
        trainer = lo.Trainer(model, job.loss, lo.Adam(lr=schedule), penalty=objective.penalty, batch_size=BATCH)
        print(f"{job.title} on {job.data}: {len(X)} rows to train on, {len(X_held)} held back", flush=True)
        history = trainer.fit(X, y, epochs=arguments.epochs, validation=(X_held, y_held), progress=True)
        reached = objective(_flat(model.params["weight"], model.params["bias"]))
        best = objective(_flat(*job.optimum(X, y, job.strength)))
        ours, twin = (
            _step_seconds(_kernels.load(level), objective, job.kernel) for level in (_kernels.level, "reference")
        )
        score = _scored(job, model.predict(X_held), y_held)
        rows.append((job, reached, best, score, ours, twin))
        history.plot(ax=ax).set_yscale("log")
        ax.set_title(f"{job.title} ({job.data})")
    print()
    head = f"{'model':20} {'objective':>10} {'optimum':>10} {'apart':>8}   {'on held-back rows':18}"
    print(f"{head} {'step':>8} {'NumPy':>8} {'ratio':>6}")
    for job, reached, best, score, ours, twin in rows:
        held = f"{job.score} {score:.3f}"
        print(
            f"{job.title:20} {reached:10.6f} {best:10.6f} {reached / best - 1:8.1e}   {held:18}"
            f" {ours * 1e6:5.1f} us {twin * 1e6:5.1f} us {twin / ours:5.1f}x"
        )
    print()
    print("objective: mean loss + L2 on the rows to train on; optimum: the same, found by scikit-learn; step: loss,")
    print(f"gradient and Adam on {BATCH} rows, by the compiled kernels ({_kernels.level}) and by their NumPy twins.")
    try:
        figure.savefig(PICTURE, dpi=120)
    except OSError as error:
        return _refuse(f"{PICTURE} cannot be written here: {error.strerror}")
    print(f"The loss curves are in {PICTURE}.")
    return 0


def _flat(weight: Array, bias: Array) -> Array:
    return np.concatenate([weight.ravel(), bias])


def bench(arguments: argparse.Namespace) -> int:
    """Measure lossopt beside its NumPy twin, the machine's limit and, with --peers, the well-known libraries."""
    from lossopt import bench as grid

    full, quick = (grid.TRAINING, grid.TRAINING_QUICK) if arguments.training else (grid.FULL, grid.QUICK)
    plan = replace(quick if arguments.quick else full, peers=arguments.peers)
    alone = arguments.quick or arguments.training or lo.info()["cores"] == 1
    threads = arguments.threads or ([1] if alone else [1, 2])
    try:
        grid.report(plan, threads, arguments.json, arguments.picture)
    except grid.RefusedError as error:
        return _refuse(str(error))
    return 0


def diagnose(arguments: argparse.Namespace) -> int:
    """Say what loss curves show: a CSV with a column train_loss or loss, perhaps val_loss; or .json or .npz."""
    try:
        history = lo.History.load(arguments.history)
        found = history.diagnose(arguments.baseline)
    except OSError as error:
        return _refuse(f"{arguments.history} cannot be read: {error.strerror}")
    except (KeyError, TypeError, ValueError) as error:
        return _refuse(f"{arguments.history} holds no curves: {error}")
    if "train_loss" not in history:
        return _refuse(f"{arguments.history} has no column train_loss or loss; it has {', '.join(history) or 'none'}")
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        print("\n".join(map(str, found)) or f"nothing to find in {len(history)} epochs")
    return 1 if found else 0


# schedules by the names that a shell user would write, besides those of lo.SCHEDULES
_SHORT = {
    "cosine": "cosine_annealing",
    "exponential": "exponential_decay",
    "step": "step_decay",
    "linear": "linear_decay",
}


def _schedule(text: str, lr: float, steps: int) -> lo.Schedule:
    """A schedule from its names, such as ``warmup(cosine, steps=20) * 0.5``; lr and steps fill in what is not said."""
    usual = {
        "lr": lr, "peak": lr, "base": lr / 10, "end": 0.0, "power": 1.0, "k": 5 / steps, "T_max": steps, "steps": steps,
        "T_0": max(1, steps // 4), "step_size": max(1, steps // 3), "milestones": [steps // 2, steps * 3 // 4],
        "up": max(1, steps // 10), "schedule": lr,
    }  # fmt: skip

    def made(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
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

    def of(name: str, given: list[Any], more: dict[str, Any]) -> lo.Schedule:
        cls = lo.SCHEDULES.get(_SHORT.get(name, name)) or {c.__name__: c for c in lo.SCHEDULES.values()}.get(name)
        if cls is None:
            raise ValueError(f"there is no schedule {name!r}; there are {', '.join([*_SHORT, *lo.SCHEDULES])}")
        wanted = inspect.signature(cls).parameters
        left = list(wanted)[len(given) :]
        # a ramp is short, and what it leads to takes the rest
        own = usual | ({"steps": max(1, steps // 20)} if cls is lo.Warmup else {})
        missing = {k: own[k] for k in left if wanted[k].default is inspect.Parameter.empty and k in own}
        return cls(*given, **missing | more)

    try:
        schedule = made(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise ValueError(f"{text!r} is no schedule: write warmup(cosine), or step(0.1, 30) * 0.5") from None
    return schedule if isinstance(schedule, lo.Schedule) else lo.Constant(schedule)


def schedule(arguments: argparse.Namespace) -> int:
    """Show a schedule: its rate at some steps, and a picture with --picture."""
    try:
        made = _schedule(arguments.schedule, arguments.lr, arguments.steps)
        t = np.unique(np.linspace(0, arguments.steps, 11).round())
        values = made(t)
    except (TypeError, ValueError) as error:
        return _refuse(str(error))
    if arguments.json:
        print(json.dumps({"schedule": repr(made), "t": t.tolist(), "value": values.tolist()}))
    else:
        print(made)
        print("\n".join(f"{x:10.0f}  {y:.6g}" for x, y in zip(t, values, strict=True)))
    if arguments.picture:
        try:
            plot.schedule(made, arguments.steps, arguments.picture)
        except ImportError as error:
            return _refuse(str(error))
        except (OSError, ValueError) as error:
            return _refuse(f"{arguments.picture} cannot be written: {error}")
    return 0


def info(arguments: argparse.Namespace) -> int:
    """Print what this build and machine are."""
    for key, value in lo.info().items():
        print(f"{key:14} {', '.join(value) if isinstance(value, list) else value}")
    return 0


def _refuse(sentence: str) -> int:
    print(f"lossopt: {sentence}", file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0: done, 1: `diagnose` found trouble, 2: bad usage or input."""
    parser = argparse.ArgumentParser(prog="lossopt", description="Losses, gradients and optimizers for the CPU.")
    parser.add_argument("--version", action="version", version=f"lossopt {lo.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "demo", help="train three models on real data and judge them", description=demo.__doc__
    )
    command.add_argument("--epochs", type=_count, default=EPOCHS, help="epochs a model (default %(default)s)")
    command.set_defaults(run=demo)
    command = commands.add_parser(
        "bench", help="measure lossopt beside its twin and its peers", description=bench.__doc__
    )
    command.add_argument("--training", action="store_true", help="epochs of training, one thread, not single calls")
    command.add_argument("--quick", action="store_true", help="fewer sizes, one thread: under two minutes")
    command.add_argument("--peers", action="store_true", help="beside torch, jax, scikit-learn, thinc, where installed")
    command.add_argument("--threads", type=_count, nargs="+", metavar="N", help="for every side (default 1, then 2)")
    command.add_argument("--json", metavar="FILE", help="write machine, versions and every time")
    command.add_argument("--picture", metavar="FILE", help="draw the ratios")
    command.set_defaults(run=bench)
    command = commands.add_parser(
        "diagnose", help="say what loss curves show; exit 1 if there is trouble", description=diagnose.__doc__
    )
    command.add_argument("history", metavar="FILE", help="what History.save writes, or another's CSV")
    command.add_argument("--baseline", type=float, metavar="LOSS", help="the loss of the best constant prediction")
    command.add_argument("--json", action="store_true", help="findings as JSON")
    command.set_defaults(run=diagnose)
    command = commands.add_parser("schedule", help="show a schedule, with a picture", description=schedule.__doc__)
    command.add_argument("schedule", metavar="SCHEDULE", help="such as 'warmup(cosine)' or 'step(0.1, 30) * 0.5'")
    command.add_argument("--lr", type=float, default=0.1, help="the highest rate, where it is not said (default 0.1)")
    command.add_argument("--steps", type=_count, default=100, help="updates to show (default 100)")
    command.add_argument("--picture", metavar="FILE", help="draw it")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=schedule)
    command = commands.add_parser("info", help="kernel level, threads, versions", description=info.__doc__)
    command.set_defaults(run=info)
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text!r}")
    return int(text)
