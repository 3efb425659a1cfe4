"""``lossopt fit`` and ``lossopt predict``, as a user runs them."""

import contextlib
import csv
import html.parser
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge

import lossopt as lo
from lossopt.cli import main

pandas = pytest.importorskip("pandas")

COMMAND = [sys.executable, "-m", "lossopt"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    """Exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(x) for x in arguments])
    return code, out.getvalue(), err.getvalue()


def fitted(*arguments):
    code, out, err = run("fit", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def predicted(*arguments):
    code, out, err = run("predict", *arguments)
    assert code == 0, err
    head, *rows = csv.reader(io.StringIO(out))
    return head, rows, err


def iris():
    data = datasets.load_iris(as_frame=True)
    frame = data.frame.rename(columns={"target": "species"})
    frame["species"] = frame["species"].map(dict(enumerate(data.target_names)))
    return frame


def cancer():
    data = datasets.load_breast_cancer(as_frame=True)
    frame = data.frame
    frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
    return frame


def diabetes():
    return datasets.load_diabetes(as_frame=True, scaled=False).frame


def messy(n=400):
    """Numbers, texts, gaps, a row number, a constant, a free text; the price depends on size, town and garden."""
    rng = np.random.default_rng(0)
    size, town = rng.uniform(30, 200, n), rng.choice(["Bonn", "Köln", "Ulm"], n)
    garden = rng.choice(["yes", "no"], n)
    price = 3 * size + np.select([town == "Köln", town == "Ulm"], [100, -50], 0) + 40 * (garden == "yes")
    frame = pandas.DataFrame({"size": size.round(2), "town": town, "garden": garden})
    frame["price"] = (price + rng.normal(0, 5, n)).round(2)
    frame["note"] = [f"text {i}" for i in range(n)]
    frame["country"] = "D"
    frame["empty"] = None
    frame["rooms"] = rng.integers(1, 6, n).astype(object)
    frame.loc[3:9, "rooms"] = "?"
    frame.loc[20:29, "size"] = None
    frame.loc[30:39, "town"] = None
    frame.loc[50, "price"] = None
    return frame


# ---- what is learned


def test_a_regression_reaches_the_optimum_of_its_objective(folder):
    frame = diabetes()
    frame.to_csv("data.csv", index=False)
    options = "--validation", 0, "--epochs", 400, "--penalty", "l2(0.01)", "--batch-size", 442, "--lr", 0.1
    result = fitted("data.csv", "--target", "target", *options)
    X, y = frame.drop(columns="target").to_numpy(), frame["target"].to_numpy()
    X, spread = (X - X.mean(axis=0)) / X.std(axis=0), y.std()
    ridge = Ridge(alpha=442 * 0.01).fit(X, (y - y.mean()) / spread)
    head, rows, err = predicted("model.npz", "data.csv")
    assert (head, err) == (["prediction"], "")
    made = np.array(rows, dtype=float)[:, 0]
    np.testing.assert_allclose(made, ridge.predict(X) * spread + y.mean(), rtol=0, atol=0.5)
    assert result["scores"]["R2"] == pytest.approx(1 - np.mean((made - y) ** 2) / y.var(), rel=1e-10)
    assert result["scores"]["mean absolute error"] == pytest.approx(np.abs(made - y).mean(), rel=1e-10)
    assert (result["task"], result["rows"], result["held_back"], result["val_loss"]) == ("regression", 442, 0, None)


@pytest.mark.parametrize(("make", "target", "task"), [(cancer, "target", "binary"), (iris, "species", "multiclass")])
def test_classes_have_the_probabilities_of_the_optimum(make, target, task, folder):
    frame = make()
    frame.to_csv("data.csv", index=False)
    options = "--validation", 0, "--epochs", 1000, "--penalty", "l2(0.01)", "--batch-size", len(frame), "--lr", 0.1
    result = fitted("data.csv", "--target", target, *options)
    assert result["task"] == task
    X, y = frame.drop(columns=target).to_numpy(), frame[target].to_numpy()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    judge = LogisticRegression(C=1 / (2 * len(y) * 0.01), tol=1e-10, max_iter=10_000).fit(X, y)
    head, rows, _ = predicted("model.npz", "data.csv")
    assert head == ["prediction", *(f"probability_{label}" for label in judge.classes_)]
    shares = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(shares, judge.predict_proba(X), rtol=0, atol=2e-3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    assert [row[0] for row in rows] == list(judge.classes_[shares.argmax(axis=1)])
    assert result["scores"]["accuracy"] == np.mean([row[0] for row in rows] == y)


def test_held_back_rows_have_the_same_mix_and_stop_the_fit(folder):
    iris().to_csv("data.csv", index=False)
    result = fitted("data.csv", "--target", "species", "--epochs", 200, "--early-stopping", 3)
    assert (result["rows"], result["held_back"]) == (120, 30)
    assert result["scores"]["accuracy of the most frequent class"] == pytest.approx(1 / 3)
    assert result["stopped"] == "early stopping: val_loss did not improve for 3 epochs"
    assert result["epochs"] == result["best_epoch"] + 3


def test_columns_of_all_kinds(folder):
    messy().to_csv("data.csv")
    code, out, err = run("fit", "data.csv", "--target", "price")
    assert (code, err) == (0, "")
    for line in (
        "price: 1 missing, their rows left out",
        "Unnamed: 0: a column without a name that numbers the rows, left out",
        "country: the same in every row, left out",
        "empty: nothing in it, left out",
    ):
        assert line in out
    assert re.search(r"^note: \d+ different texts in \d+ rows, left out$", out, re.M)
    assert re.search(r"^rooms: \d missing or no numbers, such as '\?', taken as the mean [\d.]+$", out, re.M)
    assert re.search(r"^size: \d+ missing, taken as the mean [\d.]+$", out, re.M)
    assert re.search(r"^town: \d+ missing, a level of their own$", out, re.M)
    # size, four towns, a garden or none, rooms
    assert "regression: price from 7 features" in out
    rows = pandas.DataFrame({"town": ["Köln", "Bonn", "Trier"], "garden": ["no", "yes", "no"], "size": [100, "", 100]})
    rows["rooms"] = 3
    rows.to_csv("new.csv", index=False)
    head, made, said = predicted("model.npz", "new.csv")
    assert head == ["prediction"]
    assert said == "lossopt: town: 1 rows of levels not seen in training, such as 'Trier'\n"
    # the price of 100 in Köln; and of the mean size with a garden in Bonn
    mean = 3 * messy()["size"].mean() + 40
    np.testing.assert_allclose([float(row[0]) for row in made[:2]], [400, mean], atol=15)


def test_predictions_need_no_care(folder):
    """Order of columns, columns more, the target beside them: all the same."""
    frame = cancer()
    frame.to_csv("data.csv", index=False)
    fitted("data.csv", "--target", "target", "--out", "c.npz")
    head, rows, _ = predicted("c.npz", "data.csv")
    frame[frame.columns[::-1]].assign(more="x").to_csv("turned.csv", index=False)
    assert predicted("c.npz", "turned.csv") == (head, rows, "")
    frame.drop(columns=["target"]).iloc[7:8].to_csv("one.csv", index=False)
    assert predicted("c.npz", "one.csv")[1] == [rows[7]]
    frame.iloc[:0].to_csv("none.csv", index=False)
    assert predicted("c.npz", "none.csv")[1] == []


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["0", "1"] * 20, "binary"),
        (["yes", "no"] * 20, "binary"),
        (["1", "2", "3", "4"] * 10, "multiclass"),
        (["low", "high", "none"] * 14, "multiclass"),
        ([str(i) for i in range(40)], "regression"),
        (["1.5", "2", "3"] * 14, "regression"),
    ],
)
def test_the_task_follows_from_the_target(values, task, folder):
    pandas.DataFrame({"x": np.arange(len(values)), "y": values}).to_csv("data.csv", index=False)
    assert fitted("data.csv", "--target", "y", "--epochs", 1)["task"] == task


def test_labels_are_spelt_as_in_the_file(folder):
    pandas.DataFrame({"x": np.r_[np.zeros(20), np.ones(20)], "y": ["007"] * 20 + ["010"] * 20}).to_csv(
        "data.csv", index=False
    )
    fitted("data.csv", "--target", "y", "--lr", 0.1)
    head, rows, _ = predicted("model.npz", "data.csv")
    assert head == ["prediction", "probability_007", "probability_010"]
    assert [row[0] for row in rows] == ["007"] * 20 + ["010"] * 20


@pytest.mark.parametrize(
    ("make", "target", "loss", "named"),
    [
        *((diabetes, "target", loss, None) for loss in ("mae", "huber(2)", "log_cosh", "epsilon_insensitive")),
        (diabetes, "target", "quantile(q=0.9)", None),
        *((diabetes, "target", loss, None) for loss in ("poisson", "gamma", "tweedie(1.2)")),
        *((cancer, "target", loss, None) for loss in ("hinge", "squared_hinge")),
        *((cancer, "target", loss, 2) for loss in ("focal(gamma=1)", "bce(pos_weight=2)")),
        (iris, "species", "multiclass_hinge", None),
        (iris, "species", "focal", 3),
        (iris, "species", "cross_entropy(label_smoothing=0.1)", 3),
    ],
)  # fmt: skip
def test_every_loss_predicts(make, target, loss, named, folder):
    frame = make()
    frame.to_csv("data.csv", index=False)
    result = fitted("data.csv", "--target", target, "--loss", loss)
    best = result["scores"]
    if "R2" in best:
        assert best["R2"] > (0.35 if loss != "quantile(q=0.9)" else -1)
    else:
        assert best["accuracy"] > 0.8
    head, rows, _ = predicted("model.npz", "data.csv")
    assert len(head) == 1 + (named or 0)
    assert len(rows) == len(frame)
    if loss == "quantile(q=0.9)":
        assert 0.8 < np.mean(frame["target"] < [float(row[0]) for row in rows]) < 0.97


def test_components_are_written_as_in_a_shell(folder):
    diabetes().to_csv("data.csv", index=False)
    options = "--optimizer", "sgd(momentum=0.9)", "--schedule", "warmup(step)", "--penalty", "l1(0.1)", "--lr", "0.01"
    result = fitted("data.csv", "--target", "target", "--epochs", 9, *options)
    # 354 rows in batches of 32: 108 updates
    schedule = lo.Warmup(lo.StepDecay(0.01, 36), 5)
    assert result["optimizer"] == repr(lo.SGD(schedule, momentum=0.9))
    assert result["penalty"] == "L1(strength=0.1)"
    assert result["zeros"] > 0
    assert "learning rate" not in " ".join(result["notes"])
    own = fitted("data.csv", "--target", "target", "--epochs", 9, "--optimizer", "adam(lr=0.02)")
    assert own["optimizer"] == repr(lo.Adam(lo.CosineAnnealing(0.02, 108)))
    assert fitted("data.csv", "--target", "target", "--penalty", "none", "--epochs", 1)["penalty"] == "None"


# ---- checkpoints


def large(path, n=60_000):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 4))
    frame = pandas.DataFrame(X, columns=list("abcd")).round(4)
    frame["y"] = X @ [1.0, 2.0, 3.0, 4.0] + rng.standard_normal(n)
    frame.to_csv(path, index=False)


RUN = "data.csv", "--target", "y", "--checkpoint", "run", "--epochs", 300, "--early-stopping", 0, "--lr", "0.001"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_is_resumed_to_the_bit(kind, folder):
    large("data.csv")
    whole = fitted(*RUN, "--out", "whole.npz")
    (folder / "run").rename(folder / "before")
    child = subprocess.Popen([*COMMAND, "fit", *map(str, RUN)], stderr=subprocess.PIPE, text=True)
    while not (folder / "run" / "run.lossopt").exists():
        time.sleep(0.01)
    child.send_signal(kind)
    said = child.communicate()[1]
    if kind == signal.SIGINT and child.returncode:
        assert child.returncode == 130
        assert re.fullmatch(r"lossopt: interrupted after \d+ updates; the same command with --resume goes on\n", said)
    resumed = fitted(*RUN, "--resume", "--out", "resumed.npz")
    for key in ("train_loss", "val_loss", "epochs", "stopped", "scores", "objective"):
        assert resumed[key] == whole[key]
    assert predicted("resumed.npz", "data.csv") == predicted("whole.npz", "data.csv")
    # nothing is left, and the same comes out
    assert fitted(*RUN, "--resume")["train_loss"] == whole["train_loss"]


def test_a_run_is_resumed_only_as_it_was_begun(folder):
    diabetes().to_csv("data.csv", index=False)
    options = "data.csv", "--target", "target", "--checkpoint", "run", "--epochs", 3
    # a script may ask for it always
    first = fitted(*options, "--resume")
    again = fitted(*options, "--resume")
    assert [note for note in again["notes"] if "rate" in note] == [note for note in first["notes"] if "rate" in note]
    assert run("fit", *options, "--resume", "--lr", 0.5)[::2] == (
        2,
        "lossopt: --resume: run holds a run that differs in --lr: None there, 0.5 here\n",
    )
    diabetes().iloc[:-1].to_csv("data.csv", index=False)
    assert run("fit", *options, "--resume")[2] == "lossopt: --resume: run holds a run that differs in the data\n"
    (folder / "run" / "run.lossopt").write_bytes(b"damaged")
    code, _, err = run("fit", *options, "--resume")
    assert code == 2
    assert "run.lossopt is no checkpoint of lossopt" in err


# ---- the report


class Page(html.parser.HTMLParser):
    """Tags that are open, what points outside, headings."""

    def __init__(self, text):
        super().__init__()
        self.open, self.outside, self.headings, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "path", "use", "rect"):
            self.open.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not (v or "").startswith("#")]

    def handle_startendtag(self, tag, attrs):
        self.outside += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not (v or "").startswith("#")]

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_the_report_is_one_page_that_tells_all(folder):
    messy().rename(columns={"size": "size <b>"}).to_csv("a & b.csv", index=False)
    arguments = "a & b.csv", "--target", "price", "--report", "report.html", "--epochs", 40, "--penalty", "l1(0.2)"
    result = fitted(*arguments)
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.outside == []
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")
    assert page.headings == [
        "price from a & b.csv",
        "Training",
        "Coefficients",
        "The exact objective",
        "Chosen and noticed",
        "To do it again",
    ]
    told = "".join(page.text)
    assert "<svg" in text
    assert result["objective"] in told
    for line in (f"{result['zeros']} of 7 are exactly zero.", "size <b>", "town = Köln", *result["notes"]):
        assert line in told
    assert "lossopt fit 'a & b.csv' --target price --report report.html --epochs 40" in told
    assert "Trainer(model=Linear(n_features=7), loss=MSE(), optimizer=Adam(lr=CosineAnnealing" in told
    assert re.search(r"[0-9a-f]{64}", told)


def test_the_report_names_findings_and_classes(folder):
    iris().to_csv("data.csv", index=False)
    result = fitted(
        "data.csv", "--target", "species", "--report", "r.html", "--penalty", "l2(50)", "--early-stopping", 0
    )
    assert [finding["code"] for finding in result["findings"]] == ["penalty_too_strong"]
    told = "".join(Page((folder / "r.html").read_text()).text)
    assert "penalty_too_strong (epochs 51 to 100): the penalty leaves the loss near where it began" in told
    assert "versicolor" in told


# ---- refusals


CSV = "a,b,y\n" + "".join(f"{i},{i % 3},{2 * i}\n" for i in range(40))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv", "--target", "y"], "none.csv cannot be read: No such file or directory"),
        ([".", "--target", "y"], ". cannot be read: Is a directory"),
        (["empty.csv", "--target", "y"], "empty.csv is no CSV: No columns to parse from file"),
        (["data.csv", "--target", "z"], "--target z: data.csv has no such column; it has a, b, y"),
        (["marks.csv", "--target", "y"], "marks.csv has one column, 'a;b;y': say what separates columns: --separator"),
        (["head.csv", "--target", "y"], "head.csv has 0 rows with a target; at least 2 are needed"),
        (["alone.csv", "--target", "y"], "alone.csv has no column to predict y from"),
        (["ragged.csv", "--target", "y"], "ragged.csv is no CSV: Error tokenizing data. C error: Expected 3 fields"),
        (["binary.csv", "--target", "y"], "binary.csv is no CSV: 'utf-8' codec can't decode"),
        (["text.csv", "--target", "y", "--task", "regression"], "--task regression: y holds 'x', which is no number"),
        (["data.csv", "--target", "y", "--task", "binary"], "--task binary: y has 40 different values"),
        (["data.csv", "--target", "y", "--task", "multiclass"], "--task multiclass: y has 40 different values"),
        (["data.csv", "--target", "y", "--loss", "bce"], "there is no loss for regression 'bce'; there are mse, mae"),
        (["data.csv", "--target", "y", "--loss", "huber(-1)"], "Huber: delta must be"),
        (["minus.csv", "--target", "y", "--loss", "gamma"], "--target y: target must be positive, got -4"),
        (["data.csv", "--target", "y", "--penalty", "l3"], "there is no penalty 'l3'; there are l2, l1"),
        (["data.csv", "--target", "y", "--penalty", "l2("], "'l2(' is no penalty"),
        (["data.csv", "--target", "y", "--optimizer", "adam(speed=3)"], "unexpected keyword argument 'speed'"),
        (["data.csv", "--target", "y", "--optimizer", "lion", "--penalty", "l1"], "Lion: penalty must have no L1 part"),
        (["data.csv", "--target", "y", "--schedule", "warmup(cosine"], "'warmup(cosine' is no schedule"),
        (["data.csv", "--target", "y", "--resume"], "--resume needs --checkpoint DIR, where the run is"),
        (["data.csv", "--target", "y", "--out", "no/model.npz"], "--out no/model.npz cannot be written: No such file"),
        (["data.csv", "--target", "y", "--report", "no/r.html"], "--report no/r.html cannot be written: No such file"),
        (["data.csv", "--target", "y", "--checkpoint", "data.csv"], "--checkpoint data.csv: File exists"),
        (["data.csv", "--target", "y", "--optimizer", "sgd", "--lr", "1e200"], "update 2 was not made"),
    ],
    ids=lambda x: " ".join(x[:1] + x[3:]) if isinstance(x, list) else "",
)  # fmt: skip
def test_what_fit_refuses(arguments, said, folder):
    for name, text in (
        ("data.csv", CSV),
        ("empty.csv", ""),
        ("marks.csv", CSV.replace(",", ";")),
        ("head.csv", "a,b,y\n"),
        ("alone.csv", "y\n" + "1\n2\n" * 20),
        ("ragged.csv", CSV + "1,2,3,4\n"),
        ("text.csv", CSV + "1,2,x\n"),
        ("minus.csv", CSV.replace(",0\n", ",1\n") + "1,2,-4\n"),
    ):
        (folder / name).write_text(text)
    (folder / "binary.csv").write_bytes(b"a,y\n\xff\xfe,1\n")
    code, out, err = run("fit", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("lossopt: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (folder / "model.npz").exists() or "--report" in arguments


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--epochs", "0"),
        ("--batch-size", "x"),
        ("--lr", "-1"),
        ("--lr", "nan"),
        ("--validation", "1"),
        ("--seed", "-3"),
    ],
)
def test_options_out_of_range_are_refused(option, value, folder, capsys):
    with pytest.raises(SystemExit) as error:
        main(["fit", "data.csv", "--target", "y", f"{option}={value}"])
    assert error.value.code == 2
    assert f"argument {option}: must be" in capsys.readouterr().err


def test_what_predict_refuses(folder):
    (folder / "data.csv").write_text(CSV)
    fitted("data.csv", "--target", "y")
    lo.Linear(2).save("plain.npz")
    (folder / "short.csv").write_text("a\n1\n")
    (folder / "words.csv").write_text("a,b\nmany,1\nfew,2\n")
    raw = bytearray((folder / "model.npz").read_bytes())
    raw[-100] ^= 1
    (folder / "damaged.npz").write_bytes(raw)
    for model, data, said in (
        ("none.npz", "data.csv", "none.npz cannot be read: No such file or directory"),
        ("data.csv", "data.csv", "data.csv is no checkpoint of lossopt, or its beginning is damaged"),
        ("damaged.npz", "data.csv", "damaged.npz is damaged: its contents are not what was written"),
        ("plain.npz", "data.csv", "plain.npz holds a model, and no model of lossopt fit"),
        ("model.npz", "none.csv", "none.csv cannot be read: No such file or directory"),
        ("model.npz", "short.csv", "short.csv: column 'b' is missing"),
        ("model.npz", "words.csv", "words.csv: column 'a' held numbers in training, and holds 'many'"),
    ):
        assert run("predict", model, data) == (2, "", f"lossopt: {said}\n")


@pytest.mark.parametrize(
    ("missing", "command", "said"),
    [
        ("pandas", ["fit", "data.csv", "--target", "y"], "reading CSV needs pandas: pip install 'lossopt[cli]'"),
        ("matplotlib.figure", ["fit", "data.csv", "--target", "y", "--report", "r.html"], "--report needs matplotlib"),
    ],
)
def test_missing_extras_are_named(missing, command, said, folder, monkeypatch):
    (folder / "data.csv").write_text(CSV)
    monkeypatch.setitem(sys.modules, missing, None)
    code, _, err = run(*command)
    assert code == 2
    assert said in err


# ---- terminals and pipes


@pytest.mark.skipif(os.name != "posix", reason="terminals")
def test_a_terminal_sees_progress_and_a_pipe_does_not(folder):
    diabetes().to_csv("data.csv", index=False)
    command = [*COMMAND, "fit", "data.csv", "--target", "target", "--epochs", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "R2" in done.stdout
    assert subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=True).stdout == ""
    main_end, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 120))
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, text=True)
    out = child.communicate()[0]
    os.close(end)
    seen = b""
    while select.select([main_end], [], [], 0.5)[0]:
        try:
            seen += os.read(main_end, 4096)
        except OSError:
            break
    os.close(main_end)
    assert re.search(rb"epoch.*train_loss=.*val_loss=.*lr=", seen)
    assert "R2" in out


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_may_have_seen_enough(folder):
    large("data.csv")
    fitted("data.csv", "--target", "y", "--epochs", 1)
    command = f"{sys.executable} -m lossopt predict model.npz data.csv | head -2"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("prediction\n")
    assert (done.returncode, done.stderr) == (0, "")
