"""The grid of ``lossopt bench``: lossopt beside its NumPy twin, the well-known libraries and the machine's own limit.

Every number of threads has a process of its own, because jax counts its threads once, when it starts (by NPROC; the
flags of XLA are not heeded by every version). All sides live in that process and take turns, so that whatever else the
machine does meets them alike. What is timed is what a user calls: lossopt's public classes, torch's functional losses
with backward and its optimizers, jitted functions of jax and optax with donated buffers, scikit-learn's LinearModelLoss
and pointwise losses, thinc's optimizers. Each side's third result is compared with lossopt's before anything is timed.

The limit is the same memory traffic with one addition a number: ``np.add`` in place, a pass an array that is written;
for linear models, which only read, ``np.dot(X, X)``, or the two products by BLAS where there are more outputs than
lossopt's own kernels take. At call overhead it is one ``np.add`` on the same arrays.

``--training`` measures epochs of training by the same rules instead. All sides but scikit-learn start from the same
parameters and take the rows in the same order, so that their parameters can be compared after three epochs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lossopt._refused import RefusedError
from lossopt.bench.grid import FULL as FULL
from lossopt.bench.grid import QUICK as QUICK
from lossopt.bench.grid import TRAINING as TRAINING
from lossopt.bench.grid import TRAINING_QUICK as TRAINING_QUICK
from lossopt.bench.grid import Plan as Plan
from lossopt.bench.measure import run
from lossopt.bench.table import heading, legend, losing, picture, row, summary, text, title


def report(
    plan: Plan,
    threads: Sequence[int],
    json_path: str | None = None,
    picture_path: str | None = None,
) -> dict[str, Any]:
    """Measure a plan, print everything, and write the files that are wanted; see `run` for what is returned."""
    for path in filter(None, (json_path, picture_path)):
        if not Path(path).parent.is_dir() or Path(path).is_dir():
            raise RefusedError(f"cannot write {path}")
    if picture_path:
        try:
            from matplotlib.backend_bases import FigureCanvasBase
        except ImportError as error:
            raise RefusedError(f"a picture needs {error.name}: pip install 'lossopt[plot]'") from None
        if (kind := Path(picture_path).suffix[1:].lower()) not in FigureCanvasBase.get_supported_filetypes():
            raise RefusedError(f"cannot draw a picture of the kind {kind!r}: {picture_path}")
    tables: set[tuple[str, int]] = set()

    def heard(cell: dict[str, Any]) -> None:
        if (table := (cell["group"], cell["threads"])) not in tables:
            tables.add(table)
            print(f"\n{title(*table)}\n{text(heading(cell['group'], plan.peers))}")
        print(text(row(cell, plan.peers)), flush=True)

    print(legend(asdict(plan)), flush=True)
    try:
        found = run(plan, threads, heard)
    except ChildProcessError as error:
        raise RefusedError(str(error)) from None
    print("", *summary(found), sep="\n")
    if plan.peers:
        lost = losing(found)
        print(f"lossopt is slower than a peer in {len(lost)} of {len(found['cells'])} cells")
        print(*(f"  {where}: {figures}" for where, figures in lost.items()), sep="\n")
    try:
        if json_path:
            Path(json_path).write_text(json.dumps(found, indent=1) + "\n")
        if picture_path:
            picture(found, picture_path)
    except OSError as error:
        raise RefusedError(f"cannot write {error.filename}: {error.strerror}") from None
    return found
