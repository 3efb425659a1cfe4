"""A function of a test module, run in a Python of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# this folder is no package, and there may be another one of its name
CODE = """
import importlib, sys, types
sys.modules["tests"] = package = types.ModuleType("tests")
package.__path__ = [sys.argv[1]]
getattr(importlib.import_module("tests." + sys.argv[2]), sys.argv[3])()
"""


def printed(function: Callable[[], Any], **environment: str) -> str:
    """What the function prints, with no limits on threads but those given."""
    limits = ("OMP_", "GOMP_", "OPENBLAS_", "LOSSOPT_NUM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(limits)}
    names = [str(Path(__file__).parent), function.__module__.rpartition(".")[2], function.__name__]
    result = subprocess.run(
        [sys.executable, "-c", CODE, *names], capture_output=True, text=True, env=kept | environment, timeout=200
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
