"""The compiled loop against the Python loop, the readable definition of training: the same bits in everything."""

import copy

import numpy as np
import pytest

import lossopt as lo

from . import cases

N, D = 83, 7
LOSSES = [
    pytest.param(cls, row, id=label) for label, cls, row in cases.walk("losses") if row.scores and (row.k or 1) <= 32
]
OPTIMIZERS = [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("optimizers")]
PENALTIES = [None, *(row.make(cls) for _, cls, row in cases.walk("penalties"))]
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


def ran(engine, data, loss, optimizer, dtype, k, penalty=None, weights=None, epochs=2, **options):
    """Everything that a run leaves behind but its seconds."""
    X, y = data
    trainer = lo.Trainer(
        lo.Linear(D, k, dtype=dtype), loss, copy.deepcopy(optimizer), penalty=penalty, engine=engine, **options
    )
    history = trainer.fit(X, y, epochs=epochs, sample_weight=weights, validation=(X, y))
    assert trainer.engine == engine
    curves = {key: history[key] for key in history if key != "seconds"}
    state = trainer.optimizer.state_dict()
    params = {name: x.tobytes() for name, x in trainer.model.params.items()}
    return params, repr(curves), repr(state), trainer.optimizer.grad_norm, trainer.skipped


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("optimizer_cls", "optimizer_row"), OPTIMIZERS)
@pytest.mark.parametrize(("loss_cls", "loss_row"), LOSSES)
def test_both_engines_give_the_same_bits(loss_cls, loss_row, optimizer_cls, optimizer_row, dtype, shape):
    rng, options = np.random.default_rng(3), dict(SHAPES[shape])
    if options.pop("weights", False):
        options["weights"] = weights(rng)
    X, (_, y) = rng.standard_normal((N, D)), loss_row.data(rng, N, dtype)
    # small steps: at batch size 1 the rows' own are far too large
    optimizer = optimizer_row.make(optimizer_cls, lr=lo.Warmup(lo.CosineAnnealing(1e-3, 20), 4))
    for penalty in PENALTIES:
        arguments = (X, y), loss_row.make(loss_cls), optimizer, dtype, loss_row.k or 1, penalty
        assert ran("compiled", *arguments, **options) == ran("python", *arguments, **options)


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
