"""Ranking losses: torch's autograd over the formulas, scikit-learn's NDCG, queries as examples, and training."""

from __future__ import annotations

import re

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.metrics import ndcg_score

import lossopt as lo
from lossopt import _kernels

from . import cases

each_row = pytest.mark.parametrize(
    ("cls", "row"), [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("rankings")]
)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def drawn(sizes, seed=0, dtype=np.float64):
    """Scores, relevances with ties among them, and queries of these sizes, mixed up."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(len(sizes)) * 7 - 3, sizes))
    return (2 * rng.standard_normal(len(group))).astype(dtype), rng.integers(0, 5, len(group)).astype(float), group


SIZES = [1, 2, 5, 1, 30, 3, 300, 17]


def value_in_torch(torch, loss, z, y):
    """A query's value, by the definition."""
    if isinstance(loss, lo.ListNet):
        return -(torch.softmax(y, 0) * torch.log_softmax(z, 0)).sum()
    pairs = y[:, None] > y
    costs = torch.nn.functional.softplus(z - z[:, None])
    if isinstance(loss, lo.PairwiseRanking):
        return costs[pairs].mean() if pairs.any() else 0 * z.sum()
    place = torch.empty(len(z), dtype=torch.float64)
    place[torch.sort(z.detach(), descending=True, stable=True)[1]] = torch.arange(len(z), dtype=torch.float64)
    discount = torch.where(place < (loss.k or len(z)), 1 / torch.log2(2 + place), 0)
    gain = 2**y - 1
    best = 1 / torch.log2(2 + torch.arange(len(z), dtype=torch.float64))[: loss.k]
    ideal = (torch.sort(gain, descending=True)[0][: loss.k] * best).sum()
    share = (gain[:, None] - gain).abs() * (discount[:, None] - discount).abs() / (ideal if ideal else 1)
    return (costs * share)[pairs].sum()


@each_row
@each_dtype
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_values_and_gradients_are_torchs(cls, row, dtype, reduction, weighted):
    torch = pytest.importorskip("torch")
    loss, (z, y, group) = row.make(cls, reduction=reduction), drawn(SIZES, dtype=dtype)
    ids = np.unique(group)
    share = np.random.default_rng(1).integers(0, 4, len(ids)) if weighted else np.ones(len(ids))
    weight = share[np.searchsorted(ids, group)].astype(float)
    if weighted:
        weight[::5] = 0
    scores = torch.tensor(z.astype(np.float64), requires_grad=True)
    total, mass = 0, 0
    for i, one in enumerate(ids):
        rows = torch.tensor(np.flatnonzero((group == one) & (weight > 0)))
        if len(rows):
            total = total + share[i] * value_in_torch(torch, loss, scores[rows], torch.tensor(y)[rows])
            mass += share[i]
    total = total / mass if reduction == "mean" else total
    total.backward()
    value, gradient = loss.value_and_grad(z, y, weight if weighted else None, group=group)
    tolerance = 1e-12 if dtype is np.float64 else 3e-6
    assert gradient.dtype == dtype
    assert value == pytest.approx(total.item(), rel=tolerance)
    assert_allclose(gradient, scores.grad.numpy(), 0, tolerance * max(1, abs(total.item())))
    assert loss(z, y, weight if weighted else None, group) == value
    each = loss.pointwise(z, y, group)
    if not weighted:
        parts = [each[np.flatnonzero(group == one)[0]] for one in ids]
        assert np.mean(parts) * (1 if reduction == "mean" else len(ids)) == pytest.approx(value, rel=tolerance)
        assert all(len(set(each[group == one])) == 1 for one in ids)


@pytest.mark.parametrize("loss", [lo.PairwiseRanking(), lo.ListNet()])
def test_gradients_are_slopes(loss):
    z, y, group = drawn(SIZES[:6])
    assert lo.check_gradient(lambda w: loss.value_and_grad(w, y, group=group), z) < 1e-7


@pytest.mark.parametrize("k", [None, 1, 3, 10])
def test_ndcg_is_scikit_learns(k):
    z, y, group = drawn([2, 5, 9, 30], seed=4)
    y[group == group[0]] = 0
    expected = [
        ndcg_score([2 ** y[group == one] - 1], [z[group == one]], k=k, ignore_ties=True) for one in np.unique(group)
    ]
    assert lo.LambdaRank(k).ndcg(z, y, group) == pytest.approx(np.mean(expected), rel=1e-12)
    assert lo.LambdaRank(k).ndcg(y, y) == pytest.approx(1)
    assert lo.LambdaRank(k).ndcg([], []) == 0


def test_errors_at_the_top_cost_more():
    y = np.arange(10.0)[::-1] / 3
    order = np.linspace(3, -3, 10)

    def swapped(i):
        z = order.copy()
        z[[i, i + 1]] = z[[i + 1, i]]
        return z

    costs = [lo.LambdaRank()(swapped(i), y) for i in (0, 4, 8)]
    assert costs[0] > costs[1] > costs[2]
    same = [lo.PairwiseRanking()(swapped(i), y) for i in (0, 4, 8)]
    assert_allclose(same, same[0])


@each_dtype
@pytest.mark.parametrize("gap", [-1000.0, -700.0, -30.0, -1.0, 0.0, 1e-8, 20.0, 40.0, 700.0])
def test_extreme_scores_are_exact(gap, dtype):
    gap = dtype(gap)
    value, gradient = lo.PairwiseRanking().value_and_grad(np.array([gap, 0], dtype), [1, 0])
    with mpmath.workdps(50):
        x = mpmath.mpf(float(gap))
        expected, slope = float(mpmath.log1p(mpmath.exp(-x))), float(1 / (1 + mpmath.exp(x)))
    ulp, least = 8 * float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    assert value == pytest.approx(expected, rel=ulp, abs=least)
    assert_allclose(gradient, [-slope, slope], ulp, least)


@each_row
def test_a_score_that_is_nan_shows(cls, row):
    loss = row.make(cls)
    value, gradient = loss.value_and_grad([np.nan, 1.0, 2.0, 3.0], [1, 0, 1, 0], group=[0, 0, 1, 1])
    assert np.isnan(value)
    assert np.isnan(gradient[:2]).all()
    assert np.isfinite(gradient[2:]).all()
    # but not in a document that is none
    assert np.isfinite(loss([np.nan, 1.0, 2.0], [1, 0, 1], [0, 1, 1]))


@each_row
@each_dtype
def test_weights_are_counts_of_queries(cls, row, dtype):
    loss, (z, y, group) = row.make(cls), drawn([2, 5, 9], dtype=dtype)
    weight = np.where(group == group[0], 2.0, 1.0)
    twice = np.flatnonzero(group == group[0])
    again = [np.concatenate([x, x[twice]]) for x in (z, y, group)]
    again[2][len(z) :] = 99
    tolerance = 1e-13 if dtype is np.float64 else 1e-6
    assert loss(z, y, weight, group) == pytest.approx(loss(*again[:2], group=again[2]), rel=tolerance)
    kept = np.arange(len(z)) % 3 != 0
    removed = loss.value_and_grad(z[kept], y[kept], group=group[kept])
    value, gradient = loss.value_and_grad(z, y, kept.astype(float), group=group)
    assert value == pytest.approx(removed[0], rel=tolerance)
    assert_array_equal(gradient[~kept], 0)
    assert_allclose(gradient[kept], removed[1], tolerance, tolerance)
    text = "sample_weight must be the same for all documents of a query, or 0, got 1.0"
    with pytest.raises(ValueError, match=re.escape(text)):
        loss([1, 2], [1, 0], [1, 2])


@each_row
@each_dtype
def test_any_container_order_and_name_of_queries(cls, row, dtype):
    loss, (z, y, group) = row.make(cls), drawn(SIZES[:6], dtype=dtype)
    value, gradient = loss.value_and_grad(z, y, group=group)
    order = np.argsort(group, kind="stable")
    sorted_value, sorted_gradient = loss.value_and_grad(z[order], y[order], group=group[order])
    assert sorted_value == pytest.approx(value, rel=1e-6 if dtype is np.float32 else 1e-14)
    assert_array_equal(gradient[order], sorted_gradient)
    words = np.array([f"query {i}" for i in group])
    for ids in (words, words.astype(object), group.astype(float)):
        assert loss(z, y, group=ids) == pytest.approx(value, rel=1e-6)
    wide = np.zeros((len(z), 2), dtype)
    wide[:, 0] = z
    wide.flags.writeable = False
    assert_array_equal(loss.value_and_grad(wide[:, 0], y.astype(np.int8), group=group)[1], gradient)
    assert_array_equal(loss.value_and_grad(z, y, group=group, out=z)[1], gradient)
    assert z is loss.value_and_grad(z, y, out=z)[1]


@each_row
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_no_rows_and_no_weight(cls, row, reduction):
    loss = row.make(cls, reduction=reduction)
    value, gradient = loss.value_and_grad([], [], group=np.zeros(0, int))
    assert (value, gradient.shape) == (0, (0,))
    assert loss.pointwise([], []).shape == (0,)
    value, gradient = loss.value_and_grad([1.0, np.nan], [1, 0], [0, 0])
    assert value == 0
    assert_array_equal(gradient, 0)


@pytest.mark.parametrize("level", _kernels.available)
@each_dtype
@each_row
def test_kernels_are_their_twin_on_any_number_of_threads(level, dtype, cls, row):
    loss, kernels, twin = row.make(cls), _kernels.load(level), _kernels.load("reference")
    z, y, _ = drawn([3000], dtype=dtype)
    begins = np.array([0, 1, 3, 3, 20, 700, 1000, 3000])
    factor = np.array([1, 0.5, 2, 0, 1, 1, 0.25], dtype)
    targets = {lo.ListNet: np.abs(y) / 9, lo.PairwiseRanking: y, lo.LambdaRank: y / 9}[cls].astype(dtype)

    def made(family):
        if cls is lo.ListNet:
            return family.softmax_probabilities()
        places = loss._places(np.diff(begins)) if cls is lo.LambdaRank else None
        return family.pairs_of_rows(places, getattr(loss, "k", 0) or 3000)

    # a query without documents is none of a loss's, and a row of no outputs is no softmax
    begins = begins[begins != 3] if cls is lo.ListNet else begins
    begins, factor = np.unique(begins), factor[: len(np.unique(begins)) - 1]
    results = []
    threads = lo.get_num_threads()
    try:
        for count in (1, 3):
            lo.set_num_threads(count)
            value, out = np.empty(len(factor), dtype), np.empty_like(z)
            for _ in range(30):  # enough to go parallel, and in another order
                kernels.losses.grouped(made(kernels.losses), z, targets, begins, factor, value, out)
            results.append((value.tobytes(), out.tobytes()))
    finally:
        lo.set_num_threads(threads)
    assert results[0] == results[1]
    expected, slopes = np.empty(len(factor), dtype), np.empty_like(z)
    twin.losses.grouped(made(twin.losses), z, targets, begins, factor, expected, slopes)
    tolerance = 1e-12 if dtype is np.float64 else 2e-5
    assert_allclose(value, expected, tolerance, tolerance)
    assert_allclose(out, slopes, tolerance, tolerance * np.abs(slopes).max())
    alone = np.empty_like(value)
    kernels.losses.grouped(made(kernels.losses), z, targets, begins, factor, alone, None)
    assert_array_equal(alone, value)


# ---- by queries


def data(seed=0, queries=40, d=6):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 12, queries)
    X, truth = rng.standard_normal((sizes.sum(), d)), rng.standard_normal(d)
    group = rng.permutation(np.repeat(np.arange(queries), sizes))
    return X, np.clip(np.round(X @ truth + 1 + 0.3 * rng.standard_normal(len(X))), 0, 4), group


@each_row
@pytest.mark.parametrize("sparse", [False, True])
def test_an_objective_of_queries(cls, row, sparse):
    X, y, group = data()
    loss, weight = row.make(cls), np.where(np.arange(len(y)) % 7 == 0, 0.0, 1.0)
    objective = lo.Objective(csr_array(X) if sparse else X, y, loss, lo.L2(0.01), weight, group=group)
    w = np.random.default_rng(1).standard_normal(objective.size)
    value, gradient = objective.value_and_grad(w)
    expected, slope = loss.value_and_grad(X @ w[:-1] + w[-1], y, weight, group=group)
    assert value == pytest.approx(expected + 0.01 * (w[:-1] ** 2).sum(), rel=1e-12)
    assert_allclose(gradient[:-1], X.T @ slope + 0.02 * w[:-1], 1e-10, 1e-13)
    # what is common to all documents of a query moves nothing
    assert abs(gradient[-1]) < 1e-12


@each_row
@pytest.mark.parametrize("model", ["linear", "mlp", "own"])
def test_training_by_queries(cls, row, model):
    X, y, group = data()
    made = lo.MLP((6, 8, 1), seed=1) if model == "mlp" else lo.Linear(6)
    if model == "own":
        made = type("Own", (), {"params": made.params, "forward": made.forward, "backward": made.backward})()
    seen = []

    class Watch(lo.Callback):
        def on_batch_end(self, batch, logs):
            seen.append(logs["loss"])

    trainer = lo.Trainer(made, row.make(cls), lo.Adam(0.02), batch_size=8, callbacks=[Watch()])
    before = lo.LambdaRank().ndcg(made.forward(X), y, group)
    history = trainer.fit(X, y, epochs=25, group=group, validation=(X, y, None, group))
    assert trainer.engine == "python"
    assert len(seen) == 5 * 25
    assert lo.LambdaRank().ndcg(made.forward(X), y, group) > max(before, 0.9)
    assert history["val_loss"][-1] < history["val_loss"][0]
    loss = row.make(cls)(made.forward(X), y, group=group)
    assert trainer.evaluate(X, y, group=group) == pytest.approx(loss, rel=1e-12)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-12)


def test_a_batch_holds_whole_queries_and_counts_them():
    X, y, group = data()
    X[:, 0] = group
    batches = []

    class Seen:
        params = {"w": np.zeros(1)}  # noqa: RUF012

        def forward(self, X):
            batches.append(X[:, 0].astype(int))
            return np.zeros(len(X))

        def backward(self, g):
            return {"w": np.zeros(1)}

    arguments = Seen(), lo.ListNet(), lo.SGD(0.1)
    lo.Trainer(*arguments, batch_size=6, accumulate=2).fit(X, y, epochs=2, group=group)
    assert len(batches) == 14
    for epoch in (batches[:7], batches[7:]):
        queries = [np.unique(batch) for batch in epoch]
        assert [len(q) for q in queries] == [6] * 6 + [4]
        assert_array_equal(np.sort(np.concatenate(queries)), np.arange(40))
        assert sum(map(len, epoch)) == len(X)
    assert [sorted(set(b)) for b in batches[:7]] != [sorted(set(b)) for b in batches[7:]]
    batches.clear()
    lo.Trainer(*arguments, batch_size=6, shuffle=False, drop_last=True).fit(X, y, group=group)
    assert [set(b) for b in batches] == [set(range(i, i + 6)) for i in range(0, 36, 6)]
    batches.clear()
    lo.Trainer(*arguments, batch_size=None).fit(X, y, group=group)
    assert [len(b) for b in batches] == [len(X)]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_accumulated_queries_are_one_batch(accumulate):
    X, y, group = data()
    ends = []
    for size, more in ((12, 1), (4, 3)):
        model = lo.Linear(6)
        trainer = lo.Trainer(model, lo.LambdaRank(), lo.SGD(0.1), batch_size=size, accumulate=more)
        trainer.fit(X, y, epochs=2, group=group)
        ends.append(model.params["weight"])
    assert_allclose(*ends, 1e-12)


def test_an_interrupted_fit_goes_on():
    X, y, group = data()

    class Stop(lo.Callback):
        left = 8

        def on_batch_end(self, batch, logs):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    ends = []
    for callbacks in ((), (Stop(),)):
        trainer = lo.Trainer(lo.Linear(6), lo.ListNet(), lo.Adam(0.1), batch_size=8, callbacks=callbacks)
        try:
            trainer.fit(X, y, epochs=3, group=group)
        except KeyboardInterrupt:
            with pytest.raises(ValueError, match="X must have the 40 queries of the fit to be resumed, got 1"):
                trainer.resume(X, y)
            trainer.resume(X, y, group=group)
        ends.append(trainer.model.params["weight"].tobytes())
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda X, y, g: lo.Objective(X, y, lo.MSE(), group=g), TypeError, "group is for ranking losses; MSE looks at"),
        (lambda X, y, g: lo.ListNet()(X, y), ValueError, "prediction must have shape (n,), a score a document, got sh"),
        (lambda X, y, g: lo.ListNet()(y, X), ValueError, "target must have shape (n,), a relevance a document, got fl"),
        (lambda X, y, g: lo.ListNet()(y, y[1:]), ValueError, "target must have shape (2,), a relevance a document"),
        (lambda X, y, g: lo.ListNet()(y, y, group=g[1:]), ValueError, "group must hold the query of each of 2 docum"),
        (lambda X, y, g: lo.ListNet()(y, y, group=[1, np.nan]), ValueError, "group must hold the query of each of 2"),
        (lambda X, y, g: lo.ListNet()(y, y, group=X), ValueError, "group must hold the query of each of 2 documents"),
        (
            lambda X, y, g: lo.ListNet()(y, y, group=np.array([1, "a"], object)),
            ValueError,
            "group must hold the query of each of 2 documents",
        ),
        (lambda X, y, g: lo.ListNet()(y, [np.nan, 0]), ValueError, "target must be finite, got nan"),
        (lambda X, y, g: lo.ListNet()(y, [np.inf, 0]), ValueError, "target must lie in"),
        (lambda X, y, g: lo.LambdaRank()(y, [-1, 0]), ValueError, "target must lie in [0, 100], got -1"),
        (lambda X, y, g: lo.LambdaRank(0), ValueError, "LambdaRank: k must be a positive whole number, got 0"),
        (lambda X, y, g: lo.ListNet("none"), ValueError, "ListNet: reduction must be 'mean' or 'sum', got 'none'"),
        (lambda X, y, g: lo.Objective(X, y, lo.ListNet(), n_outputs=2), ValueError, "prediction must have shape (n,)"),
        (
            lambda X, y, g: lo.Trainer(lo.Linear(2), lo.ListNet(), lo.SGD(), engine="compiled").fit(X, y),
            ValueError,
            "engine='compiled' cannot run here: the loss ListNet is no kernel",
        ),
        (
            lambda X, y, g: lo.fit_many(X, y, lo.ListNet(), {"optimizer": [lo.SGD()]}),
            TypeError,
            "loss: ListNet looks at whole queries, which have no place beside many models",
        ),
        (
            lambda X, y, g: lo.Trainer(lo.Linear(2), lo.ListNet(), lo.SGD(), drop_last=True).fit(X, y, group=g),
            ValueError,
            "batch_size=32 is more than 1 queries",
        ),
    ],
)
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call(np.ones((2, 2)), np.ones(2), np.zeros(2, int))
