"""Several models in one pass: each as a Trainer of its own would have made it."""

import copy
import itertools
import signal

import numpy as np
import pytest

import lossopt as lo

N, D = 83, 5


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    return X, rng.integers(0, 2, N), rng.integers(0, 3, N), rng.integers(0, 3, N).astype(float)


def alone(X, y, loss, candidate, epochs, k, validation=None, weight=None, **options):
    """What a trainer of one's own makes of a candidate."""
    model = candidate.get("model") or lo.Linear(X.shape[1], k, dtype=X.dtype, seed=options.get("seed", 0))
    trainer = lo.Trainer(
        copy.deepcopy(model),
        loss,
        copy.deepcopy(candidate["optimizer"]),
        penalty=candidate.get("penalty"),
        max_norm=candidate.get("max_norm"),
        **options,
    )
    trainer.fit(X, y, epochs, validation, sample_weight=weight)
    return trainer


def left(trainer):
    """All that a fit leaves but its seconds."""
    curves = {key: trainer.history[key] for key in trainer.history if key != "seconds"}
    steps = {key: curve.tolist() for key, curve in trainer.history.steps.items()}
    params = {name: x.tobytes() for name, x in trainer.model.params.items()}
    return params, repr((curves, steps, trainer.optimizer.state_dict(), trainer.history.stopped, trainer.epochs))


OPTIONS = (
    {"batch_size": 8, "seed": 3, "end_loss": True},
    {"batch_size": 1, "shuffle": False},
    {"batch_size": 10, "accumulate": 3, "drop_last": True},
    {"batch_size": None},
    {"batch_size": 16, "record": "step", "schedule_unit": "epoch"},
)


@pytest.mark.parametrize("engine", ["compiled", "python"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_each_ends_with_the_bits_of_a_trainer_of_its_own(data, k, sparse, dtype, options, engine):
    X, binary, labels, weight = data
    X, y = X.astype(dtype), binary if k == 1 else labels
    if sparse:
        X = pytest.importorskip("scipy.sparse").csr_array(np.where(abs(X) > 1, X, 0))
    loss = lo.BinaryCrossEntropy() if k == 1 else lo.CrossEntropy()
    start = lo.Linear(D, k, dtype=dtype, seed=11)
    optimizers = lo.SGD(lr=0.1), lo.Adam(lr=lo.CosineAnnealing(0.1, 50)), lo.SGD(lr=1e-2, momentum=0.9)
    grid = [
        *({"optimizer": o, "penalty": p} for o, p in itertools.product(optimizers, (None, lo.ElasticNet(1e-2, 0.5)))),
        {"optimizer": lo.SGD(lr=0.1), "model": start, "max_norm": 0.1},
        {"optimizer": lo.Adam(lr=0.1), "sample_weight": weight},
    ]
    fits = lo.fit_many(X, y, loss, grid, 3, (X, y), engine=engine, **options)
    for candidate, trainer in zip(grid, fits.trainers, strict=True):
        own = alone(
            X,
            y,
            loss,
            candidate,
            3,
            k,
            (X, y),
            candidate.get("sample_weight"),
            **({"seed": 0} | options),
            engine=engine,
        )
        assert left(trainer) == left(own)
    assert fits.trainers[0].engine == engine
    assert fits.best == int(np.argmin(fits.val_loss))
    assert fits.val_loss.tolist() == [trainer.history["val_loss"][-1] for trainer in fits.trainers]
    # what was given has not moved
    assert start.params["weight"].tobytes() == lo.Linear(D, k, dtype=dtype, seed=11).params["weight"].tobytes()
    assert all(optimizer.steps == 0 for optimizer in optimizers)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("d", [1, 15, 16, 17, 37, 64])
@pytest.mark.parametrize("batch", [3, 60, 256, 300])
def test_models_of_one_output_are_evaluated_together_with_the_bits_of_their_own(d, batch, dtype):
    """More of them than lanes; rows of weight 0 that hold NaN; beyond 256 rows a batch, one after the other."""
    rng = np.random.default_rng(d)
    n = 310
    X, weight = rng.standard_normal((n, d)).astype(dtype), rng.integers(0, 3, n).astype(float)
    X[weight == 0] = np.nan
    y = rng.standard_normal(n)
    grid = {
        "penalty": [lo.ElasticNet(s, 0.5) for s in np.geomspace(1e-4, 1, 9)],
        "optimizer": [lo.SGD(lr=1e-3), lo.Adam()],
    }
    fits = lo.fit_many(X, y, lo.MSE(), grid, 2, None, weight, batch_size=batch, record="step")
    assert len(fits) == 18
    for candidate, trainer in zip(fits.candidates, fits.trainers, strict=True):
        assert left(trainer) == left(
            alone(X, y, lo.MSE(), candidate, 2, 1, None, weight, batch_size=batch, record="step")
        )


def test_they_can_go_on(data):
    X, y, *_ = data
    grid = {"optimizer": [lo.Adam(lr=0.1)], "penalty": [lo.L2(0.1), lo.L2(1.0)]}
    fits = lo.fit_many(X, y, lo.BinaryCrossEntropy(), grid, 2, sample_weight=np.ones(N))
    for penalty, trainer in zip(grid["penalty"], fits.trainers, strict=True):
        trainer.fit(X, y, 2, sample_weight=np.ones(N))
        own = alone(
            X, y, lo.BinaryCrossEntropy(), {"optimizer": lo.Adam(lr=0.1), "penalty": penalty}, 4, 1, None, np.ones(N)
        )
        assert left(trainer) == left(own)


@pytest.mark.parametrize("engine", ["compiled", "python"])
@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_one_that_diverges_does_not_stop_the_others(data, engine, policy):
    X, *_ = data
    grid = {"optimizer": [lo.SGD(lr=1e-2), lo.SGD(lr=1e3), lo.SGD(lr=1e-3)]}
    fits = lo.fit_many(X, X[:, 0], lo.MSE(), grid, 40, engine=engine, on_nonfinite=policy, batch_size=4)
    own = [lo.Trainer(lo.Linear(D), lo.MSE(), o, batch_size=4, on_nonfinite=policy) for o in grid["optimizer"]]
    for i in (0, 2):
        own[i].fit(X, X[:, 0], 40)
        assert left(fits.trainers[i]) == left(own[i])
        assert fits.failed[i] is None
    if policy == "skip":
        own[1].fit(X, X[:, 0], 40)
        assert own[1].skipped == fits.trainers[1].skipped > 0
        assert left(fits.trainers[1]) == left(own[1])
    else:
        with pytest.raises(FloatingPointError) as error:
            own[1].fit(X, X[:, 0], 40)
        assert fits.failed[1] == str(error.value)
        assert fits.trainers[1].history.stopped == f"FloatingPointError: {error.value}"
        assert np.isnan(fits.train_loss[1])
        assert np.isfinite(fits.trainers[1].model.params["weight"]).all()
        assert own[1].model.params["weight"].tobytes() == fits.trainers[1].model.params["weight"].tobytes()
    assert fits.best == 0


def test_path_is_the_curve_over_strengths(data):
    X, y, *_ = data
    strengths = [1e-3, 1e-2, 1e-1, 1.0]
    fits = lo.path(X, y, lo.BinaryCrossEntropy(), lo.L1, strengths, lo.SGD(lr=0.1), 30, (X, y), batch_size=16)
    assert [c["penalty"].strength for c in fits.candidates] == strengths
    zeros = fits.table["zeros"]
    assert zeros == sorted(zeros)
    assert zeros[0] < zeros[-1] == D
    for penalty, trainer in zip(map(lo.L1, strengths), fits.trainers, strict=True):
        candidate = {"optimizer": lo.SGD(lr=0.1), "penalty": penalty}
        assert left(trainer) == left(alone(X, y, lo.BinaryCrossEntropy(), candidate, 30, 1, (X, y), batch_size=16))
    lines = repr(fits).splitlines()
    assert lines[0].split() == ["penalty", "train_loss", "val_loss", "zeros"]
    assert lines[fits.best + 1].startswith("*")
    assert len(lines) == 5


@pytest.mark.parametrize("engine", ["compiled", "python"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_validation_is_training_without_the_rows_of_a_fold(data, weighted, engine):
    """A fold of weight 0 in the same batches; the judge trains with those weights and looks at the fold's rows."""
    X, y, _, weight = data
    weight = weight if weighted else None
    folds = np.arange(N) % 4
    grid = {"penalty": [lo.L2(1e-3), lo.L2(1.0)], "optimizer": [lo.Adam(lr=0.05)]}
    loss = lo.BinaryCrossEntropy()
    found = lo.cross_validate(X, y, loss, grid, folds, 5, weight, engine=engine, batch_size=8)
    for i, candidate in enumerate({"optimizer": lo.Adam(lr=0.05), "penalty": p} for p in grid["penalty"]):
        for fold in range(4):
            own = (folds != fold) * (1.0 if weight is None else weight)
            trainer = alone(X, y, loss, candidate, 5, 1, None, own, batch_size=8)
            at = folds == fold
            wanted = trainer.evaluate(X[at], y[at], None if weight is None else weight[at])
            assert found.val_loss[i, fold] == wanted
    assert found.mean == pytest.approx(found.val_loss.mean(axis=1), rel=1e-15)
    assert found.error == pytest.approx(np.std(found.val_loss, axis=1, ddof=1) / 2, rel=1e-12)
    assert found.best == int(np.argmin(found.mean))
    assert list(found.table) == ["penalty", "val_loss", "error"]
    assert repr(found).splitlines()[0].split() == ["penalty", "val_loss", "error"]


def test_folds_are_of_equal_size_and_made_from_the_seed(data):
    X, y, *_ = data
    grid = {"optimizer": [lo.SGD(lr=0.1)]}
    made = [lo.cross_validate(X, y, lo.MSE(), grid, 5, seed=seed).folds for seed in (0, 0, 1)]
    assert np.bincount(made[0]).tolist() == [17, 17, 17, 16, 16]
    assert (made[0] == made[1]).all()
    assert (made[0] != made[2]).any()


@pytest.mark.thread_unsafe  # an interrupt is the main thread's
def test_an_interrupt_is_heard(data):
    class Slow(lo.Constant):
        def __call__(self, t):
            signal.raise_signal(signal.SIGINT)
            return super().__call__(t)

    X, y, *_ = data
    with pytest.raises(KeyboardInterrupt):
        lo.fit_many(X, y, lo.MSE(), {"optimizer": [lo.SGD(lr=Slow(0.1))]}, epochs=3)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


SGD = [lo.SGD(lr=0.1)]


@pytest.mark.parametrize(
    ("grid", "options", "error", "message"),
    [
        (5, {}, TypeError, "grid must be a dict of lists, or a list of dicts"),
        ([], {}, ValueError, "grid must hold at least one candidate"),
        ({"optimizer": []}, {}, ValueError, "grid must hold at least one candidate"),
        ({"optimizer": lo.SGD(lr=0.1)}, {}, TypeError, r"grid\['optimizer'\] must be a list of values"),
        ({"lr": [1.0], "optimizer": SGD}, {}, ValueError, "grid has an unknown key 'lr'; there are optimizer, penalty"),
        ({"penalty": [None]}, {}, TypeError, "grid must give each candidate an optimizer"),
        ({"optimizer": SGD, "penalty": [1.0]}, {}, TypeError, "penalty must be an instance of lossopt's Penalty"),
        ({"optimizer": SGD, "model": [1.0]}, {}, TypeError, "grid: model must be lossopt's Linear"),
        (
            {"optimizer": SGD, "model": [lo.Linear(D), lo.Linear(D, 2)]},
            {},
            ValueError,
            "grid: models must have the same",
        ),
        ({"optimizer": SGD, "model": [lo.Linear(D + 1)]}, {}, ValueError, "X must have 6 features"),
        ({"optimizer": SGD, "sample_weight": [[1.0]]}, {}, ValueError, "sample_weight must have shape"),
        ({"optimizer": SGD}, {"epochs": 0}, ValueError, "epochs must be a whole number, 1 or more"),
        ({"optimizer": SGD}, {"batch_size": 0}, ValueError, "batch_size must be a positive whole number"),
        ({"optimizer": SGD}, {"callbacks": 0}, TypeError, "callbacks has no place beside many models"),
        ({"optimizer": SGD}, {"validation": 0}, ValueError, "validation must be"),
    ],
)
def test_what_is_refused(data, grid, options, error, message):
    X, y, *_ = data
    with pytest.raises(error, match=f"^{message}"):
        lo.fit_many(X, y, lo.MSE(), grid, **options)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (1, "folds must be from 2 to the 83 rows of X, got 1"),
        (84, "folds must be from 2 to the 83 rows of X, got 84"),
        (np.zeros(N, int), "folds must be 0, 1, ..., two or more"),
        (np.arange(N) % 2 * 2, "folds must be 0, 1, ..., two or more"),
        (np.arange(N) % 2 - 1, "folds must be 0, 1, ..., two or more"),
        (np.arange(3), "folds must have shape"),
    ],
)
def test_what_folds_are_refused(data, folds, message):
    X, y, *_ = data
    with pytest.raises(ValueError, match=f"^{message}"):
        lo.cross_validate(X, y, lo.MSE(), {"optimizer": SGD}, folds)


def test_x_and_y_must_belong_together(data):
    X, y, *_ = data
    with pytest.raises(ValueError, match=r"^y must have a target for each of the 83 rows of X"):
        lo.fit_many(X, y[:-1], lo.MSE(), {"optimizer": SGD})
    with pytest.raises(TypeError, match=r"^loss must be an instance of lossopt's Loss"):
        lo.fit_many(X, y, 3, {"optimizer": SGD})


@pytest.mark.parametrize("engine", ["compiled", "python"])
@pytest.mark.parametrize(("own", "of_X"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_weights_are_read_as_the_models_are(data, own, of_X, engine):
    """A start of another precision than X: the weights follow the model."""
    X, y, _, weight = data
    candidate = {"optimizer": lo.SGD(lr=0.1), "model": lo.Linear(D, dtype=own)}
    fits = lo.fit_many(X.astype(of_X), y, lo.BinaryCrossEntropy(), [candidate] * 2, 2, None, weight, engine=engine)
    trainer = alone(X.astype(of_X), y, lo.BinaryCrossEntropy(), candidate, 2, 1, None, weight)
    assert left(fits.trainers[1]) == left(trainer)
    folds = np.arange(N) % 3
    found = lo.cross_validate(X.astype(of_X), y, lo.BinaryCrossEntropy(), [candidate], folds, 2, engine=engine)
    trainer = alone(X.astype(of_X), y, lo.BinaryCrossEntropy(), candidate, 2, 1, None, (folds != 1).astype(float))
    assert found.val_loss[0, 1] == trainer.evaluate(X[folds == 1].astype(of_X), y[folds == 1])


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_one_that_failed_stands_where_it_failed(data, engine):
    """The others go on without it, and it goes on from there."""
    X, *_ = data
    y = X[:, 0].copy()
    y[40] = np.nan
    grid = {"optimizer": [lo.SGD(lr=0.1)], "sample_weight": [np.ones(N), (np.arange(N) != 40).astype(float)]}
    fits = lo.fit_many(X, y, lo.MSE(), grid, 2, engine=engine, batch_size=4, shuffle=False)
    assert fits.failed[0].startswith("update 11 was not made: the loss is nan")
    assert fits.best == 1
    trainer = fits.trainers[0]
    trainer.resume(X, np.nan_to_num(y), sample_weight=np.ones(N))
    assert trainer.optimizer.steps == 42
    assert trainer.history["seconds"][-1] > 0


def test_nobody_is_best_where_all_failed(data):
    X, _y, *_ = data
    fits = lo.fit_many(X, np.full(N, np.nan), lo.MSE(), {"optimizer": SGD})
    assert fits.best is None
    assert "*" not in repr(fits)


def test_a_fold_without_weight_says_nothing(data):
    X, y, *_ = data
    folds = np.arange(N) % 3
    grid = {"optimizer": SGD, "sample_weight": [np.ones(N), (folds != 2).astype(float)]}
    found = lo.cross_validate(X, y, lo.MSE(), grid, folds, 2)
    assert np.isnan(found.val_loss).tolist() == [[False] * 3, [False, False, True]]
    assert found.best == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X, y, g: lo.fit_many(X, y, lo.MSE(), g, callbacks=()), TypeError, "callbacks has no place beside many"),
        (lambda X, y, g: lo.fit_many(X, y, lo.MSE(), g, penalty=None), TypeError, "penalty stands in grid"),
        (lambda X, y, g: lo.path(X, y, lo.MSE(), lo.L1(1.0), [1.0], SGD[0]), TypeError, "penalty must be a function"),
        (lambda X, y, g: lo.path(X, y, lo.MSE(), lo.L1, 1.0, SGD[0]), TypeError, "strengths must be a list of numbers"),
        (
            lambda X, y, g: lo.cross_validate(X, y, lo.MSE(), g, seed=-1),
            ValueError,
            "Linear: seed must be a whole number",
        ),
        (lambda X, y, g: lo.cross_validate(X, y, lo.MSE(), g, 2.5), TypeError, "folds must be a whole number, or"),
        (lambda X, y, g: lo.cross_validate(X, y, lo.MSE(), g, None), TypeError, "folds must be a whole number, or"),
        (
            lambda X, y, g: lo.cross_validate(X, y, lo.MSE(), g, np.arange(N) * 10**15),
            ValueError,
            "folds must be 0, 1, ...",
        ),
        (lambda X, y, g: lo.fit_many(X, y, lo.MSE(), g, validation=(X, y[1:])), ValueError, "validation: y must have"),
        (lambda X, y, g: lo.fit_many(X, y, lo.MSE(), {3: SGD, "z": SGD}), ValueError, "grid has an unknown key 3;"),
    ],
)
def test_sentences(data, call, error, message):
    X, y, *_ = data
    with pytest.raises(error, match=f"^{message}"):
        call(X, y, {"optimizer": SGD})
