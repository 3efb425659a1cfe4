"""scikit-learn's models by their names, parameters and attributes, with lossopt's way to the minimum.

Importing this module imports scikit-learn (the extra ``sklearn``). Parameters mean what they mean there; one that has
no meaning here is refused, never ignored. X is never changed, whatever ``copy_X`` allows.
"""

try:
    import sklearn.base  # noqa: F401
except ImportError:
    raise ImportError("lossopt.sklearn needs scikit-learn: pip install 'lossopt[sklearn]'") from None

from lossopt.sklearn.classification import LogisticRegression
from lossopt.sklearn.crossvalidated import ElasticNetCV, LassoCV, LogisticRegressionCV, RidgeCV
from lossopt.sklearn.descent import SGDClassifier, SGDRegressor
from lossopt.sklearn.network import MLPClassifier, MLPRegressor
from lossopt.sklearn.regression import ElasticNet, Lasso, LinearRegression, Ridge

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "Lasso",
    "LassoCV",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MLPRegressor",
    "Ridge",
    "RidgeCV",
    "SGDClassifier",
    "SGDRegressor",
]
