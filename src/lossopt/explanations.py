"""Explanations: the exact objective, and what gives the same minimum elsewhere."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lossopt.losses import (
    MAE,
    MSE,
    BinaryCrossEntropy,
    CrossEntropy,
    EpsilonInsensitive,
    Focal,
    Gamma,
    Hinge,
    Huber,
    LogCosh,
    Loss,
    ModifiedHuber,
    MulticlassHinge,
    Poisson,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredHinge,
    Tweedie,
)
from lossopt.optimizers import Optimizer
from lossopt.penalties import L1, L2, ElasticNet, Penalty
from lossopt.schedules import Schedule

if TYPE_CHECKING:
    from lossopt.objective import Objective
    from lossopt.trainer import Trainer

Arguments = dict[str, Any]


@final
@dataclass(repr=False)
class Explanation:
    """What `explain` found; printed, it is a text.

    Parameters
    ----------
    objective : str
        The formula that is minimized, or of the update.
    equivalents : dict of dicts
        By library and name there, the arguments that give the same minimum.
    notes : list of str
        What else differs.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.explain(lo.Huber(delta=2.0))
    1/n * sum over n rows of [d**2 / 2 if |d| <= 2 else 2 * (|d| - 1), d = z - y]
    <BLANKLINE>
    The same elsewhere:
      torch HuberLoss  delta=2
      Keras Huber      delta=2
    """

    objective: str
    equivalents: dict[str, Arguments] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = self.objective
        if self.equivalents:
            width = max(map(len, self.equivalents))
            text += "\n\nThe same elsewhere:"
            for name, arguments in self.equivalents.items():
                shown = ", ".join(f"{k}={_short(v)}" for k, v in arguments.items())
                text += f"\n  {name.ljust(width)}  {shown}".rstrip()
        return text + "".join(f"\n\n{note}" for note in self.notes)

    __repr__ = __str__


def _short(x: Any) -> str:
    return f"{x:.12g}" if isinstance(x, float) else repr(x)


def explain(thing: Objective | Trainer | Loss | Penalty | Optimizer) -> Explanation:
    """The exact objective of something, with its halves and its means, and what gives the same minimum elsewhere.

    Parameters
    ----------
    thing : Objective, Trainer, Loss, Penalty or Optimizer
        Of an optimizer the update is explained, and where other libraries differ.

    Returns
    -------
    Explanation
        Prints itself; `equivalents` holds the same as numbers.

    Raises
    ------
    TypeError
        There is no objective in it.

    Notes
    -----
    With l1 and l2 the coefficients of ``sum |W|`` and ``sum W**2``, n the rows (or the sum of their weights),
    ``a = l1 + 2 l2`` and ``r = l1 / a``: scikit-learn's ``C`` is ``1 / (n a)``, its ``alpha`` and glmnet's ``lambda``
    are a, or half of it where their squares have a half, and the mixing ratio is r.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> objective = lo.Objective(np.ones((4, 2)), [0, 1, 1, 0], lo.BinaryCrossEntropy(), lo.ElasticNet(0.1, 0.5))
    >>> told = lo.explain(objective)
    >>> print(told.objective)
    J(W, b) = 1/4 * sum over 4 rows of [-(y log s(z) + (1 - y) log s(-z)), s(z) = 1 / (1 + exp(-z))]
              + 0.05 * sum |W| + 0.05 * sum W**2
    with z = X W.T + b; b is not penalized
    >>> round(told.equivalents["scikit-learn LogisticRegression"]["C"], 6)
    1.666667
    """
    if isinstance(thing, Loss):
        return Explanation(_of_loss(thing, *_symbols(thing), 1), _named(thing))
    if isinstance(thing, Penalty):
        return Explanation(thing._formula())
    if isinstance(thing, Optimizer):
        return _of_optimizer(thing)
    loss, penalty = getattr(thing, "loss", None), getattr(thing, "penalty", None)
    if not isinstance(loss, Loss):
        raise TypeError(f"explain takes an Objective, a Trainer, a loss, a penalty or an optimizer, got {thing!r:.60}")
    optimizer = getattr(thing, "optimizer", None)
    if optimizer is not None:
        return _of_trainer(loss, penalty, optimizer)
    return _of_objective(thing, loss, penalty)


def _of_loss(loss: Loss, mass: str, rows: str, k: int, weighted: bool = False) -> str:
    """The data term."""
    term = f"[{loss._formula()}]"
    if weighted:
        term = f"weight * {term}"
    mean = f"1/{mass} * " if loss.reduction == "mean" else ""
    return f"{mean}sum over {rows}{f' and {k} outputs' if k > 1 else ''} of {term}"


def _symbols(loss: Loss) -> tuple[str, str]:
    """What the mean divides by, and what is summed over, where the data is not known."""
    if loss._by_query:
        return "n", "n queries"
    return "n" if getattr(loss, "class_weight", None) is None else "(sum of c[y])", "n rows"


def _of_objective(objective: Any, loss: Loss, penalty: Penalty | None) -> Explanation:
    n, mass, k = len(objective.y), objective._mass, objective.n_outputs
    terms = loss._terms(loss._shape(n, k))
    weighted = objective.sample_weight is not None
    lots = loss._rows(objective._y)
    what = f"{n} rows" if lots is None else f"{len(lots[1]) - 1} queries"
    data = _of_loss(loss, f"{mass:.12g}", what, k if terms > 1 else 1, weighted)
    bias = " + b" if objective.fit_intercept else ""
    text = f"J(W{', b' if bias else ''}) = {data}"
    if penalty is not None:
        text += f"\n          + {penalty._formula()}" if penalty._formula() else ""
    text += f"\nwith z = X W.T{bias}" + ("; b is not penalized" if bias and penalty is not None else "")
    coefficients = _coefficients(penalty)
    if coefficients is None:
        return Explanation(text, notes=["No other library is known to have this penalty."])
    # as a mean over the rows
    rows = mass / terms
    l1, l2 = (x if loss.reduction == "mean" else x / rows if rows else x for x in coefficients)
    found = _with_penalty(loss, l1, l2, rows)
    if _plain(loss):
        without = {} if objective.fit_intercept else {"fit_intercept": False}
        models = _models(loss, l1, l2, rows, k)
        found |= {name: x | without if name.startswith("scikit") else x for name, x in models.items()}
    return Explanation(text, found, [_NOTE] if found else [])


_NOTE = (
    "torch and Keras: a penalty on weights alone needs a parameter group, or a regularizer of the kernel. The numbers\n"
    "for Keras, glmnet and VW follow from their formulas, and have not been run."
)


def _of_trainer(loss: Loss, penalty: Penalty | None, optimizer: Optimizer) -> Explanation:
    text = f"J(params) = {_of_loss(loss, *_symbols(loss), 1)}"
    if penalty is not None:
        text += f"\n            + {penalty._formula()}, biases left out"
    told = _of_optimizer(optimizer)
    coefficients = _coefficients(penalty)
    found = _named(loss)
    if coefficients is not None and coefficients[1] and not coefficients[0]:
        found["torch.optim"] = {"weight_decay": 2 * coefficients[1], "params": "all but biases"}
    return Explanation(f"{text}\n\n{told.objective}", found, told.notes)


def _of_optimizer(optimizer: Optimizer) -> Explanation:
    """The formula and the notes of its documentation, with its numbers."""
    paragraphs = (inspect.getdoc(type(optimizer)) or "").split("\n\nParameters\n")
    formula = paragraphs[0].split("\n\n", 1)[-1].replace("``", "")
    _, _, rest = paragraphs[-1].partition("\nNotes\n-----\n")
    notes = rest.partition("\n\nExamples\n")[0].replace("``", "")
    eps = inspect.cleandoc(
        rest and paragraphs[-1].partition("\neps : ")[2].partition("\n")[2].partition("\nweight_")[0]
    )
    where = [f"eps: {' '.join(eps.replace('``', '').split())}"] if eps else []
    return Explanation(f"{optimizer!r}\n{formula}", notes=[*where, notes])


def _coefficients(penalty: Penalty | None) -> tuple[float, float] | None:
    """l1 and l2 of a penalty that other libraries have."""
    if penalty is None:
        return 0.0, 0.0
    if not isinstance(penalty, (L1, L2, ElasticNet)) or penalty.factors is not None:
        return None
    return None if isinstance(penalty.strength, Schedule) else penalty._coefficients()


def _plain(loss: Loss) -> bool:
    """Without what multiplies some terms, or changes targets."""
    given = [getattr(loss, name, None) for name in ("pos_weight", "class_weight", "ignore_index")]
    return (
        all(x is None for x in given) and not getattr(loss, "label_smoothing", 0) and getattr(loss, "from_logits", True)
    )


def _named(loss: Loss) -> dict[str, Arguments]:
    """The same loss in other libraries, but for penalties."""
    total = {} if loss.reduction == "mean" else {"reduction": "sum"}
    match loss:
        case MSE():
            return {"torch MSELoss": total, "Keras MeanSquaredError": total, "scikit-learn mean_squared_error": {}}
        case MAE():
            return {"torch L1Loss": total, "Keras MeanAbsoluteError": total, "scikit-learn mean_absolute_error": {}}
        case Huber():
            return {"torch HuberLoss": {"delta": loss.delta, **total}, "Keras Huber": {"delta": loss.delta, **total}}
        case LogCosh():
            return {"Keras LogCosh": total, "optax log_cosh": {}}
        case Quantile():
            return {"scikit-learn mean_pinball_loss": {"alpha": loss.q}}
        case BinaryCrossEntropy() if loss.from_logits and not loss.label_smoothing:
            weight = {} if loss.pos_weight is None else {"pos_weight": loss.pos_weight}
            found = {"torch BCEWithLogitsLoss": weight | total}
            return found if weight else found | {"Keras BinaryCrossentropy": {"from_logits": True, **total}}
        case BinaryCrossEntropy() if loss.from_logits and loss.pos_weight is None:
            smooth = {"from_logits": True, "label_smoothing": loss.label_smoothing}
            return {"Keras BinaryCrossentropy": smooth | total}
        case CrossEntropy():
            more: Arguments = {} if loss.class_weight is None else {"weight": loss.class_weight}
            more |= {"label_smoothing": loss.label_smoothing} if loss.label_smoothing else {}
            more |= {} if loss.ignore_index is None else {"ignore_index": loss.ignore_index}
            found = {"torch CrossEntropyLoss": more | total}
            return found if more else found | {"Keras SparseCategoricalCrossentropy": {"from_logits": True, **total}}
        case Focal() if loss.alpha is None:
            name = "torchvision sigmoid_focal_loss"
            return {name: {"alpha": -1, "gamma": loss.gamma, "reduction": loss.reduction}}
        case SquaredHinge():
            return {"Keras SquaredHinge": total}
        case Hinge():
            return {"Keras Hinge": total, "scikit-learn hinge_loss": {}}
        case MulticlassHinge():
            return {"Keras CategoricalHinge": total, "scikit-learn hinge_loss": {}}
        case Poisson():
            return {"torch PoissonNLLLoss": total}
        case _:
            return {}


def _with_penalty(loss: Loss, l1: float, l2: float, n: float) -> dict[str, Arguments]:
    """The same loss in other libraries, and what makes its penalty there; l1 and l2 as for `_models`."""
    found = _named(loss)
    scale = 1.0 if loss.reduction == "mean" else n
    for name, arguments in found.items():
        if name.startswith("torch ") and not l1 and l2:
            arguments = arguments | {"weight_decay": 2 * l2 * scale}
        if name.startswith("Keras") and l1 + l2:
            arguments = arguments | {"kernel_regularizer": f"L1L2(l1={l1 * scale:.12g}, l2={l2 * scale:.12g})"}
        found[name] = arguments
    return found


def _models(loss: Loss, l1: float, l2: float, n: float, k: int) -> dict[str, Arguments]:
    """Models of other libraries that have the same minimum, for a mean of losses over rows that weigh n together."""
    a = l1 + 2 * l2
    r = l1 / a if a else 0.0
    found: dict[str, Arguments] = {}
    mixed = {"penalty": "elasticnet", "l1_ratio": r} if a else {"penalty": None}
    vw = {"l1": l1, "l2": 2 * l2}
    match loss:
        case MSE():
            if not l1:
                found["scikit-learn Ridge"] = {"alpha": n * k * l2}
            else:
                found["scikit-learn ElasticNet"] = {"alpha": k * a / 2, "l1_ratio": r}
            if k == 1:
                found["scikit-learn SGDRegressor"] = {"alpha": a / 2, **mixed}
                found["glmnet gaussian"] = {"lambda": a / 2, "alpha": r, "standardize": False}
                found["VW squared"] = vw
        case BinaryCrossEntropy() | CrossEntropy() if not (k > 1 and isinstance(loss, BinaryCrossEntropy)):
            family = "binomial" if isinstance(loss, BinaryCrossEntropy) else "multinomial"
            found["scikit-learn LogisticRegression"] = {"C": 1 / (n * a) if n * a else np.inf, "l1_ratio": r}
            if l1:
                found["scikit-learn LogisticRegression"]["solver"] = "saga"
            found[f"glmnet {family}"] = {"lambda": a, "alpha": r, "standardize": False}
            if family == "binomial":
                found["scikit-learn SGDClassifier"] = {"loss": "log_loss", "alpha": a, **mixed}
                found["VW logistic"] = vw
        case Hinge() | SquaredHinge() | ModifiedHuber() if k == 1 and getattr(loss, "margin", 1) == 1:
            name = {Hinge: "hinge", SquaredHinge: "squared_hinge", ModifiedHuber: "modified_huber"}[type(loss)]
            found["scikit-learn SGDClassifier"] = {"loss": name, "alpha": a, **mixed}
        case Huber() if k == 1:
            found["scikit-learn SGDRegressor"] = {"loss": "huber", "epsilon": loss.delta, "alpha": a, **mixed}
        case EpsilonInsensitive() | SquaredEpsilonInsensitive() if k == 1:
            name = ("" if isinstance(loss, EpsilonInsensitive) else "squared_") + "epsilon_insensitive"
            found["scikit-learn SGDRegressor"] = {"loss": name, "epsilon": loss.epsilon, "alpha": a, **mixed}
        case Quantile() if k == 1 and not l2:
            found["scikit-learn QuantileRegressor"] = {"quantile": loss.q, "alpha": l1}
        case Poisson() if k == 1 and not l1:
            found["scikit-learn PoissonRegressor"] = {"alpha": 2 * l2}
        case Gamma() if k == 1 and not l1:
            found["scikit-learn GammaRegressor"] = {"alpha": 2 * l2}
        case Tweedie() if k == 1 and not l1:
            found["scikit-learn TweedieRegressor"] = {"power": loss.power, "link": "log", "alpha": 2 * l2}
    return found
