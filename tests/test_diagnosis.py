"""Diagnosis: real runs of known kind, curves made by hand, foreign histories, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lossopt as lo
from lossopt import cli
from lossopt.diagnosis import ADVICE

from . import runs

NAN, INF = np.nan, np.inf


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("split", [2, 3])
def test_real_runs_of_known_kind(split, monkeypatch):
    """Runs that no threshold was set by; the rates stand in History.diagnose."""
    monkeypatch.setattr(runs, "split", split)
    total, missed, healthy, wrong = 0, [], 0, []
    for kind, (make, wanted) in runs.KINDS.items():
        for i, history in enumerate(make()):
            codes = {finding.code for finding in history.diagnose()}
            if not wanted:
                healthy += 1
                wrong += [(kind, i, codes)] if codes else []
            else:
                total += 1
                missed += [] if codes & wanted else [(kind, i, codes)]
    assert healthy == 30
    assert total == 81
    assert len(wrong) <= 1, wrong
    assert len(missed) <= 7, missed


CURVES = {
    # training, validation, further curves, codes
    "healthy": (np.r_[0.3 + np.exp(-np.arange(30) / 3)], np.r_[0.32 + np.exp(-np.arange(30) / 3)], {}, []),
    "few epochs": ([1, 2, 3, 4, 5], [1, 9, 9, 9, 9], {}, []),
    "none": ([], [], {}, []),
    "dead": ([1, 0.9, NAN, NAN], [1, 1, 1, 1], {}, [("dead", (3, 4))]),
    "infinite": ([1, 0.9, INF], [1, 1, 1], {}, [("dead", (3, 3))]),
    "dead validation": ([1, 0.9, 0.8], [1, INF, INF], {}, [("dead", (2, 3))]),
    "diverging": (1.3 ** np.arange(12), None, {}, [("diverging", (1, 12))]),
    "rough": ([1, 3, 9, 4, 1, 0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2], None, {}, [("rough_start", (1, 3))]),
    "jumpy": (np.r_[1.0, 0.5, 0.3, np.tile([0.3, 0.5], 10)], None, {}, [("jumpy", (5, 23))]),
    "unfinished": (np.linspace(2, 1, 20), np.linspace(2, 1, 20), {}, [("unfinished", (15, 20))]),
    "no decrease": (
        np.r_[1.0, np.tile([1.0, 1.01], 10)],
        None,
        {},
        [("no_decrease", (1, 21)), ("underfitting", (11, 21))],
    ),
    "overfitting": (
        np.exp(-np.arange(40) / 4),
        np.r_[np.linspace(1, 0.4, 10), np.linspace(0.4, 0.8, 30)],
        {},
        [("overfitting", (10, 40))],
    ),
    "gaps": (
        np.exp(-np.arange(40) / 4) + 0.1,
        np.where(np.arange(40) % 4, NAN, np.r_[np.linspace(1, 0.4, 10), np.linspace(0.4, 0.9, 30)]),
        {},
        [("overfitting", (13, 40))],
    ),
    "underfitting": (np.r_[0.7, np.full(20, 0.66)], np.full(21, 0.67), {}, [("underfitting", (11, 21))]),
    "a penalty that does nothing": (
        np.r_[0.7, np.full(20, 0.66)],
        None,
        {"penalty": np.full(21, 1e-6)},
        [("underfitting", (11, 21))],
    ),
    "crushed": (np.r_[0.7, np.full(20, 0.68)], None, {"penalty": np.zeros(21)}, [("penalty_too_strong", (11, 21))]),
    "choked": (np.r_[0.7, np.full(20, 0.66)], None, {"penalty": np.ones(21)}, [("penalty_too_strong", (11, 21))]),
    "leaking": (
        0.5 + np.exp(-np.arange(20)),
        0.2 + np.exp(-np.arange(20)),
        {},
        [("validation_below_training", (11, 20))],
    ),
}


@pytest.mark.parametrize(("train", "val", "more", "expected"), CURVES.values(), ids=CURVES)
def test_curves_made_by_hand(train, val, more, expected):
    curves = {"train_loss": train, **({} if val is None else {"val_loss": val}), **more}
    found = lo.History(curves).diagnose()
    assert [(finding.code, finding.epochs) for finding in found] == expected
    for finding in found:
        assert finding.advice == ADVICE[finding.code]
        assert finding.evidence
        assert str(finding).startswith(f"{finding.code} (epoch")
    foreign = lo.History.load({"loss": list(train), **({} if val is None else {"val_loss": list(val)}), **more})
    assert [str(finding) for finding in foreign.diagnose()] == [str(finding) for finding in found]


@pytest.mark.parametrize("name", ["rough", "jumpy", "overfitting", "diverging", "unfinished"])
def test_losses_below_zero_are_judged_by_how_far_they_go(name):
    train, val, _, expected = CURVES[name]
    low = [np.array(x) - 1000.0 for x in (train, val) if x is not None]
    found = lo.History(dict(zip(("train_loss", "val_loss"), low, strict=False))).diagnose()
    assert [finding.code for finding in found] == [code for code, _ in expected]
    for finding in found:
        for key in ("first", "last", "best", "highest", "least"):
            assert finding.evidence.get(key, -999) < -900
    # a healthy run, as Poisson's loss may have it
    healthy = lo.History(
        {"train_loss": np.exp(-np.arange(40) / 4) - 98.5, "val_loss": np.exp(-np.arange(40) / 4) - 98.3}
    )
    assert healthy.diagnose() == []


def test_noise_is_told_where_it_was_measured():
    curves = {"train_loss": np.r_[1.0, 0.5, 0.3, np.tile([0.3, 0.5], 10)], "noise_scale": np.r_[np.arange(22.0), NAN]}
    (finding,) = lo.History(curves).diagnose()
    assert (finding.code, finding.evidence["noise_scale"]) == ("jumpy", 21.0)


def test_what_the_history_knows_besides():
    rising = np.r_[np.linspace(1, 0.4, 10), np.linspace(0.4, 0.8, 30)]
    curves = {"train_loss": np.exp(-np.arange(40) / 4), "val_loss": rising}
    assert [f.code for f in lo.History(curves, "early stopping: val_loss did not improve").diagnose()] == []
    (dead,) = lo.History({"train_loss": [1.0, 0.9]}, "FloatingPointError: update 9 was not made").diagnose()
    assert (dead.code, dead.epochs, dead.evidence) == ("dead", (3, 3), {"epochs_before": 2.0})
    settled = lo.History({"train_loss": np.r_[2.2, 1.1, np.full(20, 1.02)]})
    assert settled.diagnose() == []
    (finding,) = settled.diagnose(baseline=1.0)
    assert (finding.code, finding.evidence) == ("underfitting", {"began_at": 1.0, "last": 1.02})
    assert lo.History({"lr": [0.1] * 9}).diagnose() == []


def test_the_command(tmp_path, capsys):
    path = tmp_path / "log.csv"
    curve, val = np.exp(-np.arange(40) / 4), np.r_[np.linspace(1, 0.4, 10), np.linspace(0.4, 0.8, 30)]
    rows = "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(zip(curve, val, strict=True)))
    path.write_text("epoch,loss,val_loss\n" + rows)
    assert cli.main(["diagnose", str(path)]) == 1
    text = capsys.readouterr().out
    assert text.startswith("overfitting (epochs 10 to 40): validation was best earlier")
    assert "best_epoch 10, best 0.4, last 0.7862" in text
    assert cli.main(["diagnose", "--json", str(path)]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["code"], finding["epochs"], finding["evidence"]["best_epoch"]) == ("overfitting", [10, 40], 10)
    lo.History({"train_loss": 0.3 + curve}).save(tmp_path / "fine.json")
    assert cli.main(["diagnose", str(tmp_path / "fine.json")]) == 0
    assert capsys.readouterr().out == "nothing to find in 40 epochs\n"
    assert cli.main(["diagnose", "--json", str(tmp_path / "fine.json"), "--baseline", "0.3"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["code"] == "underfitting"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("missing.csv", None, "cannot be read: No such file or directory"),
        ("words.csv", "epoch,loss\n1,low\n", "holds no curves: could not convert string to float: 'low'"),
        ("other.csv", "epoch,accuracy\n1,0.5\n", "has no column train_loss or loss; it has accuracy"),
        ("empty.csv", "", "has no column train_loss or loss; it has none"),
        ("log.txt", "loss", "holds no curves: path must end in .json, .csv or .npz"),
        ("broken.json", "{", "holds no curves: Expecting property name"),
    ],
)
def test_what_the_command_refuses(name, text, said, tmp_path, capsys):
    if text is not None:
        (tmp_path / name).write_text(text)
    assert cli.main(["diagnose", str(tmp_path / name)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"lossopt: {tmp_path / name} ")
    assert said in error
    assert error.count("\n") == 1
