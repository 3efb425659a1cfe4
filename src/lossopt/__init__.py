"""lossopt: fast losses, gradients and optimizers for the CPU.

What the tables hold is listed where it is defined, in `__all__` of its module; the rest is listed here.
"""

from lossopt import losses, optimizers, penalties, ranking, schedules
from lossopt.averages import EMA, Polyak
from lossopt.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Progress,
    ReduceOnPlateau,
    TargetLoss,
    TensorBoard,
    TimeLimit,
)
from lossopt.custom import CustomLoss
from lossopt.diagnosis import Finding
from lossopt.explanations import Explanation, explain
from lossopt.history import History
from lossopt.losses import *
from lossopt.many import CrossValidation, Fits, cross_validate, fit_many, path
from lossopt.models import MLP, Linear, Model
from lossopt.objective import Objective, check_gradient, safe_lr
from lossopt.optimizers import *
from lossopt.penalties import *
from lossopt.ranking import *
from lossopt.rates import LRFind, lr_find, noise_scale
from lossopt.runtime import get_include, get_num_threads, info, set_num_threads
from lossopt.schedules import *
from lossopt.solvers import Result, solve, solve_path
from lossopt.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "EMA",
    "MLP",
    "Callback",
    "Checkpoint",
    "CrossValidation",
    "CustomLoss",
    "EarlyStopping",
    "Explanation",
    "Finding",
    "Fits",
    "History",
    "LRFind",
    "Linear",
    "Model",
    "Objective",
    "Polyak",
    "Progress",
    "ReduceOnPlateau",
    "Result",
    "TargetLoss",
    "TensorBoard",
    "TimeLimit",
    "Trainer",
    "check_gradient",
    "cross_validate",
    "explain",
    "fit_many",
    "get_include",
    "get_num_threads",
    "info",
    "lr_find",
    "noise_scale",
    "path",
    "safe_lr",
    "set_num_threads",
    "solve",
    "solve_path",
]
__all__ += losses.__all__
__all__ += optimizers.__all__
__all__ += penalties.__all__
__all__ += ranking.__all__
__all__ += schedules.__all__
