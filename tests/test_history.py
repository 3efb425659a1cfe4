"""History: curves, files and pictures."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import lossopt as lo

CURVES = {"train_loss": [0.7, 0.1 + 0.2, 1 / 3], "val_loss": [math.nan, math.inf, 5e-324], "lr": [1e-3, -0.0, 1e300]}


def same(history, curves):
    """The same curves to the bit, in the same order."""
    assert list(history) == history.keys() == list(curves)
    for key, curve in curves.items():
        assert all(type(x) is float for x in history[key])
        assert np.array(history[key]).tobytes() == np.array(curve, float).tobytes()


def test_curves():
    history = lo.History(CURVES)
    same(history, CURVES)
    assert len(history) == 3
    assert "lr" in history
    assert "loss" not in history
    assert history.stopped is None
    assert repr(history) == "<History: 3 epochs: train_loss 0.333333, val_loss 4.94066e-324, lr 1e+300>"
    with pytest.raises(KeyError, match="no curve 'loss' in this history; it has train_loss, val_loss, lr"):
        history["loss"]
    empty = lo.History()
    assert len(empty) == 0
    assert repr(empty) == "<History: 0 epochs>"
    with pytest.raises(KeyError, match="it has none"):
        empty["train_loss"]


def test_append_fills_what_is_missing():
    history = lo.History()
    history.append(train_loss=3, lr=1)
    history.append(train_loss=2, val_loss=np.float32(0.5))
    history.append(lr=0.1)
    nan = math.nan
    same(history, {"train_loss": [3, 2, nan], "lr": [1, nan, 0.1], "val_loss": [nan, 0.5, nan]})


def test_what_came_in_is_copied():
    given = {"train_loss": [1.0]}
    history = lo.History(given)
    history.append(train_loss=2)
    assert given == {"train_loss": [1.0]}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    history = lo.History(CURVES, stopped="time")
    twin = copied(history)
    twin.append(lr=1)
    same(history, CURVES)
    assert (len(history), len(twin), twin.stopped) == (3, 4, "time")


# ---- files


@pytest.mark.parametrize("stopped", [None, "early stopping: 'val_loss', \"ümlaut\""])
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
@pytest.mark.parametrize("ending", ["json", "csv", "npz"])
@pytest.mark.parametrize("curves", [CURVES, {}], ids=["curves", "empty"])
def test_files_give_back_what_was_saved(curves, ending, kind, stopped, tmp_path):
    path = tmp_path / f"curves.{ending}"
    lo.History(curves, stopped).save(kind(path))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    history = lo.History.load(kind(path))
    same(history, curves)
    # a table has no room for a sentence
    assert history.stopped == (None if ending == "csv" else stopped)
    lo.History({"lr": [1]}).save(kind(path))
    same(lo.History.load(kind(path)), {"lr": [1]})


def test_files_are_what_others_read(tmp_path):
    history = lo.History({"train_loss": [0.5, 0.25], "lr": [1, 2]}, "done")
    for ending in ("json", "csv", "npz"):
        history.save(tmp_path / f"x.{ending}")
    assert json.loads((tmp_path / "x.json").read_text()) == {"stopped": "done", "train_loss": [0.5, 0.25], "lr": [1, 2]}
    assert (tmp_path / "x.csv").read_text().split() == ["epoch,train_loss,lr", "1,0.5,1.0", "2,0.25,2.0"]
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert file["train_loss"].tolist() == [0.5, 0.25]


KERAS = {"loss": [0.9, 0.5], "val_loss": [1.0, 0.75], "accuracy": [0.5, 1.0]}


@pytest.mark.parametrize("ending", ["dict", "json", "csv"])
def test_foreign_curves(ending, tmp_path):
    path = tmp_path / f"log.{ending}"
    if ending == "dict":
        path = KERAS
    elif ending == "json":
        path.write_text(json.dumps(KERAS))
    else:
        path.write_text("epoch,loss,val_loss,accuracy\n0,0.9,1.0,0.5\n1,0.5,0.75,1.0\n")
    history = lo.History.load(path)
    same(history, {"train_loss": [0.9, 0.5], "val_loss": [1.0, 0.75], "accuracy": [0.5, 1.0]})


def test_foreign_gaps_are_nan(tmp_path):
    # loggers leave out what was not measured
    path = tmp_path / "log.csv"
    path.write_text("epoch,train_loss,val_loss\n1,0.5,\n2,0.4,0.3\n")
    same(lo.History.load(path), {"train_loss": [0.5, 0.4], "val_loss": [math.nan, 0.3]})


@pytest.mark.parametrize("name", ["curves", "curves.txt", "curves.json.gz"])
def test_endings_are_named(name, tmp_path):
    for call in (lo.History(CURVES).save, lo.History.load):
        with pytest.raises(ValueError, match=re.escape("path must end in .json, .csv or .npz, got '") + ".*" + name):
            call(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        lo.History.load(tmp_path / "none.csv")
    path = tmp_path / "text.csv"
    path.write_text("epoch,loss\n1,low\n")
    with pytest.raises(ValueError, match="low"):
        lo.History.load(path)


# ---- pictures


def drawn(ax):
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()), line.get_linestyle()) for line in ax.lines
    }


def test_plot_draws_the_losses_onto_the_axes_given():
    ax = Figure().add_subplot()
    history = lo.History({"train_loss": [3, 2, 1], "val_loss": [math.nan, 1.5, 2], "lr": [1, 1, 1]})
    assert history.plot(ax=ax) is ax
    lines = drawn(ax)
    assert lines["training"] == ([1, 2, 3], [3, 2, 1], "-")
    x, y, style = lines["validation"]
    assert (x, y[1:], style) == ([1, 2, 3], [1.5, 2], "--")
    assert lines["best epoch: 2"][:2] == ([2], [1.5])
    assert len(lines) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation", "best epoch: 2"]
    assert ax.get_xlabel() == "epoch"
    assert "loss" in ax.get_ylabel()


@pytest.mark.parametrize(
    ("curves", "labels"),
    [
        ({"train_loss": [1.0]}, {"training"}),
        ({"loss": [1.0, 2], "val_loss": [math.nan, math.nan]}, {"training", "validation"}),
        ({"val_loss": [1.0]}, {"validation", "best epoch: 1"}),
    ],
)
def test_plot_draws_what_there_is(curves, labels):
    assert set(drawn(lo.History(curves).plot())) == labels


def test_plot_of_nothing():
    assert drawn(lo.History().plot()) == {}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot_writes_a_picture(ending, tmp_path):
    path = tmp_path / f"curves.{ending}"
    lo.History(CURVES | {"val_loss": [3, 2, 1]}).plot(str(path))
    signature = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(signature)


def test_plot_leaves_pyplot_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    lo.History(CURVES).plot()
    assert "matplotlib.pyplot" not in sys.modules


def test_plot_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape("history.plot needs matplotlib: pip install 'lossopt[plot]'")):
        lo.History(CURVES).plot()


@pytest.mark.parametrize("ending", ["json", "npz"])
def test_steps_are_saved_and_loaded(tmp_path, ending):
    X = np.random.default_rng(0).standard_normal((40, 3))
    trainer = lo.Trainer(lo.Linear(3), lo.MSE(), lo.SGD(lr=lo.InverseTime(0.1, 1.0)), record="step", batch_size=8)
    for _ in range(2):
        history = trainer.fit(X, X[:, 0])
    assert history.steps["lr"].tolist() == [0.1 / (1 + t) for t in range(10)]
    assert {key: len(curve) for key, curve in history.steps.items()} == dict.fromkeys(
        ["train_loss", "lr", "grad_norm", "step_norm", "zeros"], 10
    )
    assert history["step_norm"] == history.steps["step_norm"][4::5].tolist()
    # plain descent goes lr times the gradient
    np.testing.assert_allclose(history.steps["step_norm"], history.steps["lr"] * history.steps["grad_norm"], rtol=1e-12)
    # batches of one size: the epoch's mean is theirs
    assert history["train_loss"][1] == pytest.approx(history.steps["train_loss"][5:].mean(), rel=1e-14)
    history.save(tmp_path / f"h.{ending}")
    loaded = lo.History.load(tmp_path / f"h.{ending}")
    assert loaded.keys() == history.keys()
    assert {k: v.tolist() for k, v in loaded.steps.items()} == {k: v.tolist() for k, v in history.steps.items()}
    assert lo.Trainer(lo.Linear(3), lo.MSE(), lo.SGD(lr=0.1)).fit(X, X[:, 0]).steps == {}


def test_pandas_gets_a_row_an_epoch(monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = lo.History(CURVES).to_pandas()
    assert list(frame.columns) == list(CURVES)
    assert frame.index.name == "epoch"
    for key, curve in CURVES.items():
        np.testing.assert_array_equal(frame[key], curve)
    assert frame.index.tolist() == list(range(1, len(frame) + 1))
    assert pandas.DataFrame(dict(lo.History(CURVES))).shape == frame.shape
    assert lo.History().to_pandas().shape == (0, 0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=re.escape("history.to_pandas needs pandas: pip install 'lossopt[cli]'")):
        lo.History(CURVES).to_pandas()


def test_the_picture_shows_where_a_fit_was_stopped():
    labels = [
        [text.get_text() for text in lo.History(CURVES, stopped).plot().get_legend().get_texts()]
        for stopped in (
            None,
            "all epochs done",
            "early stopping: val_loss did not improve for 10 epochs",
            "interrupted",
        )
    ]
    assert labels[0] == labels[1]
    assert [added[-1] for added in labels[2:]] == ["stopped: early stopping", "stopped: interrupted"]


def test_the_picture_shows_what_is_wrong(tmp_path):
    curves = {
        "train_loss": np.exp(-np.arange(40) / 4),
        "val_loss": np.r_[np.linspace(1, 0.4, 10), np.linspace(0.4, 0.8, 30)],
    }
    ax = lo.History(curves).plot(tmp_path / "curves.png")
    assert ax.get_title(loc="left") == "overfitting, epochs 10 to 40"
    assert len(ax.patches) == 1
    assert len(lo.History(curves).plot(findings=[]).patches) == 0
    fine = lo.History({"train_loss": 0.3 + np.exp(-np.arange(40) / 4)}).plot()
    assert fine.get_title(loc="left") == ""
