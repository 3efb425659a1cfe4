"""The command line, run as a user runs it."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import lossopt as lo
from lossopt.cli import main


def test_demo_reaches_the_optimum_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    apart = [float(x) for x in re.findall(r"regression +\d+\.\d+ +\d+\.\d+ +(-?\d\.\de[-+]\d+)", printed)]
    assert len(apart) == 3
    assert all(abs(x) < 1e-3 for x in apart)
    accuracies = [float(x) for x in re.findall(r"accuracy (\d\.\d+)", printed)]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.9
    assert "lossopt-demo.png" in printed
    assert (tmp_path / "lossopt-demo.png").read_bytes().startswith(b"\x89PNG")


def test_info_and_module_form(tmp_path):
    command = [sys.executable, "-m", "lossopt", "info"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^level +{lo.info()['level']}$", printed, re.M)
    assert re.search(r"^threads +\d+$", printed, re.M)
    assert re.search(rf"^lossopt +{re.escape(lo.__version__)}$", printed, re.M)


@pytest.mark.parametrize("missing", ["sklearn", "matplotlib.figure", "tqdm"])
def test_demo_names_the_extra_that_is_missing(missing, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["demo"]) == 2
    assert "pip install 'lossopt[demo]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--epochs", "0"], "must be a positive whole number, got '0'"),
    ],
)
def test_bad_usage_is_refused_in_a_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert sentence in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"lossopt {lo.__version__}"


@pytest.mark.parametrize("name", lo.SCHEDULES)
def test_every_schedule_can_be_shown_by_its_name(name, capsys):
    given = {"join": "join([0.1, cosine], [50])", "product": "product(cosine, step(1, 30))"}.get(name, name)
    assert main(["schedule", given]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    made = eval(first, {"__builtins__": {}}, vars(lo))
    assert type(made) is lo.SCHEDULES[name]
    assert [float(row.split()[1]) for row in rows] == pytest.approx(made(np.linspace(0, 100, 11)).tolist(), rel=1e-5)


def test_schedules_compose(tmp_path, capsys):
    arguments = [
        "schedule",
        "warmup(CosineAnnealing, steps=10) * step(1, 40)",
        "--lr",
        "0.2",
        "--steps",
        "80",
        "--json",
    ]
    assert main([*arguments, "--picture", str(tmp_path / "s.png")]) == 0
    shown = json.loads(capsys.readouterr().out)
    expected = lo.Warmup(lo.CosineAnnealing(0.2, 80), 10) * lo.StepDecay(1, 40)
    assert shown["schedule"] == repr(expected)
    assert shown["value"] == expected(np.array(shown["t"])).tolist()
    assert (tmp_path / "s.png").stat().st_size > 3000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wormup"], "there is no schedule 'wormup'; there are cosine, exponential"),
        (["warmup("], "'warmup(' is no schedule: write warmup(cosine)"),
        (["cosine + 1"], "cannot read 'cosine + 1'"),
        (["__import__('os')"], "cannot read \"'os'\""),
        (["step(0.1, -3)"], "StepDecay"),
        (["cosine(a=1)"], "unexpected keyword argument 'a'"),
        (["cosine", "--picture", "missing/there.png"], "missing/there.png cannot be written"),
    ],
)
def test_schedules_that_make_no_sense(arguments, said, capsys):
    assert main(["schedule", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lossopt: ")
    assert said in error
    assert error.count("\n") == 1
