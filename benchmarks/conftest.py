"""The tables of tests/cases.py, by path, and one thread for every side."""

import importlib.util
import pathlib
import sys

import pytest
from threadpoolctl import threadpool_limits

import lossopt as lo

collect_ignore = ["table.py", "vectorized.py"]

_path = pathlib.Path(__file__).parent.parent / "tests" / "cases.py"
_spec = importlib.util.spec_from_file_location("cases", _path)
sys.modules["cases"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["cases"])


@pytest.fixture(autouse=True)
def _one_thread():
    before = lo.get_num_threads()
    lo.set_num_threads(1)
    with threadpool_limits(1):  # NumPy's BLAS
        yield
    lo.set_num_threads(before)
