"""Pictures: what is drawn is what was found."""

import sys

import numpy as np
import pytest
from sklearn import datasets, preprocessing

import lossopt as lo
from lossopt import plot

DATA = datasets.load_diabetes()
X, Y = preprocessing.scale(DATA.data), preprocessing.scale(DATA.target)
STRENGTHS = [2.0, 1e-3, 0.05]


def fits(**more):
    return lo.path(X[:300], Y[:300], lo.MSE(), lo.L1, STRENGTHS, lo.SGD(0.01, momentum=0.9), epochs=20, **more)


def test_a_schedule(tmp_path):
    made = lo.Warmup(lo.CosineAnnealing(0.1, T_max=90), steps=10)
    ax = plot.schedule(made, 100, tmp_path / "schedule.png")
    t, value = ax.lines[0].get_data()
    assert (t[0], t[-1]) == (0, 100)
    np.testing.assert_array_equal(value, made(t))
    assert (tmp_path / "schedule.png").stat().st_size > 5000


def test_coefficients_are_those_of_the_models(tmp_path):
    found = fits()
    ax = plot.coefficients(found, DATA.feature_names, tmp_path / "path.png")
    drawn = {line.get_label(): line.get_data() for line in ax.lines}
    assert set(DATA.feature_names) < set(drawn)
    for j, name in enumerate(DATA.feature_names):
        strengths, weights = drawn[name]
        np.testing.assert_array_equal(strengths, [1e-3, 0.05, 2.0])
        np.testing.assert_array_equal(weights, [found.models[i].params["weight"][0, j] for i in (1, 2, 0)])
    assert ax.get_xscale() == "log"
    assert (tmp_path / "path.png").stat().st_size > 5000
    assert plot.coefficients(found, ax=ax) is ax
    with pytest.raises(ValueError, match="names must be as many as the 10 features, got 1"):
        plot.coefficients(found, ["age"])


def test_a_strength_of_zero_has_its_place():
    found = lo.path(X, Y, lo.MSE(), lo.L2, [0.0, 0.1, 1.0], lo.SGD(0.01), epochs=2)
    ax = plot.coefficients(found)
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] == 0


def test_many_outputs_are_told_apart():
    found = lo.path(X, (Y > 0).astype(int), lo.CrossEntropy(), lo.L2, [0.1, 1.0], lo.SGD(0.01), epochs=2)
    labels = [line.get_label() for line in plot.coefficients(found, DATA.feature_names).lines]
    assert sum(label.endswith((", output 0", ", output 1")) for label in labels) == 10


def test_the_validation_curve():
    found = fits(validation=(X[300:], Y[300:]))
    training, validation, best = plot.validation(found).lines
    np.testing.assert_array_equal(training.get_ydata(), found.train_loss[[1, 2, 0]])
    np.testing.assert_array_equal(validation.get_ydata(), found.val_loss[[1, 2, 0]])
    assert best.get_data() == ([STRENGTHS[found.best]], [found.val_loss[found.best]])
    assert len(plot.validation(fits()).lines) == 2
    grid = {"penalty": [lo.L2(s) for s in STRENGTHS], "optimizer": [lo.SGD(0.01)]}
    crossed = lo.cross_validate(X, Y, lo.MSE(), grid, folds=3, epochs=5)
    ax = plot.validation(crossed)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), crossed.mean[[1, 2, 0]])
    assert ax.get_legend().get_texts()[1].get_text() == "validation, mean of 3 folds"
    for other in ({"optimizer": [lo.SGD(0.1)]}, {"penalty": [lo.L2(lo.Constant(1.0))], "optimizer": [lo.SGD(0.1)]}):
        with pytest.raises(ValueError, match="candidates must have penalties with strengths that are numbers, got"):
            plot.validation(lo.fit_many(X, Y, lo.MSE(), other))


def test_step_times_are_measured_for_each_size():
    model = lo.Linear(10)
    before = model.params["weight"].copy()
    ax = plot.step_time(model, lo.MSE(), lo.Adam(), X, Y, sizes=[1, 20, 442, 443])
    update, row = ax.lines
    np.testing.assert_array_equal(update.get_xdata(), [1, 20, 442])
    np.testing.assert_allclose(update.get_ydata(), row.get_ydata() * update.get_xdata())
    assert min(update.get_ydata()) > 0
    np.testing.assert_array_equal(model.params["weight"], before)
    with pytest.raises(ValueError, match=r"sizes must have one of at most the 442 rows, got \[1000\]"):
        plot.step_time(model, lo.MSE(), lo.Adam(), X, Y, sizes=[1000])


def test_a_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"plot.schedule needs matplotlib: pip install 'lossopt\[plot\]'"):
        plot.schedule(lo.Constant(1.0), 10)
