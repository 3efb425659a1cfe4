"""How it is measured: sides take turns in a process, a process for each number of threads."""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from itertools import repeat
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import lossopt as lo
from lossopt.bench.grid import Array, LinearOf, Plan, TrainOf, cells
from lossopt.bench.peers import PEER_COLUMNS, PEERS, missing
from lossopt.bench.sides import HOME, Work


def apart(result: Any, wanted: Any) -> float:
    """The largest distance of two results, each of their parts relative to its largest number.

    A result may say less than what is wanted, and is compared in that.
    """
    parts = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(result, wanted, strict=False)]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in parts)


COLD = 0.02  # seconds of a call beside which cold caches do not count


def timed(works: Mapping[str, Work], plan: Plan, threads: int, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Seconds a call of each side: they take turns, a sample repeats the call; median and minimum of the samples.

    "first" is the first call, compilation included; "busy" the processors that the whole process kept busy while the
    side ran; "apart" how far its third result is from lossopt's (see `apart`). `notes` gets the peers that refuse.
    """
    sides: dict[str, dict[str, Any]] = {}
    results: dict[str, list[Array]] = {}
    for name, work in works.items():
        began = time.perf_counter()
        try:
            work.call()
            first = time.perf_counter() - began
            work.call()
            result = work.call()
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            if name not in PEER_COLUMNS:
                raise
            notes.append(f"{name} refuses: {str(error).strip().splitlines()[0]}")
            continue
        sides[name] = {"first": first}
        if name != "limit":
            # a copy: another side may write where this one did
            results[name] = [np.array(np.asarray(part)) for part in work.read(result)]
            sides[name]["apart"] = apart(results[name], results["lossopt"])
    results.clear()

    def sample(name: str) -> tuple[float, float]:
        call = works[name].call
        if threads > 1:
            time.sleep(2e-3)  # the workers of the side before still spin
        if one[name] < COLD:
            call()  # its data and its code may have left the caches
        processors, began = time.process_time(), time.perf_counter()
        for _ in repeat(None, repeats[name]):
            call()
        return time.perf_counter() - began, time.process_time() - processors

    order, repeats, one, rounds = list(sides), dict.fromkeys(sides, 1), dict.fromkeys(sides, 0.0), 0
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    shuffle = random.Random(0).shuffle
    enabled = gc.isenabled()
    gc.disable()
    try:
        for name in order:
            # the least of three: one that was interrupted would leave too few repeats
            while (seconds := min(sample(name)[0] for _ in range(3))) < plan.sample:
                repeats[name] = int(repeats[name] * min(10.0, max(1.2 * plan.sample / seconds, 1.2))) + 1
            one[name] = seconds / repeats[name]
        until = time.perf_counter() + plan.seconds * len(sides)
        while rounds < plan.rounds or time.perf_counter() < until:
            shuffle(order)
            for name in order:
                samples[name].append(sample(name))
            rounds += 1
    finally:
        if enabled:
            gc.enable()
    for name, taken in samples.items():
        calls = [seconds / repeats[name] for seconds, _ in taken]
        busy = sum(processors for _, processors in taken) / sum(seconds for seconds, _ in taken)
        sides[name].update(median=median(calls), least=min(calls), busy=busy, repeats=repeats[name], rounds=rounds)
    return sides


def measure(plan: Plan, threads: int) -> Iterator[dict[str, Any]]:
    """Everything of a plan in this process: a dict a cell, and {"note": sentence} for what is left out."""
    notes: list[str] = []
    sides = [side(threads) for side in HOME]
    if plan.peers:
        for peer in PEERS:
            try:
                sides += [] if missing(peer) else [peer(threads)]
            except ImportError as error:
                notes.append(f"{peer.__name__.lower()}: left out, its import fails: {error}")
    for cell in cells(plan, notes.append):
        if cell.group == "overhead" and threads > 1:
            continue  # no call so small uses them
        where = f"{cell.group} {cell.name}"
        try:
            op = cell.make()
            works = {name: work for side in sides for name, work in getattr(side, cell.method)(op).items()}
        except ImportError as error:
            notes.append(f"{where}: left out, {error.name} is not installed")
        except (TypeError, ValueError) as error:
            if cell.group != "sparse":
                raise
            notes.append(f"{where}: left out, Objective refuses it: {error}")
        else:
            refused: list[str] = []
            numbers = prod(cell.shape[:2])
            if isinstance(op, TrainOf):
                numbers = op.of.steps
            elif isinstance(op, LinearOf) and op.sparse:
                numbers = op.X.data.size
            yield {
                "group": cell.group,
                "name": cell.name,
                "dtype": cell.dtype,
                "shape": list(cell.shape),
                "threads": threads,
                "numbers": numbers,
                "sides": timed(works, plan, threads, refused),
            }
            notes += [f"{where}: {said}" for said in refused]
            del op, works  # before the next ones are made
    # at the end: what is left out may come after the last cell
    yield from ({"note": note} for note in dict.fromkeys(notes))


# what OpenMP, the BLAS libraries, jax and lossopt read when they start
PINS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "LOSSOPT_NUM_THREADS")


def run(plan: Plan, threads: Sequence[int], heard: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure a plan, a process for each number of threads; each cell is heard as it comes.

    Returns
    -------
    dict
        What ``--json`` writes: machine, versions, plan, notes, and every cell with all sides.

    Raises
    ------
    ChildProcessError
        A measuring process came to grief; it has said so itself.
    """
    began = time.time()
    found: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%d %H:%M", time.gmtime(began)),
        "machine": machine(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "lossopt": lo.info(),
        "versions": versions(),
        "threads": list(threads),
        "plan": asdict(plan),
        "missing": [lacks for peer in PEERS if plan.peers and (lacks := missing(peer))],
        "notes": [],
        "cells": [],
    }
    # this lossopt, wherever the process starts
    path = [str(Path(lo.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    for count in threads:
        pinned = dict.fromkeys(PINS, str(count)) | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(path)}
        command = [sys.executable, "-P", "-m", "lossopt.bench", json.dumps(asdict(plan)), str(count)]
        with subprocess.Popen(command, env=os.environ | pinned, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if not line.startswith('{"'):
                    continue  # a library spoke
                got = json.loads(line)
                if "note" not in got:
                    found["cells"].append(got)
                    heard(got)
                elif got["note"] not in found["notes"]:
                    found["notes"].append(got["note"])
        if process.returncode:
            raise ChildProcessError(f"the measuring process ended with status {process.returncode}")
    return {**found, "seconds": round(time.time() - began)}


def machine() -> dict[str, Any]:
    """The processor, its caches and the memory, as far as the system tells."""

    def read(path: str) -> str:
        try:
            return Path(path).read_text().strip()
        except OSError:
            return ""

    model = re.search(r"^model name\s*: (.*)", read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.M)
    folder = "/sys/devices/system/cpu/cpu0/cache/index{}/{}"
    caches = [f"L{read(folder.format(i, 'level'))} {read(folder.format(i, 'size'))}" for i in (0, 2, 3)]
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "caches": ", ".join(x for x in caches if x != "L "),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "",
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of everything that is measured, or that it stands on."""
    found = {}
    for name in ("numpy", "scipy", "torch", "jax", "jaxlib", "optax", "scikit-learn", "thinc"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
