"""The grid: a small one runs, is complete, compares equal work, and is shown."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lossopt as lo
from lossopt import bench
from lossopt.bench import grid, measure, peers, sides, table
from lossopt.cli import main

# the measurements are a program's, not a library's: they put the twin in the kernels' place for all threads
pytestmark = pytest.mark.thread_unsafe

TINY = replace(
    bench.QUICK,
    sizes=(70,),
    classes=((20, 5), (7, 70)),
    linear=((50, 3),),
    outputs=((50, 3, 4), (60, 5, 40)),
    sparse=((200, 50, 5),),
    many=((3, 40),),
    seconds=0.0,
    sample=0.0,
    rounds=1,
)
TINY_TRAINING = replace(
    bench.TRAINING_QUICK,
    training=tuple(of._replace(n=203, batch=min(of.batch, 100)) for of in grid.TRAININGS),
    seconds=0.0,
    sample=0.0,
    rounds=1,
)
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
HOME = ("lossopt", "twin", "limit")


@pytest.fixture(autouse=True)
def _as_before():
    """Threads, and what jax was told."""
    threads, jax = lo.get_num_threads(), sys.modules.get("jax")
    told = {"jax_enable_x64": False, "jax_cpu_enable_async_dispatch": True}
    told = {name: getattr(jax.config, name, usual) for name, usual in told.items()} if jax else told
    yield
    lo.set_num_threads(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    for name, value in told.items():
        if "jax" in sys.modules:
            sys.modules["jax"].config.update(name, value)


def taken(plan, peers=()):
    """Each cell's operation and the works of all sides, in this process."""
    taking = [side(1) for side in (*sides.HOME, *peers)]
    notes = []
    for cell in grid.cells(plan, notes.append):
        try:
            op = cell.make()
            yield cell, {name: work for side in taking for name, work in getattr(side, cell.method)(op).items()}
        except (ImportError, TypeError, ValueError):
            assert cell.group == "sparse", cell
    assert not [
        note for note in notes if note.split()[1].strip(":") in ("mse", "binary_cross_entropy", "cross_entropy")
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A run by the command line's own way, without peers, on one and two threads."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "QUICK", TINY)
        arguments = ["--quick", "--threads", "1", "2", "--json", "run.json", "--picture", "run.png"]
        patch.chdir(folder)
        assert main(["bench", *arguments]) == 0
    return json.loads((folder / "run.json").read_text()), (folder / "run.png").read_bytes()


def test_a_small_grid_is_complete(found):
    run, drawn = found
    assert drawn.startswith(b"\x89PNG")
    assert run["machine"]["processor"]
    assert run["versions"]["numpy"] == np.__version__
    assert run["lossopt"]["level"] == lo.info()["level"]
    assert run["threads"] == [1, 2]
    cells = {(c["group"], c["name"], c["dtype"], tuple(c["shape"]), c["threads"]): c["sides"] for c in run["cells"]}
    assert len(cells) == len(run["cells"])
    for name in lo.LOSSES:
        assert any(key[:2] == ("loss", name) for key in cells) or any(f"loss {name}:" in note for note in run["notes"])
    for name in lo.OPTIMIZERS:
        for dtype in ("float64", "float32"):
            for threads in (1, 2):
                assert ("step", name, dtype, (70,), threads) in cells
                assert ("step", name, dtype, (3, 40), threads) in cells
        assert ("overhead", name, "float64", (16,), 1) in cells
    for shape in ((50, 3), (50, 3, 4), (60, 5, 40)):
        assert any(key[0] == "linear" and key[3] == shape for key in cells)
    for (group, *_), measured in cells.items():
        assert set(HOME) - {"twin"} <= measured.keys()
        assert "twin" in measured or group == "sparse"
        for side in measured.values():
            assert 0 < side["least"] <= side["median"]
            assert side["first"] > 0
            assert side["busy"] >= 0


def test_the_twin_does_the_same_work(found):
    for cell in found[0]["cells"]:
        for side in cell["sides"].values():
            assert side.get("apart", 0) <= TOLERANCE[cell["dtype"]], cell


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.__name__)
@pytest.mark.filterwarnings("default")  # theirs
def test_peers_do_the_same_work(peer):
    if lacks := peers.missing(peer):
        pytest.skip(f"{lacks} is not installed")
    met = set()
    for cell, works in (*taken(TINY, [peer]), *taken(TINY_TRAINING, [peer])):
        results = {}
        for side in {"lossopt", *works} & {"lossopt", *peer.columns}:
            for _ in range(3):
                result = works[side].call()
            results[side] = [np.array(np.asarray(part)) for part in works[side].read(result)]
        for side, result in results.items():
            # scikit-learn shuffles in its own way
            own = cell.group == "training" and side == "sklearn"
            assert measure.apart(result, results["lossopt"]) <= (0.3 if own else TOLERANCE[cell.dtype]), (side, cell)
            met.add((cell.group, cell.name, side))
    assert {side for *_, side in met} == {"lossopt", *peer.columns}
    if peer is not peers.Thinc:
        assert {("loss", name, peer.columns[0]) for name in ("mse", "binary_cross_entropy", "cross_entropy")} <= met
        assert {("linear", name, peer.columns[0]) for name in ("mse", "binary_cross_entropy", "cross_entropy")} <= met
    trained = {side for group, _, side in met if group == "training"} - {"lossopt"}
    assert trained == (set() if peer is peers.Thinc else {peer.columns[0]})
    if peer is not peers.Sklearn:
        assert {("step", name, peer.columns[0]) for name in ("sgd", "adam")} <= met


def test_training_is_complete(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "TRAINING_QUICK", TINY_TRAINING)
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--training", "--quick", "--json", "run.json", "--picture", "run.png"]) == 0
    assert "us/step" in capsys.readouterr().out
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["threads"] == [1]
    cells = {(cell["name"], cell["dtype"]): cell for cell in run["cells"]}
    assert len(cells) == len(run["cells"])
    for of in TINY_TRAINING.training:
        for dtype in of.dtypes:
            cell = cells[of.name, dtype]
            assert (cell["shape"], cell["numbers"]) == (list(of.shape), of.steps)
            assert cell["sides"].keys() == {"lossopt", *of.beside} - set(peers.PEER_COLUMNS)
            assert all(side["apart"] <= TOLERANCE[dtype] for side in cell["sides"].values())
    assert table.bars(run).keys() <= {"fit_many batch 256 float64, one"}


def test_trainings_name_columns_of_their_table():
    names = [of.name for of in grid.TRAININGS]
    assert len(set(names)) == len(names)
    for of in grid.TRAININGS:
        assert of.beside.keys() <= set(table.GROUPS["training"][1])
        assert any(of.beside.values())
        assert all(wanted >= 0 for wanted in of.beside.values())


def test_unequal_work_is_seen():
    assert measure.apart((1.0, np.array([1.0, 1e-6])), (1.0, np.array([1.0, 0.0]))) == pytest.approx(1e-6)
    assert measure.apart((2.0, np.array([1.0])), (1.0, np.array([1.0]))) == 1
    assert measure.apart([2.0], (1.0, np.array([1.0]))) == 1


def test_a_peer_that_refuses_is_left_out_and_noted():
    def refuse():
        raise RuntimeError("not here\nbecause")

    works = {"lossopt": sides.Work(lambda: [1.0]), "torch": sides.Work(refuse), "twin": sides.Work(lambda: [2.0])}
    notes = []
    timed = measure.timed(works, TINY, 1, notes)
    assert timed.keys() == {"lossopt", "twin"}
    assert timed["twin"]["apart"] == 1
    assert notes == ["torch refuses: not here"]
    with pytest.raises(RuntimeError):
        measure.timed({"lossopt": works["torch"]}, TINY, 1, [])


def test_the_limit_on_two_threads_adds_everything(monkeypatch):
    monkeypatch.setattr(sides.Limit, "SPLIT", 0)
    limit, out = sides.Limit(2), np.zeros(101)
    limit._add(np.arange(101.0), np.ones(101), out)
    assert out.tolist() == list(range(1, 102))
    limit._add(out, np.ones(()), out)
    assert out.tolist() == list(range(2, 103))


def a_run():
    """What a run gives, with a cell that is lost and one that is not."""

    def side(seconds):
        return {"first": 1.0, "apart": 0.0, "median": seconds, "least": seconds / 2, "busy": 1.0}

    cells = [
        {
            "group": "loss",
            "name": "mse",
            "dtype": "float64",
            "shape": [n],
            "numbers": n,
            "threads": 1,
            "sides": {
                "lossopt": side(2e-6),
                "limit": side(1e-6),
                "twin": side(8e-6),
                "torch": side(torch),
                "jax": side(9e-6),
            },
        }
        for n, torch in ((1000, 1e-6), (10_000, 4e-5))
    ]
    return {
        "started": "2000-01-01 00:00",
        "seconds": 1,
        "machine": {"processor": "a machine", "cores": 2, "caches": "L1 1K", "memory": "1 GiB", "system": "a system"},
        "lossopt": lo.info(),
        "versions": {"numpy": "2"},
        "load": 0.25,
        "threads": [1],
        "plan": {"peers": True, "training": []},
        "missing": ["thinc"],
        "notes": ["a note"],
        "cells": cells,
    }


def test_rows_and_lost_cells():
    run = a_run()
    head = table.heading("loss", True)
    lost, won = (dict(zip(head, table.row(cell, True), strict=True)) for cell in run["cells"])
    assert lost["shape"] == "1e3"
    assert lost["time"] == "2 us"
    assert lost["ns each"] == "2.00"
    assert lost["of limit"] == "0.50"
    assert (lost["torch"], lost["twin"], lost["sklearn"], lost["worst"]) == ("0.50", "4.00", "", "0.50*")
    assert (won["torch"], won["worst"], won["minima"]) == ("20.0", "4.50", "4.50")
    assert table.losing(run) == {"loss mse float64 1e3, threads 1": "torch 0.50 (0.50 by minima)"}
    assert len(table.text(head)) == len(table.text(table.row(run["cells"][0], True)))
    summary = table.summary(run)
    assert summary[:2] == ["thinc is not installed", "a note"]


def a_training():
    """The same of a training: behind one peer, and as far ahead of the other as is wanted."""
    run = a_run()
    row = grid.Training("sgd", 1000, (3, 1), 10, "sgd", {"torch": 2, "jax": 4.5})
    run["cells"] = [run["cells"][0] | {"group": "training", "name": "sgd", "shape": [1000, 3], "numbers": 100}]
    return run | {"plan": json.loads(json.dumps({"peers": True, "training": [row]}))}


def test_rows_of_training_and_wanted_ratios():
    run = a_training()
    shown = dict(zip(table.heading("training", True), table.row(run["cells"][0], True), strict=True))
    assert (shown["epoch"], shown["steps"], shown["us/step"]) == ("2 us", "100", "0.02")
    assert (shown["torch"], shown["jax"], shown["worst"]) == ("0.50", "4.50", "0.50*")
    assert table.bars(run) == {"sgd float64, torch": (0.5, 2), "sgd float64, jax": (4.5, 4.5)}
    assert "wanted ratios: 1 of 2 hold; short: sgd float64, torch 0.50 of 2" in table.summary(run)


@pytest.mark.parametrize("made", [a_run, a_training])
def test_results_page_keeps_what_was_said(made):
    path = Path(__file__).parents[1] / "benchmarks" / "results.py"
    spec = importlib.util.spec_from_file_location("results", path)
    results = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(results)
    run = made()
    page = results.markdown(run, {})
    assert "a machine" in page
    (where,) = table.losing(run)
    line = f"- {where}: torch 0.50 (0.50 by minima); not looked into yet"
    assert line in page.splitlines()
    said = page.replace("not looked into yet", "it is so: because; of this")
    assert results.remarks_of(page) == {}
    assert "; it is so: because; of this\n" in results.markdown(run, results.remarks_of(said))
    tables = [text for text in page.splitlines() if text.startswith("|")]
    assert len({text.count("|") for text in tables}) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--json", "nowhere/run.json"], "lossopt: cannot write nowhere/run.json"),
        (["--picture", "run.docx"], "lossopt: cannot draw a picture of the kind 'docx': run.docx"),
    ],
)
def test_refusals(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--quick", *arguments]) == 2
    assert capsys.readouterr().err.strip() == sentence


def test_a_picture_names_the_extra_that_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    assert main(["bench", "--quick", "--picture", "run.png"]) == 2
    assert re.search(r"a picture needs matplotlib.*pip install 'lossopt\[plot\]'", capsys.readouterr().err)


def test_a_process_that_dies_is_told_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(bench, "QUICK", replace(TINY, dtypes=("nonsense",)))
    assert main(["bench", "--quick"]) == 2
    assert "lossopt: the measuring process ended with status 1" in capsys.readouterr().err


def test_peers_that_are_missing_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "thinc", None)
    plan = replace(TINY, dtypes=(), overhead=(), peers=True)
    assert measure.run(plan, [], print)["missing"][-1:] == ["thinc"]
