"""Print the ratio twin / kernel (of median times) of a saved run of the benchmarks, as Markdown.

pytest benchmarks --benchmark-json=run.json && python benchmarks/table.py run.json
"""

import json
import sys
from collections import defaultdict


def main(path):
    with open(path) as file:
        run = json.load(file)
    medians = defaultdict(dict)
    for row in run["benchmarks"]:
        medians[row["group"]][row["extra_info"]["side"]] = row["stats"]["median"], row["extra_info"]
    columns, cells = [], defaultdict(dict)
    for group, sides in medians.items():
        ratio, extra = sides["twin"][0] / sides["kernel"][0], sides["kernel"][1]
        column = f"{extra['size']:g}"
        name = group.partition("[")[2].rpartition("-1e")[0] if "-1e" in group else group.partition("[")[2].rstrip("]")
        if extra["test"] == "test_objective":
            name, column = name.rpartition("-")[0].rpartition("-")[0], "x".join(group.rstrip("]").split("-")[-2:])
        columns += [column] if column not in columns else []
        cells[extra["test"].removeprefix("test_"), name][column] = ratio
    for test in dict.fromkeys(test for test, _ in cells):
        used = [c for c in columns if any(c in row for (t, _), row in cells.items() if t == test)]
        print(f"\n| {test} | {' | '.join(used)} |\n|---|{'---:|' * len(used)}")
        for (t, name), row in cells.items():
            if t == test:
                print(f"| {name} | {' | '.join(f'{row[c]:.1f}' if c in row else '' for c in used)} |")
    worst = min((ratio, name, column) for (_, name), row in cells.items() for column, ratio in row.items())
    print(
        f"\nsmallest ratio: {worst[0]:.2f} ({worst[1]}, {worst[2]}); machine: {run['machine_info']['cpu']['brand_raw']}"
    )


if __name__ == "__main__":
    main(sys.argv[1])
