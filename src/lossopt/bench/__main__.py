"""A measuring process of `run`: a plan and a number of threads in, a line of JSON a cell out."""

import json
import sys

from lossopt.bench.grid import Plan
from lossopt.bench.measure import measure

if __name__ == "__main__":
    for got in measure(Plan(**json.loads(sys.argv[1])), int(sys.argv[2])):
        print(json.dumps(got), flush=True)
