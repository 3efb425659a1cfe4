"""The command line: ``lossopt demo``, ``fit``, ``predict``, ``diagnose``, ``schedule``, ``bench`` and ``info``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

import lossopt as lo
from lossopt import plot
from lossopt._refused import RefusedError
from lossopt.cli import spelling
from lossopt.cli.demo import EPOCHS, demo
from lossopt.cli.fit import LOSSES, fit, predict


def bench(arguments: argparse.Namespace) -> None:
    """Measure lossopt beside its NumPy twin, the machine's limit and, with --peers, the well-known libraries."""
    from lossopt import bench as grid

    full, quick = (grid.TRAINING, grid.TRAINING_QUICK) if arguments.training else (grid.FULL, grid.QUICK)
    plan = replace(quick if arguments.quick else full, peers=arguments.peers)
    alone = arguments.quick or arguments.training or lo.info()["cores"] == 1
    threads = arguments.threads or ([1] if alone else [1, 2])
    grid.report(plan, threads, arguments.json, arguments.picture)


def diagnose(arguments: argparse.Namespace) -> int:
    """Say what loss curves show: a CSV with a column train_loss or loss, perhaps val_loss; or .json or .npz."""
    try:
        history = lo.History.load(arguments.history)
        found = history.diagnose(arguments.baseline)
    except OSError as error:
        raise RefusedError(f"{arguments.history} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"{arguments.history} holds no curves: {error}") from None
    if "train_loss" not in history:
        raise RefusedError(
            f"{arguments.history} has no column train_loss or loss; it has {', '.join(history) or 'none'}"
        )
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        print("\n".join(map(str, found)) or f"nothing to find in {len(history)} epochs")
    return 1 if found else 0


def schedule(arguments: argparse.Namespace) -> None:
    """Show a schedule: its rate at some steps, and a picture with --picture."""
    made = spelling.schedule(arguments.schedule, arguments.lr, arguments.steps)
    t = np.unique(np.linspace(0, arguments.steps, 11).round())
    values = made(t)
    if arguments.json:
        print(json.dumps({"schedule": repr(made), "t": t.tolist(), "value": values.tolist()}))
    else:
        print(made)
        print("\n".join(f"{x:10.0f}  {y:.6g}" for x, y in zip(t, values, strict=True)))
    if arguments.picture:
        try:
            plot.schedule(made, arguments.steps, arguments.picture)
        except ImportError as error:
            raise RefusedError(str(error)) from None
        except (OSError, ValueError) as error:
            raise RefusedError(f"{arguments.picture} cannot be written: {error}") from None


def info(arguments: argparse.Namespace) -> None:
    """Print what this build and machine are."""
    for key, value in lo.info().items():
        print(f"{key:14} {', '.join(value) if isinstance(value, list) else value}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0: done, 1: `diagnose` found trouble, 2: bad usage or input."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="lossopt", description="Losses, gradients and optimizers for the CPU.")
    parser.add_argument("--version", action="version", version=f"lossopt {lo.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "demo", help="train three models on real data and judge them", description=demo.__doc__
    )
    command.add_argument("--epochs", type=_count, default=EPOCHS, help="epochs a model (default %(default)s)")
    command.set_defaults(run=demo)
    command = commands.add_parser(
        "fit",
        help="train a linear model on a CSV",
        description="Train a linear model on the rows of a CSV, and write it to a file. Columns of texts become a "
        "feature a level, columns of numbers are scaled, and what is missing is filled in; the model file remembers "
        "how. Where something is chosen for you, it is said.",
        epilog="A component is a name, or a name with arguments: adam, 'sgd(momentum=0.9)', 'l1(0.01)', "
        "'warmup(cosine)'. Losses: " + "; ".join(f"{task}: {', '.join(names)}" for task, names in LOSSES.items()) + ".",
    )
    command.add_argument("data", metavar="DATA.csv", help="with a header; may be compressed (.gz, .zip)")
    command.add_argument("--target", required=True, metavar="COLUMN", help="what to predict")
    command.add_argument("--task", choices=["auto", *LOSSES], default="auto", help="default: by the target's values")
    command.add_argument("--loss", metavar="LOSS", help="default: mse, binary_cross_entropy or cross_entropy")
    command.add_argument("--penalty", default="l2(0.0001)", help="default %(default)s; none for none")
    command.add_argument("--optimizer", default="adam", help="default %(default)s")
    command.add_argument("--lr", type=_positive, help="the highest rate; default: found by a range test")
    command.add_argument("--schedule", default="cosine", help="of the rate, over all updates; default %(default)s")
    command.add_argument("--epochs", type=_count, default=100, help="at most; default %(default)s")
    command.add_argument("--batch-size", type=_count, default=32, metavar="ROWS", help="default %(default)s")
    command.add_argument(
        "--early-stopping",
        type=_natural,
        default=10,
        metavar="EPOCHS",
        help="without improvement; 0: never; default 10",
    )
    command.add_argument(
        "--validation", type=_share, default=0.2, metavar="SHARE", help="of the rows, held back; default %(default)s"
    )
    command.add_argument("--checkpoint", metavar="DIR", help="save the run there after every epoch")
    command.add_argument("--resume", action="store_true", help="go on with the run in --checkpoint, if there is one")
    command.add_argument("--out", default="model.npz", metavar="FILE", help="the model; default %(default)s")
    command.add_argument("--report", metavar="FILE.html", help="curves, findings, coefficients, the exact objective")
    command.add_argument("--separator", default=",", metavar="MARK", help="between columns; default a comma")
    command.add_argument("--seed", type=_natural, default=0, help="of order, start and split; default %(default)s")
    command.add_argument("--json", action="store_true", help="all that came out, as JSON")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=fit, argv=argv)
    command = commands.add_parser("predict", help="predictions for a CSV, as CSV", description=predict.__doc__)
    command.add_argument("model", metavar="MODEL", help="what lossopt fit --out wrote")
    command.add_argument("data", metavar="DATA.csv", help="with the columns that the model was trained on, or more")
    command.add_argument("--separator", metavar="MARK", help="between columns; default that of training")
    command.set_defaults(run=predict)
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
    try:
        return int(arguments.run(arguments) or 0)
    except RefusedError as error:
        print(f"lossopt: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        # who reads has seen enough; nothing is left to be flushed to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text!r}")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, got {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive and finite, got {text!r}")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to below 1, got {text!r}")
    return number
