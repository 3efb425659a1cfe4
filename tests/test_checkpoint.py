"""Checkpoints: bits that come back, files that survive every fault or say what is wrong, and ways for a fit to end."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

import lossopt as lo
from lossopt import checkpoint
from lossopt.callbacks import OWN
from lossopt.models import MODELS

from . import cases

KNOWN = {**MODELS, **OWN}


def data(n=200, d=6):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, (X[:, 0] + 0.5 * rng.standard_normal(n) > 0).astype(float)


def made(engine="auto", model=None, callbacks=(), **options):
    """A trainer with something in every corner."""
    model = lo.Linear(6) if model is None else model
    optimizer = lo.Adam(lo.Warmup(lo.CosineAnnealing(0.05, 300), 20), groups={"*bias": {"lr": 0.01}})
    watchers = [lo.EarlyStopping(patience=100), lo.ReduceOnPlateau(0.5, patience=2, min_delta=0.01)]
    arguments = {"batch_size": 10, "max_norm": 0.5, "engine": engine, "record": "step", **options}
    return lo.Trainer(
        model, lo.BinaryCrossEntropy(), optimizer, lo.L1(1e-3), callbacks=[*watchers, *callbacks], **arguments
    )


def left_behind(trainer):
    """All that a run leaves but its seconds."""
    history = trainer.history
    curves = {key: np.array(history[key]).tobytes() for key in history if key != "seconds"}
    steps = {key: curve.tobytes() for key, curve in history.steps.items()}
    params = {name: x.tobytes() for name, x in trainer.model.params.items()}
    callbacks = [
        {name: pickle.dumps(getattr(c, name)) for name in c._kept if name not in ("_params", "_running")}
        for c in trainer.callbacks
    ]
    state = trainer.optimizer.state_dict()
    moments = {k: {n: x.tobytes() for n, x in v.items()} for k, v in state["state"].items()}
    return params, curves, steps, moments, state["steps"], state["lr_scale"], callbacks, history.stopped, trainer.epochs


# ---- going on


@pytest.mark.parametrize("engine", ["python", "compiled", "mlp", "accumulated"])
def test_a_run_stopped_at_any_step_ends_with_the_same_bits(engine, tmp_path, monkeypatch):
    X, y = data()
    options = {"accumulate": 3, "batch_size": 4} if engine == "accumulated" else {}
    model = lo.MLP((6, 4, 1), dropout=0.3) if engine == "mlp" else None
    wanted = engine if engine in ("python", "compiled") else "auto"
    whole = made(wanted, model, **options)
    whole.fit(X, y, epochs=10, validation=(X[:50], y[:50]))
    assert whole.optimizer.steps >= 170
    model = lo.MLP((6, 4, 1), dropout=0.3) if engine == "mlp" else None
    watched = made(wanted, model, callbacks=[lo.Checkpoint("ignored", every=1)], **options)
    save, paths = lo.Trainer.save, []

    def beside(trainer, path):
        paths.append(tmp_path / str(len(paths)))
        save(trainer, paths[-1])

    monkeypatch.setattr(lo.Trainer, "save", beside)
    watched.fit(X, y, epochs=10, validation=(X[:50], y[:50]))
    monkeypatch.undo()
    assert len(paths) == whole.optimizer.steps + 1
    monkeypatch.setattr(lo.Checkpoint, "on_train_end", lambda self: None)
    monkeypatch.setattr(lo.Checkpoint, "_rest", lambda self: None)
    expected = left_behind(whole)
    for path in paths:
        again = lo.Trainer.load(path)
        again.resume(X, y, validation=(X[:50], y[:50]))
        *rest, callbacks, stopped, epochs = left_behind(again)
        assert (*rest, callbacks[:2], stopped, epochs) == expected


def test_a_loaded_trainer_prints_as_the_one_saved_and_goes_on(tmp_path):
    X, y = data()
    trainer = made(callbacks=[lo.TargetLoss(0.0), lo.TimeLimit(1e6)])
    trainer.fit(X, y, epochs=2, validation=(X, y))
    trainer.save(tmp_path / "run")
    again = lo.Trainer.load(str(tmp_path / "run"))
    assert repr(again) == repr(trainer)
    assert left_behind(again) == left_behind(trainer)
    for one in (trainer, again):
        one.fit(X, y, epochs=3, validation=(X, y))
    assert left_behind(again) == left_behind(trainer)
    assert again.resume(X, y) is again.history


@pytest.mark.parametrize("table", ["losses", "rankings", "penalties", "optimizers", "schedules"])
def test_every_component_comes_back(table, tmp_path):
    rows = [row.make(cls) for _, cls, row in cases.walk(table)]
    checkpoint.write(tmp_path / "all", {"rows": rows, "odd": (np.inf, -np.inf, {1: None, "a": [True, Path("x")]})}, {})
    content = checkpoint.read(tmp_path / "all", {})
    assert repr(content["rows"]) == repr(rows)
    assert content["odd"] == (np.inf, -np.inf, {1: None, "a": [True, Path("x")]})
    assert b"pickle" not in (tmp_path / "all").read_bytes()


@pytest.mark.parametrize(
    "model", [lo.Linear(3, 2, np.float32, seed=4), lo.MLP((3, 5, 1), dropout=0.5, seed=2)], ids=repr
)
def test_a_model_alone(model, tmp_path):
    model.forward(np.ones((2, 3)))
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    assert repr(again) == repr(model)
    for name, x in model.params.items():
        assert x.tobytes() == again.params[name].tobytes()
    assert model.forward(np.ones((2, 3))).tobytes() == again.forward(np.ones((2, 3))).tobytes()
    other = lo.MLP if isinstance(model, lo.Linear) else lo.Linear
    with pytest.raises(ValueError, match=f"holds no {other.__name__}, but a {type(model).__name__} \\(model\\)"):
        other.load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"holds no trainer, but a model: Linear\.load and MLP\.load read it"):
        lo.Trainer.load(tmp_path / "model")


class Own(lo.Callback):
    def __init__(self):
        self.seen = 0

    def on_epoch_end(self, epoch, logs):
        self.seen += 1


class Net:
    def __init__(self):
        self.params = {"w": np.zeros(6)}

    def forward(self, X):
        self.X = X
        return X @ self.params["w"]

    def backward(self, g):
        return {"w": self.X.T @ g}


def squares(z, y):
    return (z - y) ** 2, 2 * (z - y)


def test_what_is_ones_own_is_named_and_given_again(tmp_path):
    X, y = data()
    loss, path = lo.CustomLoss(squares), tmp_path / "run"
    trainer = lo.Trainer(
        Net(), loss, lo.SGD(0.01, momentum=0.9), callbacks=[Own(), lo.EarlyStopping(monitor="lr"), Own()]
    )
    trainer.fit(X, y, epochs=2)
    trainer.save(path)
    for given, text in (
        ({}, "callbacks: .* was saved with a Own, which it cannot hold: give it again"),
        ({"callbacks": [Own()]}, "callbacks: .* was saved with a Own, which it cannot hold"),
        ({"callbacks": [Own(), Own()]}, "loss: .* was saved with a CustomLoss, which it cannot hold: give it again"),
        ({"callbacks": [Own(), Own()], "loss": loss}, "model: .* was saved with a Net, which it cannot hold"),
        (
            {"callbacks": [Own(), Own()], "loss": loss, "model": lo.Linear(6)},
            r"model: params must have the names and shapes that .* has, \{'w': \(6,\)\}, got \{'weight'",
        ),
    ):
        with pytest.raises(ValueError, match=text):
            lo.Trainer.load(path, **given)
    first, second, more = Own(), Own(), lo.TargetLoss(-1.0)
    again = lo.Trainer.load(path, callbacks=[first, second, more], loss=loss, model=Net())
    assert [type(c) for c in again.callbacks] == [Own, lo.EarlyStopping, Own, lo.TargetLoss]
    for one in (trainer, again):
        one.fit(X, y, epochs=2)
    assert trainer.model.params["w"].tobytes() == again.model.params["w"].tobytes()
    assert (first.seen, second.seen) == (2, 2)


def test_things_that_no_file_can_hold_are_refused_before_it_is_touched(tmp_path):
    (tmp_path / "run").write_text("here")
    with pytest.raises(TypeError, match=r"run: odd\[1\] holds <object object at .*, which no checkpoint can"):
        checkpoint.write(tmp_path / "run", {"odd": [1, object()]}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run").read_text() == "here"


# ---- faults


def small(path, number):
    checkpoint.write(path, {"kind": "test", "number": number, "array": np.full(1000, number)}, {})


def number_of(path):
    content = checkpoint.read(path, {})
    assert (content["array"] == content["number"]).all()
    return content["number"]


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "run"
    small(path, 1)
    whole = path.read_bytes()
    head, rng = whole.index(b"\n") + 1, np.random.default_rng(0)
    places = [(i, bit) for i in range(head) for bit in range(8)]
    places += [
        (int(i), int(bit))
        for i, bit in zip(rng.integers(head, len(whole), 1000), rng.integers(0, 8, 1000), strict=True)
    ]
    for i, bit in places:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :])
        with pytest.raises(ValueError, match=r"run (is damaged|is no checkpoint|has format)"):
            checkpoint.read(path, {})
    for end in (0, 1, head - 1, head, head + 10, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"run (is damaged|is no checkpoint)"):
            checkpoint.read(path, {})
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="is damaged: its contents are not what was written"):
        checkpoint.read(path, {})


def signed(payload, number=1):
    import hashlib

    return (
        b"lossopt checkpoint %d %s %d\n" % (number, hashlib.sha256(payload).hexdigest().encode(), len(payload))
        + payload
    )


def npz(**arrays):
    import io

    room = io.BytesIO()
    np.savez(room, **arrays)
    return room.getvalue()


def meta(content):
    return npz(meta=np.frombuffer(json.dumps(content).encode(), np.uint8))


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"", "run is no checkpoint of lossopt, or its beginning is damaged"),
        (b"hello\n", "run is no checkpoint of lossopt, or its beginning is damaged"),
        (npz(a=np.ones(3)), "run is no checkpoint of lossopt, or its beginning is damaged"),
        (signed(b"", 2), "run has format 2; this lossopt reads 1"),
        (signed(b"no npz"), "run is no checkpoint of lossopt: "),
        (signed(npz(a=np.ones(3))), "run is no checkpoint of lossopt: 'meta'"),
        (signed(npz(meta=np.array([{}], object))), "run is no checkpoint of lossopt: Object arrays cannot be loaded"),
        (signed(npz(meta=np.ones(3, np.uint8))), "run is no checkpoint of lossopt: "),
        (signed(meta({"class": "System", "arguments": {}})), "run holds a System, which this lossopt does not know"),
        (signed(meta({"unheard": 1})), "run holds {'unheard': 1}, which this lossopt does not know"),
    ],
    ids=lambda x: "",
)
def test_foreign_files_are_refused_in_a_sentence(contents, text, tmp_path):
    (tmp_path / "run").write_bytes(contents)
    with pytest.raises(ValueError, match=re.escape(text)):
        checkpoint.read(tmp_path / "run", {})
    with pytest.raises(ValueError, match=re.escape(text)):
        lo.Trainer.load(tmp_path / "run")


@pytest.mark.parametrize("call", ["fsync", "replace", "open", "write", "fsync of the folder"])
def test_a_call_that_fails_leaves_the_old_file_or_the_new_one(call, tmp_path, monkeypatch):
    path, fault = tmp_path / "run", OSError(errno.EIO, "injected")
    small(path, 1)

    def fail(*given, **more):
        raise fault

    if call == "fsync of the folder":
        calls, real = [], os.fsync

        def second(number):
            calls.append(number)
            return fail() if len(calls) == 2 else real(number)

        monkeypatch.setattr(os, "fsync", second)
    elif call == "open":
        monkeypatch.setattr(Path, "open", fail)
    elif call == "write":
        real_open = Path.open

        class Broken:
            def __init__(self, file):
                self.file, self.parts = file, 0

            def __enter__(self):
                return self

            def __exit__(self, *error):
                self.file.close()

            def write(self, part):
                self.parts += 1
                # the head is written, and half of the rest
                self.file.write(part if self.parts == 1 else part[: len(part) // 2])
                if self.parts == 2:
                    raise fault

        monkeypatch.setattr(Path, "open", lambda self, *given: Broken(real_open(self, *given)))
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="injected"):
        small(path, 2)
    monkeypatch.undo()
    assert number_of(path) == (2 if call == "fsync of the folder" else 1)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_limit_of_the_files_size_leaves_the_old_file(tmp_path):
    path = tmp_path / "run"
    small(path, 1)
    code = (
        "import resource, signal, sys, numpy as np; from lossopt import checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: checkpoint.write(sys.argv[1], {'array': np.zeros(10**5)}, {})\n"
        "except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert number_of(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_file(small_disk):
    path = small_disk / "run"
    small(path, 1)
    for size in (10**4, 7_200):
        with pytest.raises(OSError) as error:
            checkpoint.write(path, {"number": 2, "array": np.random.default_rng(0).random(size)}, {})
        assert error.value.errno == errno.ENOSPC
        assert number_of(path) == 1
        assert [p.name for p in small_disk.iterdir()] == ["run"]
    small(path, 3)
    assert number_of(path) == 3


KILLS = """
import os, random, signal, sys, time
import numpy as np
from lossopt import checkpoint

path, seen = sys.argv[1], set()

def write(number):
    checkpoint.write(path, {"number": number, "array": np.full(1000, number)}, {})

def read():
    content = checkpoint.read(path, {})
    assert (content["array"] == content["number"]).all()
    return content["number"]

write(0)
for _ in range(200):
    child = os.fork()
    if not child:
        number = read()
        while True:
            number += 1
            write(number)
    time.sleep(random.uniform(0.001, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen.add(read())
print(len(seen))
"""


def test_after_two_hundred_kills_there_is_always_a_whole_file(tmp_path):
    # in a process without the threads of other libraries, which a fork may not copy
    run = [sys.executable, "-c", KILLS, str(tmp_path / "run")]
    assert int(subprocess.run(run, capture_output=True, text=True, check=True).stdout) > 50
    # what a kill leaves beside it is nobody's
    assert all(p.name.startswith("run") for p in tmp_path.iterdir())


# ---- ways to end


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_checkpoints_come_at_their_steps_and_epochs(engine, tmp_path, monkeypatch):
    X, y = data()
    for every, expected in ((7, [*range(7, 61, 7), 60]), ("epoch", [20, 40, 60, 60]), (1000, [60])):
        saved, path = [], tmp_path / "run"
        monkeypatch.setattr(lo.Trainer, "save", lambda self, path, saved=saved: saved.append(self.optimizer.steps))
        made(engine, callbacks=[lo.Checkpoint(path, every)]).fit(X, y, epochs=3, validation=(X, y))
        assert saved == expected
    for every in (0, "step", 1.5, True, None):
        with pytest.raises(ValueError, match="every must be a positive whole number or 'epoch', got"):
            lo.Checkpoint("x", every)


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_a_time_limit_stops_between_two_updates(engine, monkeypatch):
    X, y = data()
    whole = made(engine)
    whole.fit(X, y, epochs=4, validation=(X, y))
    now = iter(range(10**6))
    trainer = made(engine, callbacks=[lo.TimeLimit(30), lo.Checkpoint("unused", every=1)])
    monkeypatch.setattr(lo.Checkpoint, "on_train_end", lambda self: None)
    monkeypatch.setattr(lo.Trainer, "save", lambda self, path: None)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    stops = 0
    trainer.fit(X, y, epochs=4, validation=(X, y))
    while trainer._left:
        assert trainer.history.stopped == "time limit: 30 s are over"
        stops += 1
        trainer.resume(X, y, validation=(X, y))
    assert stops == 2
    assert trainer.history.stopped == "all epochs done"
    for name, x in whole.model.params.items():
        assert trainer.model.params[name].tobytes() == x.tobytes()
    for seconds in (0, -1, np.inf, "a", True):
        with pytest.raises(ValueError, match="TimeLimit: seconds must be positive and finite, got"):
            lo.TimeLimit(seconds)


def test_a_target_ends_the_fit():
    X, y = data()
    trainer = made(callbacks=[lo.TargetLoss(0.5)])
    history = trainer.fit(X, y, epochs=100, validation=(X, y))
    assert history["train_loss"][-1] <= 0.5 < history["train_loss"][-2]
    assert history.stopped == f"target reached: train_loss is {history['train_loss'][-1]:.6g}"
    with pytest.raises(ValueError, match="TargetLoss: monitor='val_loss' is not recorded"):
        lo.Trainer(lo.Linear(6), lo.MSE(), lo.SGD(), callbacks=[lo.TargetLoss(0, "val_loss")]).fit(X, y)
    with pytest.raises(ValueError, match="TargetLoss: value must be a number, got nan"):
        lo.TargetLoss(np.nan)


def test_tensorboard_is_given_every_curve(tmp_path, monkeypatch):
    written, closed = [], []

    class SummaryWriter:
        def __init__(self, folder):
            assert folder == str(tmp_path)

        def add_scalar(self, name, number, epoch):
            written.append((name, number, epoch))

        def close(self):
            closed.append(True)

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    X, y = data()
    trainer = made(callbacks=[lo.TensorBoard(tmp_path)])
    history = trainer.fit(X, y, epochs=3, validation=(X, y))
    assert written == [(key, history[key][i], i) for i in range(3) for key in history]
    assert closed == [True]
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        ImportError, match=re.escape("TensorBoard needs tensorboardX: pip install 'lossopt[tensorboard]'")
    ):
        trainer.fit(X, y)


def test_progress_shows_and_closes(capsys, monkeypatch):
    X, y = data()
    made(callbacks=[lo.Progress()]).fit(X, y, epochs=3, validation=(X, y))
    text = capsys.readouterr().err
    assert "3/3" in text
    assert "val_loss=" in text
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=re.escape("a progress bar needs tqdm: pip install 'lossopt[cli]'")):
        made().fit(X, y, progress=True, validation=(X, y))
