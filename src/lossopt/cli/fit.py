"""``lossopt fit`` and ``lossopt predict``: a linear model from a CSV, and its predictions for another."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lossopt as lo
from lossopt import checkpoint
from lossopt._refused import RefusedError
from lossopt.cli import spelling, table
from lossopt.cli.report import Report
from lossopt.models import MODELS

Array = NDArray[Any]

# the losses of each task, the first one where none is said
LOSSES = {
    "regression": (
        "mse", "mae", "huber", "log_cosh", "quantile", "epsilon_insensitive", "squared_epsilon_insensitive", "poisson",
        "gamma", "tweedie",
    ),
    "binary": ("binary_cross_entropy", "focal", "hinge", "squared_hinge", "modified_huber"),
    "multiclass": ("cross_entropy", "focal", "multiclass_hinge"),
}  # fmt: skip
# whose score is the logarithm of the mean
_LOGARITHMIC = (lo.Poisson, lo.Gamma, lo.Tweedie)
_PROBABLE = (lo.BinaryCrossEntropy, lo.CrossEntropy, lo.Focal)
# whole numbers of at most so many kinds are classes
_MOST_CLASSES = 10
# fewer held-back rows may be easier than the others by chance
_FEW_HELD = 50
# options that a run to be resumed must share
_SAME = (
    "target", "task", "loss", "optimizer", "lr", "schedule", "penalty", "epochs", "batch_size", "early_stopping",
    "validation", "seed", "separator",
)  # fmt: skip


@dataclass
class _Target:
    """What is predicted: numbers, or classes."""

    name: str
    task: str
    labels: tuple[str, ...]  # of classes, as the file spells them
    center: float = 0.0
    spread: float = 1.0

    @property
    def outputs(self) -> int:
        return len(self.labels) if self.task == "multiclass" else 1


def _target(column: Array, name: str, task: str) -> tuple[_Target, Array]:
    """The task, and the target of each row: numbers, or the places of labels."""
    (values, strange), kinds = table.numbers(column), sorted(set(column))
    if not strange:
        kinds.sort(key=float)
        if np.isnan(values).any():
            raise RefusedError(f"--target {name}: it holds what is no finite number")
    if task == "auto":
        few = not strange and (values == np.round(values)).all() and len(kinds) <= _MOST_CLASSES
        task = "binary" if len(kinds) == 2 else "multiclass" if strange or few else "regression"
    if task == "regression":
        if strange:
            raise RefusedError(f"--task regression: {name} holds {strange[0]!r}, which is no number")
        return _Target(name, task, ()), values
    if len(kinds) < 2 or (task == "binary" and len(kinds) != 2):
        raise RefusedError(f"--task {task}: {name} has {len(kinds)} different values")
    if len(kinds) > max(_MOST_CLASSES, len(column) // 5):
        raise RefusedError(f"--task {task}: {name} has {len(kinds)} different values in {len(column)} rows")
    place = {label: i for i, label in enumerate(kinds)}
    made = np.array([place[x] for x in column])
    return _Target(name, task, tuple(kinds)), made.astype(np.float64) if task == "binary" else made


def _split(y: Array, share: float, seed: int) -> tuple[Array, Array]:
    """Rows to train on and to hold back, with the same mix of targets."""
    order = np.random.Philox(key=seed).random_raw(len(y)).argsort()
    order = order[np.argsort(y[order], kind="stable")]
    steps = np.floor((np.arange(len(y) + 1) + 0.5) * share)
    held = np.diff(steps) > 0
    return np.sort(order[~held]), np.sort(order[held])


def _constant(loss: lo.Loss, y: Array, target: _Target) -> tuple[Array, float]:
    """The constant score of least loss, where a fit starts, and that loss."""
    if target.outputs > 1:
        # of cross-entropy it is this one, of the others near it
        shares = np.bincount(y, minlength=target.outputs) / len(y)
        scores = np.log(np.maximum(shares, 0.5 / len(y)))
        return scores, loss(np.tile(scores, (len(y), 1)), y)
    if isinstance(loss, _LOGARITHMIC):
        low = high = float(np.log(max(y.mean(), 1e-300)))
    else:
        low, high = (-20.0, 20.0) if target.task == "binary" else (float(y.min()), float(y.max()))

    def value(z: float) -> float:
        return loss(np.full(len(y), z), y)

    # the golden section, of a convex function
    share = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - share * (high - low), low + share * (high - low)
        low, high = (low, b) if value(a) <= value(b) else (a, high)
    middle = (low + high) / 2
    return np.array([middle]), value(middle)


class _Run:
    """A fit: the data as numbers, the trainer, what there is to say."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.options = arguments
        self.notes: list[str] = []
        frame = table.load(arguments.data, arguments.separator)
        if arguments.target not in frame.columns:
            known = ", ".join(map(str, frame.columns[:12])) + (", ..." if frame.shape[1] > 12 else "")
            raise RefusedError(f"--target {arguments.target}: {arguments.data} has no such column; it has {known}")
        column = table.texts(frame, arguments.target)
        known_rows = np.flatnonzero([x is not None for x in column])
        if len(known_rows) < len(column):
            self.notes.append(f"{arguments.target}: {len(column) - len(known_rows)} missing, their rows left out")
            frame, column = frame.iloc[known_rows], column[known_rows]
        if len(column) < 2:
            raise RefusedError(f"{arguments.data} has {len(column)} rows with a target; at least 2 are needed")
        self.target, y = _target(column, arguments.target, arguments.task)
        train, held = _split(y, arguments.validation, arguments.seed)
        self.columns, said = table.Columns.learn(frame.iloc[train], arguments.target)
        self.notes += said
        if not self.columns.columns:
            raise RefusedError(f"{arguments.data} has no column to predict {arguments.target} from")
        X, said = self.columns.matrix(frame)
        self.notes += [f"held-back rows: {note}" for note in said]
        if self.target.task == "multiclass" and len(np.unique(y[train])) < len(self.target.labels):
            self.notes.append(f"{arguments.target}: a class has too few rows to be both trained on and held back")
        self.loss = self._loss()
        if self.target.task == "regression" and not isinstance(self.loss, _LOGARITHMIC):
            self.target.center, self.target.spread = float(y[train].mean()), float(y[train].std()) or 1.0
            y = (y - self.target.center) / self.target.spread
            self.notes.append(
                f"{arguments.target}: scaled, by its mean {self.target.center:.6g} and spread {self.target.spread:.6g}"
            )
        self.X, self.y, self.X_held, self.y_held = X[train], y[train], X[held], y[held]
        try:
            self.start, self.baseline = _constant(self.loss, self.y, self.target)
        except ValueError as error:
            raise RefusedError(f"--target {arguments.target}: {error}") from None
        self.digest = hashlib.sha256(Path(arguments.data).read_bytes()).hexdigest()

    def _loss(self) -> lo.Loss:
        names = LOSSES[self.target.task]
        # losses that take a parameter take the usual one
        known = {name: lo.LOSSES[name] for name in names}
        made: lo.Loss = spelling.component(
            self.options.loss or names[0], f"loss for {self.target.task}", "huber(2)", known, {}
        )
        return made

    def trainer(self) -> lo.Trainer:
        """A new one, its rate found if none is given."""
        options = self.options
        usual = {"strength": 1e-4, "l1_ratio": 0.5, "low": -1.0, "high": 1.0}
        penalty = None
        if options.penalty != "none":
            penalty = spelling.component(options.penalty, "penalty", "l2(0.01)", lo.PENALTIES, usual)
        optimizer = spelling.component(options.optimizer, "optimizer", "sgd(momentum=0.9)", lo.OPTIMIZERS, {})
        model = lo.Linear(self.X.shape[1], self.target.outputs, seed=options.seed)
        model.params["weight"][:], model.params["bias"][:] = 0, self.start
        lr: Any = options.lr
        if lr is None and spelling.says(options.optimizer, "lr"):
            lr = optimizer.lr
        if lr is None:
            try:
                found = lo.lr_find(
                    model,
                    self.loss,
                    optimizer,
                    self.X,
                    self.y,
                    # a test of a few hundred steps is misled by the noise of small batches
                    batch_size=max(options.batch_size, 1024),
                    penalty=penalty,
                    seed=options.seed,
                    # beyond, a few wide steps may look good by chance
                    high=1.0,
                )
            except (TypeError, ValueError) as error:
                raise RefusedError(str(error)) from None
            lr = found.suggestion
            if lr is None:
                lr = optimizer.lr
                self.notes.append(f"learning rate: {lr:.3g}, the usual one; {found.reason}")
            else:
                self.notes.append(f"learning rate: {lr:.3g}, {found.reason}")
        updates = options.epochs * -(-len(self.X) // options.batch_size)
        arguments = optimizer._arguments() | {"lr": spelling.schedule(options.schedule, lr, updates)}
        callbacks: list[lo.Callback] = []
        if options.early_stopping and len(self.X_held):
            callbacks.append(lo.EarlyStopping(patience=options.early_stopping))
        if options.checkpoint:
            callbacks.append(lo.Checkpoint(self._checkpoint("run.lossopt"), every="epoch"))
        try:
            return lo.Trainer(
                model,
                self.loss,
                type(optimizer)(**arguments),
                penalty=penalty,
                batch_size=options.batch_size,
                seed=options.seed,
                callbacks=callbacks,
                end_loss=True,
            )
        except (TypeError, ValueError) as error:
            raise RefusedError(str(error)) from None

    def _checkpoint(self, name: str) -> Path:
        return Path(self.options.checkpoint) / name

    def _identity(self) -> dict[str, Any]:
        return {name: getattr(self.options, name) for name in _SAME} | {"data": self.digest}

    def started(self) -> lo.Trainer | None:
        """The trainer of a run to be gone on with, if there is one."""
        if not self.options.resume or not self._checkpoint("run.lossopt").exists():
            return None
        try:
            known = json.loads(self._checkpoint("run.json").read_text())
            trainer = lo.Trainer.load(self._checkpoint("run.lossopt"))
        except (OSError, ValueError) as error:
            raise RefusedError(f"--resume: {error}") from None
        for name, value in self._identity().items():
            if known["run"].get(name) != value:
                what = f"--{name.replace('_', '-')}" if name != "data" else "the data"
                told = "" if name == "data" else f": {known['run'].get(name)!r} there, {value!r} here"
                raise RefusedError(f"--resume: {self.options.checkpoint} holds a run that differs in {what}{told}")
        self.notes += [note for note in known["notes"] if note.startswith("learning rate")]
        return trainer

    def train(self) -> lo.Trainer:
        """Train, or finish."""
        options = self.options
        trainer = self.started()
        resumed = trainer is not None
        if trainer is None:
            if options.checkpoint:
                try:
                    self._checkpoint("").mkdir(parents=True, exist_ok=True)
                    trainer = self.trainer()
                    self._checkpoint("run.json").write_text(json.dumps({"run": self._identity(), "notes": self.notes}))
                except OSError as error:
                    raise RefusedError(f"--checkpoint {options.checkpoint}: {error.strerror}") from None
            else:
                trainer = self.trainer()
        held = (self.X_held, self.y_held) if len(self.X_held) else None
        shown = not options.quiet and not options.json and sys.stderr.isatty()
        try:
            if resumed:
                trainer.resume(self.X, self.y, held, progress=shown)
            else:
                trainer.fit(self.X, self.y, options.epochs, held, progress=shown)
        except FloatingPointError as error:
            raise RefusedError(str(error)) from None
        except (TypeError, ValueError) as error:
            raise RefusedError(f"--target {options.target}: {error}") from None
        except KeyboardInterrupt:
            how = (
                "the same command with --resume goes on"
                if options.checkpoint
                else "--checkpoint DIR would have kept it"
            )
            raise RefusedError(f"interrupted after {trainer.optimizer.steps} updates; {how}", 130) from None
        return trainer

    # ---- what came out

    def scores(self, model: lo.Linear, X: Array, y: Array) -> dict[str, float]:
        """How good predictions are, beside those of the best constant."""
        z = model.predict(X)
        if self.target.task == "regression":
            made, true = _numbers(z, self.target, self.loss), y * self.target.spread + self.target.center
            rest = float(np.sum((true - true.mean()) ** 2))
            scores = {"mean absolute error": float(np.mean(np.abs(made - true)))}
            return {"R2": 1 - float(np.sum((made - true) ** 2)) / rest, **scores} if rest else scores
        right = (z.argmax(axis=1) if z.ndim == 2 else z > 0) == y
        most = np.bincount(self.y.astype(int)).argmax()
        return {"accuracy": float(np.mean(right)), "accuracy of the most frequent class": float(np.mean(y == most))}

    def result(self, trainer: lo.Trainer) -> dict[str, Any]:
        """All that there is to tell, for machines."""
        history, model = trainer.history, trainer.model
        findings = history.diagnose(self.baseline)
        if any(finding.code == "jumpy" for finding in findings):
            history._add({"noise_scale": lo.noise_scale(trainer, self.X, self.y)})
            findings = history.diagnose(self.baseline)
        few = len(self.X_held) < _FEW_HELD
        findings = [finding for finding in findings if not (few and finding.code == "validation_below_training")]
        best = int(np.nanargmin(history["val_loss"])) if "val_loss" in history else len(history) - 1
        X, y = (self.X_held, self.y_held) if len(self.X_held) else (self.X, self.y)
        return {
            "task": self.target.task,
            "target": self.target.name,
            "rows": len(self.X),
            "held_back": len(self.X_held),
            "features": len(self.columns.features),
            "loss": repr(self.loss),
            "penalty": repr(trainer.penalty),
            "optimizer": repr(trainer.optimizer),
            "epochs": len(history),
            "best_epoch": best + 1,
            "stopped": history.stopped,
            "train_loss": trainer.evaluate(self.X, self.y),
            "val_loss": trainer.evaluate(self.X_held, self.y_held) if len(self.X_held) else None,
            "scores": self.scores(model, X, y),
            "zeros": trainer._zeros(),
            "seconds": sum(history["seconds"]),
            "findings": [asdict(finding) for finding in findings],
            "objective": str(lo.explain(self._objective(trainer))),
            "notes": self.notes,
        }

    def _objective(self, trainer: lo.Trainer) -> lo.Objective:
        return lo.Objective(self.X, self.y, self.loss, trainer.penalty, n_outputs=self.target.outputs)

    def save(self, trainer: lo.Trainer, path: str) -> None:
        """The model with all that predictions need."""
        content = {
            "kind": "table",
            "model": trainer.model,
            "state": trainer.model._state(),
            "loss": self.loss,
            "target": asdict(self.target),
            "columns": self.columns.state(),
            "separator": self.options.separator,
        }
        try:
            checkpoint.write(path, content, MODELS)
        except OSError as error:
            raise RefusedError(f"--out {path} cannot be written: {error.strerror}") from None

    def report(self, trainer: lo.Trainer, result: dict[str, Any], path: str) -> None:
        """The page."""
        page = Report(
            title=f"{self.target.name} from {Path(self.options.data).name}",
            summary=_summary(result),
            history=trainer.history,
            features=self.columns.features,
            weights=trainer.model.params["weight"],
            outputs=list(self.target.labels),
            objective=result["objective"],
            notes=self.notes,
            command=shlex.join(["lossopt", *self.options.argv]),
            trainer=repr(trainer),
            data=self.digest,
            findings=[lo.Finding(**finding) for finding in result["findings"]],
        )
        try:
            Path(path).write_text(page.html(), encoding="utf-8")
        except ImportError:
            raise RefusedError("--report needs matplotlib: pip install 'lossopt[cli]'") from None
        except OSError as error:
            raise RefusedError(f"--report {path} cannot be written: {error.strerror}") from None


def _summary(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The table that a fit ends with."""
    held = result["val_loss"] is not None
    where = f"on {result['held_back']} held-back rows" if held else "on the rows trained on"
    rows = [
        ("task", f"{result['task']}: {result['target']} from {result['features']} features, {result['rows']} rows"),
        ("loss", f"{result['loss']}, penalty {result['penalty']}"),
        ("optimizer", result["optimizer"]),
        ("epochs", f"{result['epochs']} in {result['seconds']:.2g} s, {result['stopped']}"),
        ("training loss", f"{result['train_loss']:.6g}"),
    ]
    if held:
        rows.append(("validation loss", f"{result['val_loss']:.6g}, best epoch {result['best_epoch']}"))
    rows += [(name, f"{score:.6g} {where}") for name, score in result["scores"].items()]
    return [*rows, ("weights at zero", str(result["zeros"]))]


def fit(arguments: argparse.Namespace) -> None:
    """Train a linear model on a CSV; write it, and a report if there is to be one."""
    if arguments.resume and not arguments.checkpoint:
        raise RefusedError("--resume needs --checkpoint DIR, where the run is")
    run = _Run(arguments)
    trainer = run.train()
    result = run.result(trainer)
    run.save(trainer, arguments.out)
    if arguments.report:
        run.report(trainer, result, arguments.report)
    if arguments.json:
        print(json.dumps(result))
    elif not arguments.quiet:
        for note in run.notes:
            print(note)
        rows = _summary(result)
        rows += [("found", str(lo.Finding(**finding))) for finding in result["findings"]]
        rows.append(("model", arguments.out))
        rows += [("report", arguments.report)] if arguments.report else []
        width = max(len(name) for name, _ in rows)
        print("\n".join(f"{name.ljust(width)}  {text}" for name, text in rows))


def _numbers(z: Array, target: _Target, loss: lo.Loss) -> Array:
    """Predictions of a regression, from scores."""
    if isinstance(loss, _LOGARITHMIC):
        with np.errstate(over="ignore"):
            return np.exp(z)
    return z * target.spread + target.center


def predict(arguments: argparse.Namespace) -> None:
    """Print predictions as CSV: ``prediction``, then the probability of each class."""
    try:
        content = checkpoint.read(arguments.model, MODELS)
    except OSError as error:
        raise RefusedError(f"{arguments.model} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RefusedError(str(error)) from None
    if content["kind"] != "table":
        raise RefusedError(f"{arguments.model} holds a {content['kind']}, and no model of lossopt fit")
    model, loss, target = content["model"], content["loss"], _Target(**content["target"])
    model._restore(content["state"])
    columns = table.Columns([table.Column(**column) for column in content["columns"]])
    frame = table.load(arguments.data, arguments.separator or content["separator"])
    try:
        X, said = columns.matrix(frame)
    except RefusedError as error:
        raise RefusedError(f"{arguments.data}: {error}") from None
    for note in said:
        print(f"lossopt: {note}", file=sys.stderr)
    z = model.predict(X)
    head, parts = ["prediction"], []
    if target.task == "regression":
        made: list[Any] = [repr(x) for x in _numbers(z, target, loss).tolist()]
    else:
        chosen = z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(int)
        made = [target.labels[i] for i in chosen]
        if isinstance(loss, _PROBABLE):
            scores = z if z.ndim == 2 else np.stack([np.zeros_like(z), z], axis=1)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            parts = (shares / shares.sum(axis=1, keepdims=True)).tolist()
            head += [f"probability_{label}" for label in target.labels]
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(head)
    out.writerows([x, *map(repr, row)] for x, row in zip(made, parts or [()] * len(made), strict=True))
