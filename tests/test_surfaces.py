"""Surfaces: gradients, stationary points, descents on them, slices of objectives, and pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lossopt as lo
from lossopt import surfaces
from lossopt.surfaces import SURFACES

each = pytest.mark.parametrize("name", SURFACES)
STATIONARY = {
    ("bowl", (0, 0)): "minimum",
    ("rosenbrock", (1, 1)): "minimum",
    ("beale", (3, 0.5)): "minimum",
    ("beale", (0, 1)): "saddle",
    ("himmelblau", (3, 2)): "minimum",
    ("himmelblau", (-2.805118, 3.131313)): "minimum",
    ("himmelblau", (-3.779310, -3.283186)): "minimum",
    ("himmelblau", (3.584428, -1.848127)): "minimum",
    ("himmelblau", (-0.270845, -0.923039)): "maximum",
    ("himmelblau", (0.0866775, 2.8842547)): "saddle",
    ("saddle", (0, 0)): "saddle",
    ("plateau", (0, 0)): "minimum",
    ("plateau", (5, 5)): "flat",
    ("plateau", (1, 0)): "not stationary",
}


@each
def test_gradients_are_slopes(name):
    surface = SURFACES[name]
    assert surface.name == name
    for point in np.random.default_rng(0).uniform(-2, 2, (20, 2)):
        assert lo.check_gradient(surface.function, point) < 1e-6
    values, gradients = surface.function(np.zeros((3, 4, 2)))
    assert values.shape == (3, 4)
    assert gradients.shape == (3, 4, 2)
    (low, high), (bottom, top) = surface.bounds
    assert low <= surface.start[0] <= high
    assert bottom <= surface.start[1] <= top


@pytest.mark.parametrize(("name", "point"), STATIONARY, ids=str)
def test_stationary_points_are_classified(name, point):
    assert surfaces.classify(SURFACES[name].function, point, 1e-3) == STATIONARY[name, point]


def test_momentum_that_is_tuned_beats_adam_that_is_not():
    """The chapter's claim, on its kind of surface."""
    for name, tuned in (("rosenbrock", lo.SGD(1e-3, momentum=0.95)), ("beale", lo.SGD(2e-3, momentum=0.9))):
        surface = SURFACES[name]
        ends = {}
        for who, opt in (("tuned", tuned), ("adam", lo.Adam())):
            way = surfaces.descend(surface, opt, 500)
            assert way.shape == (501, 2)
            assert tuple(way[0]) == surface.start
            assert opt.steps == 0
            ends[who] = float(surface.function(way[-1])[0])
        assert ends["tuned"] < 0.05 < ends["adam"]


def test_a_slice_is_the_objective():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)), rng.integers(0, 2, 50).astype(float)
    objective = lo.Objective(X, y, lo.BinaryCrossEntropy(), lo.L2(0.1))
    origin, first, second = rng.standard_normal((3, 5))
    surface = surfaces.cut(objective, origin, [first, second], reach=0.5)
    assert surface.bounds == ((-0.5, 1.5), (-0.5, 1.5))
    points = rng.standard_normal((2, 3, 2))
    values, gradients = surface.function(points)
    assert values[1, 2] == objective(origin + points[1, 2, 0] * first + points[1, 2, 1] * second)
    assert gradients.shape == points.shape
    assert lo.check_gradient(surface.function, np.array([0.3, -0.2])) < 1e-6
    assert surfaces.descend(surface, lo.SGD(0.01), 50).shape == (51, 2)
    for bad in ([first[:2], second], [first]):
        with pytest.raises(ValueError, match=r"along\[0\] must have shape \(5,\), got|not enough values"):
            surfaces.cut(objective, origin, bad)


@each
def test_pictures(name, tmp_path):
    surface = SURFACES[name]
    ways = {repr(opt): surfaces.descend(surface, opt, 60) for opt in (lo.SGD(1e-3), lo.Adam(0.1), lo.RMSprop())}
    ax = surfaces.plot(surface, ways, tmp_path / "surface.png")
    assert (tmp_path / "surface.png").stat().st_size > 10_000
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [*ways, "start"]
    assert len({line.get_linestyle() for line in ax.lines}) >= 3
    assert surfaces.plot(surface, ax=ax) is ax
    with pytest.raises(ValueError, match="start must be two numbers, got"):
        surfaces.descend(surface, lo.SGD(), start=[1.0])
    with pytest.raises(ValueError, match="steps must be a whole number, 0 or more, got -1"):
        surfaces.descend(surface, lo.SGD(), steps=-1)


def test_the_example_runs(tmp_path):
    example = Path(__file__).parents[1] / "examples" / "descent.py"
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=True)
    ends = dict(re.findall(r"^(\w+ +\w+).* ends at (\S+)$", done.stdout, re.M))
    for name in ("rosenbrock  ", "beale       "):
        assert float(ends[f"{name} SGD"]) < 0.01 < float(ends[f"{name} Adam"])
    assert (tmp_path / "descent.png").stat().st_size > 10_000


def test_a_missing_matplotlib_is_named():
    code = """import sys; sys.modules["matplotlib.figure"] = None
from lossopt import surfaces
surfaces.plot(surfaces.SURFACES["bowl"])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: lossopt.surfaces needs matplotlib: pip install 'lossopt[plot]'" in done.stderr
