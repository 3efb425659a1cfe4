"""A pytest plugin: scikit-learn's own tests, with lossopt's estimators in the place of its own.

    PYTHONPATH=tests python -m pytest -p swapped --pyargs sklearn.linear_model.tests.test_ridge

docs/sklearn.rst has the files, and the share that passes. Tests that never make one of the estimators are left out.
"""

import importlib

import pytest

import lossopt.sklearn as own

HOMES = {
    "sklearn.linear_model": own.__all__,
    "sklearn.neural_network": ("MLPClassifier", "MLPRegressor"),
    "sklearn.linear_model._base": ("LinearRegression",),
    "sklearn.linear_model._ridge": ("Ridge", "RidgeCV"),
    "sklearn.linear_model._coordinate_descent": ("Lasso", "ElasticNet", "LassoCV", "ElasticNetCV"),
    "sklearn.linear_model._logistic": ("LogisticRegression", "LogisticRegressionCV"),
}
made = 0


def counted(cls):
    """Of whatever a test makes."""
    init = cls.__init__

    def __init__(self, *args, **kwargs):
        global made
        made += 1
        init(self, *args, **kwargs)

    __init__.__signature__ = importlib.import_module("inspect").signature(init)
    __init__.__wrapped__ = init
    cls.__init__ = __init__


for name in own.__all__:
    counted(getattr(own, name))
for home, names in HOMES.items():
    module = importlib.import_module(home)
    for name in names:
        if hasattr(module, name):
            setattr(module, name, getattr(own, name))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.user_properties.append(("made", made))
    if call.when == "call" and not made and report.outcome == "passed":
        report.outcome, report.longrepr = "skipped", ("", 0, "makes none of the estimators")


def pytest_runtest_setup(item):
    global made
    made = 0
