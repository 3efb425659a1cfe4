"""lossopt: fast losses, gradients and optimizers for the CPU."""

from lossopt.callbacks import Callback, EarlyStopping
from lossopt.history import History
from lossopt.losses import LOSSES, MSE, BinaryCrossEntropy, CrossEntropy, Loss
from lossopt.models import Linear, Model
from lossopt.objective import Objective, check_gradient
from lossopt.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer
from lossopt.penalties import L1, L2, PENALTIES, ElasticNet, Penalty
from lossopt.runtime import get_num_threads, info, set_num_threads
from lossopt.schedules import (
    SCHEDULES,
    Constant,
    CosineAnnealing,
    Cyclic,
    ExponentialDecay,
    InverseSqrt,
    InverseTime,
    Join,
    LinearDecay,
    MultiStep,
    OneCycle,
    Polynomial,
    Product,
    Schedule,
    StepDecay,
    WarmRestarts,
    Warmup,
)
from lossopt.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L2",
    "LOSSES",
    "MSE",
    "OPTIMIZERS",
    "PENALTIES",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "Callback",
    "Constant",
    "CosineAnnealing",
    "CrossEntropy",
    "Cyclic",
    "EarlyStopping",
    "ElasticNet",
    "ExponentialDecay",
    "History",
    "InverseSqrt",
    "InverseTime",
    "Join",
    "Linear",
    "LinearDecay",
    "Loss",
    "Model",
    "MultiStep",
    "Objective",
    "OneCycle",
    "Optimizer",
    "Penalty",
    "Polynomial",
    "Product",
    "Schedule",
    "StepDecay",
    "Trainer",
    "WarmRestarts",
    "Warmup",
    "check_gradient",
    "get_num_threads",
    "info",
    "set_num_threads",
]
