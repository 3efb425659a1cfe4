"""What lossopt says of an objective holds: models of other libraries, made as it says, come to its minimum."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn import linear_model

import lossopt as lo

from . import cases

N, D = 60, 4
PENALTIES = {
    "none": None,
    "l2": lo.L2(0.05),
    "l1": lo.L1(0.02),
    "elastic net": lo.ElasticNet(0.06, 0.4),
}
TARGETS = {
    "real": lambda rng, z: z + 0.3 * rng.standard_normal(len(z)),
    "binary": lambda rng, z: (z + rng.standard_normal(len(z)) > 0).astype(float),
    "counts": lambda rng, z: rng.poisson(np.exp(0.3 * z)).astype(float),
    "positive": lambda rng, z: rng.gamma(2.0, np.exp(0.3 * z) / 2),
    "labels": lambda rng, z: np.digitize(z + rng.standard_normal(len(z)), [-0.7, 0.7]),
}
LOSSES = [
    (lo.MSE(), "real"),
    (lo.MSE("sum"), "real"),
    (lo.BinaryCrossEntropy(), "binary"),
    (lo.BinaryCrossEntropy(reduction="sum"), "binary"),
    (lo.CrossEntropy(), "labels"),
    (lo.Poisson(), "counts"),
    (lo.Gamma(), "positive"),
    (lo.Tweedie(1.5), "counts"),
    (lo.Tweedie(3), "positive"),
    (lo.Quantile(0.7), "real"),
]


def data(kind):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((N, D))
    y = TARGETS[kind](rng, X @ [1.0, -1.5, 0.1, 0.7] + 0.2)
    return X, y


def fitted(name, arguments, X, y, weight):
    """Weights and bias of a scikit-learn model, laid out as an objective's."""
    cls = getattr(linear_model, name)
    exact = {"tol": 1e-12, "max_iter": 100_000}
    if cls is linear_model.QuantileRegressor:
        exact = {}
    if cls is linear_model.Ridge:
        exact = {"solver": "cholesky"}
    if cls is linear_model.LogisticRegression and arguments["l1_ratio"] == 0:
        exact |= {"solver": "newton-cg"}
    model = cls(**arguments, **exact).fit(X, y, weight)
    return np.concatenate([np.ravel(model.coef_), np.atleast_1d(model.intercept_)])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize(("loss", "kind"), LOSSES, ids=[repr(loss) for loss, _ in LOSSES])
def test_scikit_learns_models_come_to_the_same_minimum(loss, kind, penalty, weighted):
    X, y = data(kind)
    weight = np.random.default_rng(0).integers(0, 4, N).astype(float) if weighted else None
    objective = lo.Objective(X, y, loss, penalty, weight)
    models = {
        name.removeprefix("scikit-learn "): arguments
        for name, arguments in lo.explain(objective).equivalents.items()
        if name.startswith("scikit-learn ") and hasattr(linear_model, name.split()[1]) and "SGD" not in name
    }
    if loss.reduction == "mean" and kind != "real" and not getattr(penalty, "l1_ratio", isinstance(penalty, lo.L1)):
        assert models or penalty is None
    for name, arguments in models.items():
        w = fitted(name, arguments, X, y, weight)
        if isinstance(loss, lo.Quantile):
            # a kink has no gradient: nothing near is better
            near = w + 1e-3 * np.random.default_rng(0).standard_normal((50, len(w)))
            assert objective(w) <= min(objective(x) for x in near) + 1e-9
        else:
            scale = 1 if loss.reduction == "mean" else N
            assert np.abs(objective.value_and_grad(w)[1]).max() < 2e-6 * scale, (name, arguments)


SGD = [
    (lo.MSE(), "real", "squared_error"),
    (lo.BinaryCrossEntropy(), "binary", "log_loss"),
    (lo.Hinge(), "binary", "hinge"),
    (lo.SquaredHinge(), "binary", "squared_hinge"),
    (lo.ModifiedHuber(), "binary", "modified_huber"),
    (lo.Huber(0.5), "real", "huber"),
    (lo.EpsilonInsensitive(0.2), "real", "epsilon_insensitive"),
    (lo.SquaredEpsilonInsensitive(0.2), "real", "squared_epsilon_insensitive"),
]


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize(("loss", "kind", "name"), SGD, ids=[name for _, _, name in SGD])
def test_scikit_learns_sgd_comes_near(loss, kind, name, penalty):
    X, y = data(kind)
    objective = lo.Objective(X, y, loss, penalty)
    cls, arguments = next(
        (name.split()[1], arguments)
        for name, arguments in lo.explain(objective).equivalents.items()
        if "scikit-learn SGD" in name
    )
    assert arguments.get("loss", "squared_error") == name
    more = {
        "learning_rate": "invscaling",
        "eta0": 0.05,
        "power_t": 0.4,
        "tol": None,
        "max_iter": 3000,
        "random_state": 0,
    }
    model = getattr(linear_model, cls)(**{"alpha": 0.0, **arguments, **more}).fit(X, y)
    ours = lo.Linear(D)
    lo.Trainer(ours, loss, lo.Adam(lo.CosineAnnealing(0.05, 8000)), penalty, batch_size=None).fit(X, y, epochs=8000)
    best = objective(np.concatenate([ours.params["weight"][0], ours.params["bias"]]))
    assert objective(np.concatenate([model.coef_.ravel(), model.intercept_])) == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_torchs_losses_with_their_decay_have_the_same_gradient(reduction):
    torch = pytest.importorskip("torch")
    for loss, kind in ((lo.MSE, "real"), (lo.BinaryCrossEntropy, "binary"), (lo.CrossEntropy, "labels"),
                       (lo.MAE, "real"), (lo.Huber, "real"), (lo.Poisson, "counts")):  # fmt: skip
        X, y = data(kind)
        objective = lo.Objective(X, y, loss(reduction=reduction), lo.L2(0.05))
        name, arguments = next(
            (name.split()[1], dict(arguments))
            for name, arguments in lo.explain(objective).equivalents.items()
            if name.startswith("torch ")
        )
        decay = arguments.pop("weight_decay")
        w = torch.tensor(np.random.default_rng(1).standard_normal(objective.size), requires_grad=True)
        k = objective.n_outputs
        weight, bias = w[: k * D].reshape(k, D), w[k * D :]
        z = torch.tensor(X) @ weight.T + bias
        target = torch.tensor(y)
        getattr(torch.nn, name)(**arguments)(z if k > 1 else z[:, 0], target).backward()
        gradient = w.grad.numpy().copy()
        gradient[: k * D] += decay * w.detach().numpy()[: k * D]
        np.testing.assert_allclose(objective.value_and_grad(w.detach().numpy())[1], gradient, 1e-11, 1e-12)


def test_losses_of_torch_that_have_options():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((20, 3)), rng.integers(0, 3, 20)
    cases_ = [
        (lo.CrossEntropy([1.0, 2.0, 5.0], 0.1), z, y),
        (lo.CrossEntropy(ignore_index=1, reduction="sum"), z, y),
        (lo.BinaryCrossEntropy(pos_weight=3.0), z[:, 0], (y > 0).astype(float)),
        (lo.Huber(0.3), z[:, 0], z[:, 1]),
    ]
    for loss, prediction, target in cases_:
        found = lo.explain(loss).equivalents
        name, arguments = next((name.split()[1], x) for name, x in found.items() if name.startswith("torch "))
        made = {k: torch.tensor(v) if k in ("weight", "pos_weight") else v for k, v in arguments.items()}
        if "weight" in made:
            made["weight"] = made["weight"].double()
        value = getattr(torch.nn, name)(**made)(torch.tensor(prediction), torch.tensor(target))
        assert loss(prediction, target) == pytest.approx(value.item(), rel=1e-12)


def test_glmnets_and_vws_objectives_are_multiples_of_ours():
    """By their published formulas, up to a constant; neither is at hand to be run."""
    w = np.random.default_rng(2).standard_normal((8, D + 1))
    for loss, kind, family in ((lo.MSE(), "real", "gaussian"), (lo.BinaryCrossEntropy(), "binary", "binomial")):
        X, y = data(kind)
        objective = lo.Objective(X, y, loss, lo.ElasticNet(0.3, 0.4))
        found = lo.explain(objective).equivalents
        theirs = found[f"glmnet {family}"]
        vw = found["VW squared" if family == "gaussian" else "VW logistic"]
        for v in w:
            data_term = objective.data_value_and_grad(v)[0]
            size, square = np.abs(v[:D]).sum(), (v[:D] ** 2).sum()
            half = 0.5 if family == "gaussian" else 1.0
            mixed = theirs["alpha"] * size + (1 - theirs["alpha"]) / 2 * square
            assert half * data_term + theirs["lambda"] * mixed == pytest.approx(half * objective(v), rel=1e-12)
            assert data_term + vw["l1"] * size + vw["l2"] / 2 * square == pytest.approx(objective(v), rel=1e-12)


# ---- what it says


ROWS = [pytest.param(cls, row, id=label) for t in ("losses", "rankings") for label, cls, row in cases.walk(t)]


@pytest.mark.parametrize(("cls", "row"), ROWS)
def test_every_loss_has_a_formula_and_names_itself(cls, row):
    mean, total = (lo.explain(row.make(cls, reduction=reduction)) for reduction in ("mean", "sum"))
    assert mean.objective.startswith("1/")
    assert mean.objective.split(" * ", 1)[1] == total.objective
    assert "[" in total.objective
    assert str(mean).startswith(mean.objective)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lo.MSE("sum"), "sum over n rows of [(z - y)**2]"),
        (lo.Quantile(0.9), "[0.9 * max(0, y - z) + 0.1 * max(0, z - y)]"),
        (lo.Tweedie(3), "[exp(-1 z) / -1 + y exp(-2 z) / 2]"),
        (lo.CrossEntropy([1, 2]), "1/(sum of c[y]) * sum over n rows of [-c[y] log softmax(z)[y], c = [1.0, 2.0]]"),
        (lo.CrossEntropy(label_smoothing=0.1), "[-(0.9 log p[y] + 0.1 mean of log p), p = softmax(z)]"),
        (lo.Focal(1.5, 0.25), "[-a (1 - p)**1.5 log p, p the probability of the row's own class, a = 0.25]"),
        (lo.CostSensitive(false_negative=5, false_positive=1), "-(5 y log s(z) + 1 (1 - y) log s(-z))"),
        (lo.BinaryCrossEntropy(False, 3.0, 0.1), "-(3 y log z + (1 - y) log(1 - z)), y = 0.9 target + 0.05"),
        (lo.CustomLoss(np.hypot), "[hypot(z, y)]"),
        (lo.LambdaRank(5), "1/n * sum over n queries of [|N_ij| log(1 + exp(z_j - z_i))"),
        (lo.L1(0.1, [1, 2]), "0.1 * sum factor |W|"),
        (
            lo.ElasticNet(lo.Constant(2.0), 0.25),
            "0.25 * Constant(lr=2.0)(t) * sum |W| + 0.75 * Constant(lr=2.0)(t) * sum",
        ),
        (lo.GroupL2(0.5, [0, 0, 1]), "0.5 * sum over groups of |W_g|"),
        (lo.Box(-1, 2), "(0 where -1 <= W <= 2, else inf)"),
        (lo.RMSprop(lr=0.1), "RMSprop(lr=0.1)\nv = alpha v + (1 - alpha) g**2, then w = w - lr * g / (sqrt(v) + eps)"),
    ],
    ids=lambda x: "",
)
def test_formulas(loss, text):
    assert text in lo.explain(loss).objective


@pytest.mark.parametrize("cls", lo.OPTIMIZERS.values())
def test_every_optimizer_says_where_it_differs(cls):
    told = lo.explain(cls())
    assert told.objective.startswith(f"{cls.__name__}()\n")
    assert "w = " in told.objective or "w = " in str(told) or "Adam" in told.objective
    assert "Source: " in str(told)
    assert "``" not in str(told)
    if hasattr(cls(), "eps"):
        assert any(note.startswith("eps: ") for note in told.notes) or cls in (lo.AdamW,)


@pytest.mark.parametrize("loss", [lo.CrossEntropy(class_weight=np.array([1.0, 2.0])), lo.CrossEntropy(ignore_index=1)])
def test_what_multiplies_or_leaves_out_terms_has_no_model(loss):
    X, _ = data("real")
    told = lo.explain(lo.Objective(X, np.arange(len(X)) % 2, loss, lo.L2(0.1), fit_intercept=False))
    assert any(name.startswith("torch") for name in told.equivalents)
    assert not any("Regression" in name for name in told.equivalents)
    assert not any("fit_intercept" in x for x in told.equivalents.values())


def test_objectives_print_themselves():
    X, y = data("real")
    plain = lo.Objective(X, y, lo.MSE(), fit_intercept=False)
    assert str(plain) == "J(W) = 1/60 * sum over 60 rows of [(z - y)**2]\nwith z = X W.T"
    assert repr(plain).startswith("Objective(")
    assert repr(plain).endswith(f"\n{plain}")
    assert lo.explain(plain).equivalents["scikit-learn Ridge"] == {"alpha": 0.0, "fit_intercept": False}
    weight = np.arange(N) % 3
    several = lo.Objective(X, np.c_[y, y], lo.MSE(), lo.L1(0.5), weight)
    expected = (
        "J(W, b) = 1/120 * sum over 60 rows and 2 outputs of weight * [(z - y)**2]\n"
        "          + 0.5 * sum |W|\nwith z = X W.T + b; b is not penalized"
    )
    assert str(several) == expected
    queries = lo.Objective(X, y, lo.ListNet(), group=np.arange(N) // 7)
    assert str(queries).startswith("J(W, b) = 1/9 * sum over 9 queries of [")
    odd = lo.explain(lo.Objective(X, y, lo.MSE(), lo.Box(0, 1)))
    assert odd.equivalents == {}
    assert odd.notes == ["No other library is known to have this penalty."]
    trainer = lo.explain(lo.Trainer(lo.Linear(D), lo.MSE(), lo.SGD(0.1), lo.L2(0.05)))
    assert trainer.equivalents["torch.optim"] == {"weight_decay": 0.1, "params": "all but biases"}
    assert re.match(
        r"J\(params\) = 1/n \* sum .*\n +\+ 0.05 \* sum W\*\*2, biases left out\n\nSGD\(lr=0.1\)\n", str(trainer)
    )


@pytest.mark.parametrize("thing", [3, None, "mse", lo.Constant(0.1), lo.MSE])
def test_other_things_have_no_objective(thing):
    with pytest.raises(
        TypeError, match="explain takes an Objective, a Trainer, a loss, a penalty or an optimizer, got"
    ):
        lo.explain(thing)
