"""The command line, run as a user runs it."""

import re
import subprocess
import sys

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
