"""The compiled loop against the Python loop, the readable definition of training: the same bits in everything."""

import _thread
import copy
import pickle
import random
import re
import signal
import sys
import threading
from typing import ClassVar

import numpy as np
import pytest

import lossopt as lo

from . import cases

N, D = 83, 7
LOSSES = [
    pytest.param(cls, row, id=label) for label, cls, row in cases.walk("losses") if row.scores and (row.k or 1) <= 32
]
OPTIMIZERS = [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("optimizers")]
PENALTIES = [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("penalties")]
# each loss and each optimizer, if not each with each
PAIRS = [
    pytest.param(*loss.values, *optimizer.values, id=f"{loss.id} {optimizer.id}")
    for i in range(max(len(LOSSES), len(OPTIMIZERS)))
    for loss, optimizer in [(LOSSES[i % len(LOSSES)], OPTIMIZERS[i % len(OPTIMIZERS)])]
]
SHAPES = {
    "stochastic": {"batch_size": 1},
    "mini": {"batch_size": 32, "max_norm": 0.5},
    "accumulated": {"batch_size": 10, "accumulate": 3},
    "weighted": {"batch_size": 9, "accumulate": 2, "weights": True},
    "in order": {"batch_size": 20, "shuffle": False, "weights": True, "schedule_unit": "epoch"},
    "whole": {"batch_size": None},
    "dropped": {"batch_size": 30, "drop_last": True},
}


def weights(rng):
    return np.r_[np.zeros(40), rng.integers(0, 3, N - 40)]


def ran(engine, data, loss, optimizer, dtype, k, penalty=None, weights=None, epochs=2, n_features=D, **options):
    """Everything that a run leaves behind but its seconds."""
    X, y = data
    trainer = lo.Trainer(
        lo.Linear(n_features, k, dtype=dtype),
        loss,
        copy.deepcopy(optimizer),
        penalty=penalty,
        engine=engine,
        record="step",
        end_loss=True,
        **options,
    )
    history = trainer.fit(X, y, epochs=epochs, sample_weight=weights, validation=(X, y))
    assert trainer.engine == engine
    curves = {key: history[key] for key in history if key != "seconds"}
    curves["steps"] = {key: curve.tolist() for key, curve in history.steps.items()}
    state = trainer.optimizer.state_dict()
    params = {name: x.tobytes() for name, x in trainer.model.params.items()}
    return params, repr(curves), repr(state), trainer.optimizer.grad_norm, trainer.skipped


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("loss_cls", "loss_row", "optimizer_cls", "optimizer_row"), PAIRS)
def test_both_engines_give_the_same_bits(loss_cls, loss_row, optimizer_cls, optimizer_row, dtype, shape):
    rng, options = np.random.default_rng(3), dict(SHAPES[shape])
    if options.pop("weights", False):
        options["weights"] = weights(rng)
    X, (_, y) = rng.standard_normal((N, D)), loss_row.data(rng, N, dtype)
    # small steps: at batch size 1 the rows' own are far too large
    optimizer = optimizer_row.make(optimizer_cls, lr=lo.Warmup(lo.CosineAnnealing(1e-3, 20), 4))
    for penalty in (None, lo.ElasticNet(0.5, 0.25)) if optimizer_row.sparse else (None, lo.L2(0.3)):
        arguments = (X, y), loss_row.make(loss_cls), optimizer, dtype, loss_row.k or 1, penalty
        assert ran("compiled", *arguments, **options) == ran("python", *arguments, **options)


GROUPED = lo.Adam(1e-2, groups={"bias": {"lr": lo.InverseSqrt(0.1, 5), "betas": (0.8, 0.9)}})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimizer", [lo.SGD(1e-2), lo.SGD(1e-2, momentum=0.9), lo.Adam(1e-2), GROUPED], ids=repr)
@pytest.mark.parametrize(("cls", "row"), PENALTIES)
def test_both_engines_give_the_same_bits_under_every_penalty(cls, row, optimizer, dtype, shape):
    rng, options = np.random.default_rng(3), dict(SHAPES[shape])
    if options.pop("weights", False):
        options["weights"] = weights(rng)
    data = rng.standard_normal((N, D)), rng.integers(0, 3, N)
    penalties = [row.make(cls, d=D)]
    if "strength" in row.kwargs:
        penalties.append(row.make(cls, d=D, strength=lo.Warmup(lo.ExponentialDecay(0.3, 0.05), 4)))
    for penalty in penalties:
        arguments = data, lo.CrossEntropy(), optimizer, dtype, 3, penalty
        assert ran("compiled", *arguments, **options) == ran("python", *arguments, **options)


def sparse(rng, n, d, each, canonical=True):
    """Rows of `each` numbers in scipy's CSR; else also rows without any, columns out of order and twice."""
    from scipy.sparse import csr_array

    columns = np.stack([rng.permutation(d)[:each] for _ in range(n)])
    if canonical:
        columns.sort(axis=1)
    else:
        columns[::3, 0] = columns[::3, -1]
    counts = np.full(n, each)
    if not canonical:
        counts[rng.integers(0, n, n // 4)] = 0
    taken = (np.arange(each) < counts[:, None]).ravel()
    ends = np.concatenate([[0], np.cumsum(counts)])
    return csr_array((rng.standard_normal(n * each)[taken], columns.ravel()[taken], ends), shape=(n, d))


KINDS = [(lo.BinaryCrossEntropy(), 1), (lo.CrossEntropy(), 3)]


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("loss", "k", "d", "each"),
    [
        *((loss, k, d, each) for loss, k in KINDS for d, each in ((6, 3), (700, 4), (9001, 3))),
        (lo.CrossEntropy(), 40, 6, 3),
        (lo.CrossEntropy(), 40, 700, 4),
    ],
)
def test_both_engines_give_the_same_on_csr(loss, k, d, each, dtype, index, canonical):
    """The same bits, also where only the columns that a batch touches are looked at (wide data, plain SGD); there decay
    and penalty catch up many updates at once, which rounds otherwise."""
    pytest.importorskip("scipy")
    rng = np.random.default_rng(5)
    X = sparse(rng, N, d, each, canonical)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    y = rng.integers(0, max(k, 2), N)
    rate = lo.CosineAnnealing(0.1, 200)
    for optimizer in (
        lo.SGD(rate, groups={"bias": {"lr": 0.01}}),
        lo.SGD(0.1, weight_decay=0.1),
        lo.Adam(0.01),
        lo.Adagrad(rate),
        lo.FTRL(rate, l1=1e-3),
    ):
        for penalty in (None, lo.ElasticNet(1e-3, 0.5)):
            for options in (
                {"batch_size": 1},
                {"batch_size": 1, "shuffle": False},
                {"batch_size": 16, "max_norm": 0.3},
                {"batch_size": 7, "weights": weights(rng), "drop_last": True},
                {"batch_size": 5, "accumulate": 3},
                {"batch_size": None},
            ):
                arguments = (X, y), loss, optimizer, dtype, k, penalty
                one, two = (ran(engine, *arguments, **options, n_features=d) for engine in ("compiled", "python"))
                lazy = "accumulate" not in options and isinstance(optimizer, (lo.SGD, lo.Adagrad))
                if lazy and (penalty is not None or optimizer.weight_decay):
                    assert_near(one, two, dtype)
                else:
                    assert one == two


def assert_near(one, two, dtype):
    """Runs that differ by nothing but rounding."""
    for name in one[0]:
        w, v = (np.frombuffer(x[0][name], dtype) for x in (one, two))
        np.testing.assert_allclose(w, v, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-5)
        if dtype == np.float64:
            np.testing.assert_array_equal(w == 0, v == 0)
    for a, b in zip(*(re.findall(r"-?\d+\.\d+(?:e-?\d+)?", x[1]) for x in (one, two)), strict=True):
        # of weights that are 0, which are counted, one may get there an update earlier
        tolerance = np.inf if a.endswith(".0") and dtype == np.float32 else 60.0 if a.endswith(".0") else 1e-9
        assert float(a) == pytest.approx(float(b), rel=1e-9 if dtype == np.float64 else 0.05, abs=tolerance)
    assert one[4] == two[4]


LAZY = {
    "l1": (lo.SGD(0.05), lo.L1(1e-3)),
    "l2": (lo.SGD(0.05), lo.L2(0.3)),
    "both": (lo.SGD(0.05, weight_decay=0.1), lo.ElasticNet(0.01, 0.5)),
    "scheduled": (
        lo.SGD(lo.CosineAnnealing(0.1, 900), weight_decay=lo.LinearDecay(0.3, 0.1, 800)),
        lo.L1(lo.Warmup(0.01, 500)),
    ),
    # what is kept of a weight falls below any number that could be divided by, or to nothing at all
    "strong": (lo.SGD(0.05), lo.L2(9.99)),
    "adagrad": (lo.Adagrad(lo.CosineAnnealing(0.1, 900)), lo.L1(1e-3)),
    "ftrl": (lo.FTRL(lo.CosineAnnealing(0.1, 900), l1=1e-2, l2=1e-3), None),
    "all of it": (lo.SGD(0.05), lo.L2(10.0)),
    "turned": (lo.SGD(0.05), lo.L2(12.0)),
}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("optimizer", "penalty"), LAZY.values(), ids=LAZY)
def test_wide_rows_catch_up_with_decay_and_penalty(optimizer, penalty, dtype, k, monkeypatch):
    """As the update of every weight would have it, and with the same bits however the epoch is cut into stretches."""
    pytest.importorskip("scipy")
    rng = np.random.default_rng(7)
    X = sparse(rng, 700, 900, 5)
    y = rng.integers(0, max(k, 2), 700)
    # one batch that is not sparse at all
    X = type(X)(np.where((np.arange(700) == 333)[:, None], rng.standard_normal((700, 900)), X.toarray()))
    loss = lo.BinaryCrossEntropy() if k == 1 else lo.CrossEntropy()
    arguments = (X, y), loss, optimizer, dtype, k, penalty
    for options in ({"batch_size": 1}, {"batch_size": 2, "shuffle": False}):
        one, two = (ran(engine, *arguments, **options, n_features=900) for engine in ("compiled", "python"))
        assert_near(one, two, dtype)
        dense = ran("python", (X.toarray(), y), *arguments[1:], **options, n_features=900)
        assert_near(one, dense, dtype)
        for pace in (1, 300, 10**6):
            monkeypatch.setattr("lossopt.trainer._AWAY", 0.0 if pace < 9 else 1.0)
            trainer = lo.Trainer(
                lo.Linear(900, k, dtype=dtype), loss, copy.deepcopy(optimizer), penalty=penalty, **options
            )
            for _ in range(2):
                trainer._pace = pace
                trainer.fit(X, y)
            assert {name: x.tobytes() for name, x in trainer.model.params.items()} == one[0]


class Bell(lo.Schedule):
    """A rate of 0.05, and one interrupt when it is asked for an update behind `at`."""

    def __init__(self, at):
        self.at = at

    def _values(self, t):
        if t.max() > self.at:
            self.at = np.inf
            signal.raise_signal(signal.SIGINT)
        return 0.05 + 0 * t


@pytest.mark.thread_unsafe  # an interrupt is the main thread's
def test_an_interrupted_run_on_wide_rows_ends_with_the_bits_of_a_whole_one(monkeypatch):
    pytest.importorskip("scipy")
    monkeypatch.setattr("lossopt.trainer._AWAY", 0.0)
    rng = np.random.default_rng(8)
    X, y = sparse(rng, 3000, 2000, 5), rng.random(3000)

    def trainer(at):
        options = {"penalty": lo.ElasticNet(1e-3, 0.5), "batch_size": 1, "engine": "compiled"}
        return lo.Trainer(lo.Linear(2000), lo.MSE(), lo.SGD(Bell(at)), **options)

    whole = trainer(np.inf)
    whole.fit(X, y, epochs=2)
    for at in (300, 1000, 2990):
        broken = trainer(at)
        broken._pace = 1
        with pytest.raises(KeyboardInterrupt):
            broken.fit(X, y, epochs=2)
        assert broken.optimizer.steps < 6000
        assert broken.optimizer.steps % 3000 % 256 == 0
        broken.resume(X, y)
        assert broken.model.params["weight"].tobytes() == whole.model.params["weight"].tobytes()


def test_rows_of_csr_that_touch_the_same_columns_often(monkeypatch):
    """Many rows in few columns of many: blocks of the norm with one, two and more numbers."""
    pytest.importorskip("scipy")
    rng = np.random.default_rng(6)
    X = sparse(rng, N, 3000, 20)
    X.indices = np.sort((X.indices % 5 * 700 + X.indices % 13).reshape(N, -1), axis=1).ravel()
    X.indices[:] = np.minimum(X.indices, 2999)
    y = rng.integers(0, 2, N)
    for batch in (1, 2, 8):
        arguments = (X, y), lo.BinaryCrossEntropy(), lo.SGD(lr=0.1), np.float64, 1
        one, two = (ran(e, *arguments, batch_size=batch, n_features=3000) for e in ("compiled", "python"))
        assert one == two


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite_updates_are_left_out_alike(bad):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    X[17, 2] = bad
    y = rng.standard_normal(N)
    arguments = (X, y), lo.MSE(), lo.Adam(lr=0.01), np.float64, 1
    both = [ran(e, *arguments, batch_size=8, on_nonfinite="skip") for e in ("python", "compiled")]
    assert both[0] == both[1]
    assert both[0][-1] == 2
    for engine in ("python", "compiled"):
        trainer = lo.Trainer(lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01), batch_size=8, engine=engine)
        with pytest.raises(FloatingPointError, match=r"^update \d+ was not made: the loss is (nan|inf)"):
            trainer.fit(X, y)
        assert all(np.isfinite(x).all() for x in trainer.model.params.values())


def test_schedules_and_steps_go_on_over_fits_and_stretches(monkeypatch):
    """However the loop is cut into stretches, and however often fit is called, the bits are those of one run."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    weights = []
    for pace, epochs in ((1, [6]), (10**6, [6]), (3, [1, 2, 3])):
        optimizer = lo.Adam(lr=lo.CosineAnnealing(0.01, 200), weight_decay=lo.ExponentialDecay(0.1, 0.01))
        trainer = lo.Trainer(lo.Linear(D), lo.MSE(), optimizer, batch_size=4)
        for count in epochs:
            trainer._pace = pace
            trainer.fit(X, y, epochs=count)
        weights.append((trainer.model.params["weight"].tobytes(), trainer.history["train_loss"], optimizer.steps))
    assert weights[0] == weights[1] == weights[2]


def test_auto_takes_the_compiled_loop_where_it_can():
    class Counter(lo.Callback):
        batches = 0

        def on_batch_end(self, batch, logs):
            self.batches += 1

    class Own:
        def __init__(self):
            self.params = {"weight": np.zeros(D)}

        def forward(self, X):
            self.X = X
            return X @ self.params["weight"]

        def backward(self, grad_prediction):
            return {"weight": grad_prediction @ self.X}

    rng = np.random.default_rng(0)
    X, y, counter = rng.standard_normal((N, D)), rng.standard_normal(N), Counter()
    for model, callbacks, target, reason in (
        (lo.Linear(D), (lo.EarlyStopping(monitor="train_loss"),), y, None),
        (lo.Linear(D), (counter,), y, "a callback looks at every batch"),
        (Own(), (), y, "the model is Own, not lossopt's Linear"),
        (lo.Linear(D, 40), (), np.zeros((N, 40)), "the model has 40 outputs, more than 32"),
    ):
        arguments = model, lo.MSE(), lo.SGD(lr=1e-3)
        trainer = lo.Trainer(*arguments, callbacks=callbacks)
        trainer.fit(X, target)
        assert trainer.engine == ("compiled" if reason is None else "python")
        if reason is not None:
            with pytest.raises(ValueError, match=f"^engine='compiled' cannot run here: {reason}$"):
                lo.Trainer(*arguments, callbacks=callbacks, engine="compiled").fit(X, target)
    assert counter.batches == 3


@pytest.mark.thread_unsafe  # an interrupt is the main thread's
@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_interrupts_at_random_moments_leave_a_run_that_goes_on_to_the_same_bits(engine):
    """Signals of another thread, until the run is done: each leaves everything as it was after some update."""
    rng = np.random.default_rng(0)
    n = 200_000 if engine == "compiled" else 2000
    X, armed, heard, timed = rng.standard_normal((n, D)), [False], [0], random.Random(1)
    y = X @ rng.standard_normal(D)

    def trainer():
        optimizer = lo.Adam(lr=lo.CosineAnnealing(0.01, 10 * n))
        return lo.Trainer(lo.Linear(D), lo.MSE(), optimizer, lo.L1(1e-3), batch_size=2, engine=engine, record="step")

    def interrupt(*_):
        if armed[0]:
            heard[0] += 1
            raise KeyboardInterrupt

    def state(trainer):
        curves = {key: trainer.history[key] for key in trainer.history if key != "seconds"}
        steps = [curve.tobytes() for curve in trainer.history.steps.values()]
        return repr((trainer.optimizer.state_dict(), trainer.model.params, curves)), steps

    whole, broken = trainer(), trainer()
    whole.fit(X, y, epochs=20)
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        while broken.epochs < 20:
            timer = threading.Timer(timed.uniform(0, 0.05), _thread.interrupt_main)
            timer.start()
            try:
                armed[0] = True
                if broken._left:
                    broken.resume(X, y)
                else:
                    broken.fit(X, y, epochs=20 - broken.epochs)
                armed[0] = False
            except KeyboardInterrupt:
                armed[0] = False
                assert broken.history.stopped in ("interrupted", None, "all epochs done")
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard[0] > 5
    assert state(broken) == state(whole)
    assert broken.resume(X, y) is broken.history
    assert broken.epochs == 20


@pytest.mark.thread_unsafe  # an interrupt is the main thread's
def test_a_second_interrupt_does_not_wait():
    class Stuck:
        params: ClassVar = {"weight": np.zeros(D)}

        def forward(self, X):
            signal.raise_signal(signal.SIGINT)
            self.was_here = True
            signal.raise_signal(signal.SIGINT)
            raise AssertionError

        def backward(self, grad_prediction):
            raise AssertionError

    model = Stuck()
    with pytest.raises(KeyboardInterrupt):
        lo.Trainer(model, lo.MSE(), lo.SGD(lr=0.1)).fit(np.zeros((4, D)), np.zeros(4))
    assert model.was_here
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_epoch_with_other_rows_begins_anew():
    class Interrupt(lo.Callback):
        def on_batch_end(self, batch, logs):
            if batch == 3:
                raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    trainers = [lo.Trainer(lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01), batch_size=8) for _ in range(2)]
    trainers[0].callbacks = (Interrupt(),)
    with pytest.raises(KeyboardInterrupt):
        trainers[0].fit(X, y)
    trainers[1].model.params["weight"][...] = trainers[0].model.params["weight"]
    trainers[1].model.params["bias"][...] = trainers[0].model.params["bias"]
    for trainer in trainers:
        trainer.callbacks = ()
        trainer.fit(X[:40], y[:40])
    assert trainers[0].model.params["weight"].tobytes() == trainers[1].model.params["weight"].tobytes()


def test_an_interrupt_between_stretches_leaves_a_run_that_can_go_on():
    class Interrupt(lo.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    optimizers = [lo.Adam(lr=lo.CosineAnnealing(0.01, 100)) for _ in range(2)]
    whole, broken = (lo.Trainer(lo.Linear(D), lo.MSE(), optimizer, batch_size=8) for optimizer in optimizers)
    whole.fit(X, y, epochs=6)
    broken.callbacks = (Interrupt(),)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, y, epochs=6)
    assert broken.history.stopped == "interrupted"
    broken.callbacks = ()
    broken.fit(X, y, epochs=3)
    assert broken.model.params["weight"].tobytes() == whole.model.params["weight"].tobytes()
    assert broken.history["train_loss"] == whole.history["train_loss"]


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_what_stops_a_model_on_wide_data_stops_it_there(engine):
    """Where only the touched columns are looked at: the updates behind it are made when it goes on."""
    rng = np.random.default_rng(1)
    X, y = sparse(rng, 400, 4000, 4), rng.random(400)
    y[150] = np.nan
    trainer = lo.Trainer(lo.Linear(4000), lo.MSE(), lo.SGD(lr=0.1), batch_size=4, shuffle=False, engine=engine)
    with pytest.raises(FloatingPointError, match=r"^update 38 was not made: the loss is nan"):
        trainer.fit(X, y, epochs=2)
    assert trainer._at.window == 37
    trainer.resume(X, np.nan_to_num(y))
    assert trainer.optimizer.steps == 200
    with pytest.raises(ValueError, match=r"^X must have"):
        trainer.fit(X[:, :10], y)


class Interrupt(lo.Callback):
    """At the end of an epoch."""

    def __init__(self, at=None):
        self.at = at

    def on_epoch_end(self, epoch, logs):
        if epoch == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_early_stopping_goes_on_after_an_interrupt(engine):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, D))
    y, held = X[:, 0] + rng.standard_normal(60), (X[::-1], X[::-1, 0] + rng.standard_normal(60))

    def trainer(*callbacks):
        early = lo.EarlyStopping(patience=6)
        return lo.Trainer(
            lo.Linear(D), lo.MSE(), lo.Adam(lr=0.05), batch_size=8, engine=engine, callbacks=(early, *callbacks)
        )

    whole = trainer()
    whole.fit(X, y, 60, held)
    assert whole.epochs < 60
    for way in (lambda t: t, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        broken = trainer(Interrupt(whole.epochs - 3))
        with pytest.raises(KeyboardInterrupt):
            broken.fit(X, y, 60, held)
        best = broken.model.params["weight"].copy()
        broken = way(broken)
        broken.callbacks[1].at = None
        broken.resume(X, y, held)
        assert broken.history.stopped == whole.history.stopped
        assert broken.history["val_loss"] == whole.history["val_loss"]
        assert broken.model.params["weight"].tobytes() == whole.model.params["weight"].tobytes() == best.tobytes()


@pytest.mark.thread_unsafe  # an interrupt is the main thread's
def test_a_stop_is_kept_through_an_interrupt():
    class Both(lo.Callback):
        def on_batch_end(self, batch, logs):
            if self.trainer.epochs == 1 and batch == 2 and not self.trainer.history.stopped:
                self.trainer.stop("enough")
                self.trainer.callbacks = ()
                signal.raise_signal(signal.SIGINT)

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    trainer = lo.Trainer(lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01), batch_size=8, callbacks=(Both(),))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y, epochs=5)
    trainer = copy.deepcopy(trainer)
    trainer.resume(X, y)
    assert (trainer.epochs, trainer.history.stopped) == (2, "enough")


def test_resume_wants_the_rows_of_the_fit():
    class Interrupt(lo.Callback):
        def on_batch_end(self, batch, logs):
            raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    trainer = lo.Trainer(lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01), batch_size=8, callbacks=(Interrupt(),))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y)
    with pytest.raises(ValueError, match=r"^X must have the 83 rows of the fit to be resumed, got 40"):
        trainer.resume(X[:40], y[:40])


def test_a_missing_bar_leaves_nothing_begun(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    trainer = lo.Trainer(lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01))
    with pytest.raises(ImportError, match=r"a progress bar needs tqdm"):
        trainer.fit(np.ones((4, D)), np.ones(4), epochs=3, progress=True)
    trainer.resume(np.ones((4, D)), np.ones(4))
    assert trainer.epochs == 0


@pytest.mark.parametrize("size", [np.uint8(32), np.int8(5), np.uint64(7), 2**70])
def test_counts_may_be_any_whole_numbers(size):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, D)), rng.standard_normal(400)
    for accumulate in (1, np.uint8(3), 2**70):
        both = []
        for engine, kind in (("compiled", int), ("python", lambda x: x)):
            trainer = lo.Trainer(
                lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01), None, kind(size), kind(accumulate), engine=engine
            )
            trainer.fit(X, y)
            both.append((trainer.model.params["weight"].tobytes(), trainer.optimizer.steps))
        assert both[0] == both[1]


def test_shuffle_is_true_false_or_a_word():
    arguments = lo.Linear(D), lo.MSE(), lo.SGD(lr=0.01)
    for shuffle, error in ((1, TypeError), (np.ones(2), TypeError), ("block", ValueError), (None, TypeError)):
        with pytest.raises(error, match=r"^shuffle must be"):
            lo.Trainer(*arguments, shuffle=shuffle)
    with pytest.raises(TypeError, match=r"^drop_last must be True or False, got 'no'"):
        lo.Trainer(*arguments, drop_last="no")
    with pytest.raises(ValueError, match=r"^record must be one of 'epoch', 'step'"):
        lo.Trainer(*arguments, record=np.ones(2))
    with pytest.raises(ValueError, match=r"^max_norm must be positive, got True"):
        lo.Trainer(*arguments, max_norm=True)
    assert lo.Trainer(*arguments, shuffle=np.True_).shuffle


@pytest.mark.parametrize(
    ("dtype", "huge", "place"), [(np.float64, 1e160, 2), (np.float64, 1e150, 2), (np.float32, 1e30, 2)]
)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_gradients_whose_squares_overflow_are_seen_alike(dtype, huge, place, wide, batch):
    """A finite loss and a finite gradient, but no finite norm: also where no norm is asked for."""
    rng = np.random.default_rng(2)
    X = np.zeros((N, 900 if wide else D))
    X[:, : D - 1] = rng.standard_normal((N, D - 1))
    X[17, place] = huge
    y = rng.integers(0, 2, N) * 1.0
    y[17] = 0.5  # whatever the sign of its score, its gradient is not small
    if wide:
        X = pytest.importorskip("scipy.sparse").csr_array(X)
    both = []
    for engine in ("python", "compiled"):
        trainer = lo.Trainer(
            lo.Linear(X.shape[1], dtype=dtype),
            lo.BinaryCrossEntropy(),
            lo.SGD(lr=1e-3),
            batch_size=batch,
            engine=engine,
        )
        try:
            trainer.fit(X, y)
            error = ""
        except FloatingPointError as refused:
            error = str(refused)
        params = {name: x.tobytes() for name, x in trainer.model.params.items()}
        both.append((error, params, trainer.optimizer.steps, trainer.history.keys() and trainer.history["grad_norm"]))
    assert both[0] == both[1]
    assert ("the norm of the gradient is inf" in both[0][0]) == (huge == 1e160)
