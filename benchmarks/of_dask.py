"""lossopt.dask on a cluster of this machine's processes: seconds an evaluation, by workers, and what a task costs.

python benchmarks/of_dask.py [rows features]
"""

import sys
from statistics import median
from time import perf_counter

import dask.array as da
import numpy as np
from distributed import Client

import lossopt as lo
import lossopt.dask as cluster

CHUNKS = (8, 64)


def seconds(function, times=9):
    spent = []
    for _ in range(times):
        began = perf_counter()
        function()
        spent.append(perf_counter() - began)
    return median(spent[1:])


def main():
    n, d = map(int, sys.argv[1:3] or (1_000_000, 50))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = (X[:, 0] + rng.logistic(size=n) > 0).astype(float)
    w, loss = np.linspace(-0.1, 0.1, d + 1), lo.BinaryCrossEntropy()
    for threads in (1, 2):
        lo.set_num_threads(threads)
        one = lo.Objective(X, y, loss)
        print(f"lossopt.Objective, {threads} threads: {seconds(lambda one=one: one.value_and_grad(w)) * 1e3:.1f} ms")
    for workers in (1, 2):
        with Client(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as client:
            for chunks in CHUNKS:
                size = -(-n // chunks)
                rows = da.random.default_rng(0).standard_normal((n, d), chunks=(size, d))
                many = cluster.Objective(rows, (rows[:, 0] > 0).astype(float), loss, client=client)
                time = seconds(lambda many=many: many.value_and_grad(w))
                print(f"lossopt.dask, {workers} workers, {chunks} chunks: {time * 1e3:.1f} ms", flush=True)
                del many
            few = da.zeros((64, d), chunks=(1, d))
            empty = cluster.Objective(few, few[:, 0], loss, client=client)
            print(
                f"  64 chunks of one row: {seconds(lambda empty=empty: empty.value_and_grad(w)) * 1e3:.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
