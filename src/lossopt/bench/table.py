"""What is shown: tables, and the same as a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from statistics import median
from typing import Any

import numpy as np

from lossopt.bench.grid import Training
from lossopt.bench.peers import PEER_COLUMNS

# a group's title, and the sides beside lossopt and the limit that take part in it
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "loss": ("losses: value and gradient", ("fresh", "twin", "torch", "jax", "sklearn")),
    "step": ("optimizers: one step", ("twin", "torch", "foreach", "fused", "jax", "thinc")),
    "linear": ("linear models: value and gradient from X", ("twin", "torch", "jax", "sklearn")),
    "sparse": ("linear models: value and gradient from X in CSR", ("twin", "torch", "sklearn")),
    "overhead": ("call overhead", ("fresh", "twin", *PEER_COLUMNS)),
    "training": ("an epoch of training", ("python", "numpy", "one", "torch", "jax", "sklearn")),
}
LEGEND = """\
Columns from fresh or twin on are ratios, that side's time / lossopt's: above 1 lossopt is faster. fresh: lossopt
without out=; twin: NumPy; foreach, fused: torch's other forms; worst: the fastest peer, * where lossopt loses;
minima: the same by the least times. All others are medians. of limit: a loop with the same memory traffic and one
addition / lossopt (1: at the machine's limit); np.adds: lossopt / one np.add of the same arrays."""
TRAINING_LEGEND = """\
An epoch of training that reports its loss; steps: its updates, us/step: lossopt's microseconds for one. Columns from
python on are ratios, that side's time / lossopt's: above 1 lossopt is faster. python: lossopt's own loop in Python;
numpy: a loop as one writes it by hand; one: a single Trainer, beside the 16 penalties of fit_many; torch: a loop over
functional layers with the fused optimizer; jax: the epoch as one compiled scan, with optax; sklearn: partial_fit. All
but scikit-learn take the rows in lossopt's order, and are spared a shuffle of their own. worst: the fastest peer, *
where lossopt loses; minima: the same by the least times. All others are medians."""


def legend(plan: Mapping[str, Any]) -> str:
    """What the columns of a plan's tables mean."""
    return TRAINING_LEGEND if plan["training"] else LEGEND


def title(group: str, threads: int) -> str:
    """The heading of a table."""
    return f"{GROUPS[group][0]}, {threads} thread{'s' * (threads > 1)}"


def ratio(cell: Mapping[str, Any], side: str, by: str = "median") -> float | None:
    """A side's time / lossopt's; None where it takes no part."""
    sides = cell["sides"]
    return sides[side][by] / sides["lossopt"][by] if side in sides else None


def worst(cell: Mapping[str, Any], by: str = "median") -> tuple[float, str] | None:
    """The ratio of the fastest peer, and its name."""
    return min(((r, side) for side in PEER_COLUMNS if (r := ratio(cell, side, by)) is not None), default=None)


def shape_of(cell: Mapping[str, Any]) -> str:
    """A shape as one writes it: 1e6, 2048x1000."""
    return "x".join(re.sub(r"^1(0{3,})$", lambda m: f"1e{len(m[1])}", str(n)) for n in cell["shape"])


def others(group: str, peers: bool) -> list[str]:
    """The sides whose ratios a group's table shows."""
    return [side for side in GROUPS[group][1] if peers or side not in PEER_COLUMNS]


def heading(group: str, peers: bool) -> list[str]:
    """The names of the columns."""
    limit = "np.adds" if group == "overhead" else "of limit"
    measures = ["epoch", "steps", "us/step"] if group == "training" else ["time", "ns each", limit]
    head = ["operation", "dtype", "shape", *measures, *others(group, peers)]
    return [*head, "worst", "minima"] if peers else head


def row(cell: Mapping[str, Any], peers: bool) -> list[str]:
    """A cell as a row under `heading`."""
    seconds, limit = cell["sides"]["lossopt"]["median"], ratio(cell, "limit") or 0.0
    shown, each = [cell["name"], cell["dtype"], shape_of(cell), _time(seconds)], seconds / cell["numbers"]
    if cell["group"] == "training":
        shown += [str(cell["numbers"]), f"{each * 1e6:.3g}"]
    else:
        shown += [f"{each * 1e9:.2f}", f"{1 / limit:.1f}" if cell["group"] == "overhead" else f"{limit:.2f}"]
    shown += [_number(ratio(cell, side)) for side in others(cell["group"], peers)]
    fastest = [worst(cell, by) for by in ("median", "least")] if peers else []
    return shown + [f"{_number(x[0])}{'*' * (x[0] < 1)}" if x else "" for x in fastest]


def text(columns: Sequence[str]) -> str:
    """A row of the printed table."""
    widths = (20, 8, 16, 9, 8, 8, *repeat(7, len(columns) - 6))
    return " ".join(
        f"{x:{'<' if i < 3 else '>'}{width}}" for i, (x, width) in enumerate(zip(columns, widths, strict=True))
    )


def _time(seconds: float) -> str:
    unit, many = next(((u, m) for u, m in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)) if seconds * m < 1000), ("s", 1.0))
    return f"{seconds * many:.3g} {unit}"


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"


def losing(found: Mapping[str, Any]) -> dict[str, str]:
    """The cells in which a peer is faster, by medians, and the figures; the worst first."""
    lost = []
    for cell in found["cells"]:
        least = worst(cell)
        if least and least[0] < 1:
            where = f"{cell['group']} {cell['name']} {cell['dtype']} {shape_of(cell)}, threads {cell['threads']}"
            lost.append((*least, ratio(cell, least[1], "least"), where))
    return {where: f"{side} {r:.2f} ({by_least:.2f} by minima)" for r, side, by_least, where in sorted(lost)}


def bars(found: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The ratios that are wanted on one thread: measured, wanted."""
    wanted = {of.name: of.beside for of in map(Training._make, found["plan"]["training"])}
    return {
        f"{cell['name']} {cell['dtype']}, {side}": (r, bar)
        for cell in found["cells"]
        if cell["threads"] == 1
        for side, bar in wanted.get(cell["name"], {}).items()
        if bar and (r := ratio(cell, side)) is not None
    }


def summary(found: Mapping[str, Any]) -> list[str]:
    """What stands under the tables: what is missing, what is wanted, how each side behaved, first calls."""
    lines = [f"{name} is not installed" for name in found["missing"]] + found["notes"]

    def taken(of: str, threads: Sequence[int]) -> dict[str, list[float]]:
        """What the cells say of each side."""
        figures: dict[str, list[float]] = {}
        for cell in found["cells"]:
            if cell["threads"] in threads:
                for name, side in cell["sides"].items():
                    if of in side:
                        figures.setdefault(name, []).append(side[of])
        return figures

    lines.append(f"load average of the machine before: {found['load']:.1f}")
    for threads in found["threads"]:
        busy = [f"{k} {median(v):.2f} ({max(v):.2f})" for k, v in taken("busy", [threads]).items()]
        lines.append(f"processors busy, median (most), threads {threads}: {', '.join(busy)}")
    far = [f"{k} {max(v):.0g}" for k, v in taken("apart", found["threads"]).items()]
    lines.append(f"results apart from lossopt's, most: {', '.join(far)}")
    if wanted := bars(found):
        short = [f"{where} {r:.2f} of {bar:g}" for where, (r, bar) in wanted.items() if r < bar]
        held = f"wanted ratios: {len(wanted) - len(short)} of {len(wanted)} hold"
        lines.append(held + (f"; short: {'; '.join(short)}" if short else ""))
    firsts = [f"{k} {_time(median(v))}" for k, v in taken("first", found["threads"]).items()]
    return [*lines, f"first call, median: {', '.join(firsts)}"]


def picture(found: Mapping[str, Any], path: str) -> None:
    """The ratios as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    what = (_draw_training if found["plan"]["training"] else _draw_grid)(found, figure)
    where = f"lossopt {found['lossopt']['lossopt']}, {found['machine']['processor']}, {found['started']}"
    figure.suptitle(f"{where}\n{what}", fontsize=9)
    figure.savefig(path, dpi=130)


def _draw_training(found: Mapping[str, Any], figure: Any) -> str:
    """A bar a side, peers darker, a stroke where a ratio is wanted; what it says of itself."""
    lines = [(cell, [side for side in others("training", True) if side in cell["sides"]]) for cell in found["cells"]]
    lines = [(cell, sides) for cell, sides in lines if sides]
    figure.set_size_inches(8, 1 + sum(0.2 * len(sides) + 0.2 for _, sides in lines))
    ax, wanted, names, y = figure.subplots(), bars(found), {}, 0.0
    for cell, sides in lines:
        seconds = _time(cell["sides"]["lossopt"]["median"] / cell["numbers"])
        where = f"{cell['name']} {cell['dtype']}"
        names[y + (len(sides) - 1) / 2] = f"{where}\n{shape_of(cell)}: {seconds} a step"
        for side in sides:
            r, (_, bar) = ratio(cell, side) or 1.0, wanted.get(f"{where}, {side}", (0, 0))
            ax.barh(y, r - 1, left=1, height=0.8, color="0.5" if side in PEER_COLUMNS else "0.8")
            if bar:
                ax.plot([bar, bar], [y - 0.4, y + 0.4], color="black", linewidth=2)
            ax.text(max(r, bar, 1) * 1.06, y, f"{side} {_number(r)}", va="center", fontsize=7)
            y += 1
        y += 1
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(right=2 * ax.get_xlim()[1])
    ax.set_ylim(y - 1, -1)
    ax.set_yticks(list(names), list(names.values()), fontsize=7)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    return "time of an epoch / time of lossopt's (medians); a stroke: the ratio that is wanted"


def _draw_grid(found: Mapping[str, Any], figure: Any) -> str:
    """A panel a table: the further ahead, the darker; framed where lossopt loses; what it says of itself."""
    from matplotlib.colors import LogNorm

    peers = found["plan"]["peers"]
    together = (("loss", "overhead"), ("step",), ("linear", "sparse"))
    lines = [
        [
            [cell for cell in found["cells"] if cell["threads"] == threads and cell["group"] in groups]
            for groups in together
        ]
        for threads in found["threads"]
    ]
    columns = [
        ["limit", *(side for side in others("overhead", peers) if any(side in cell["sides"] for cell in cells))]
        for cells in map(list, map(chain.from_iterable, zip(*lines, strict=True)))
    ]
    heights, widths = [max(map(len, line)) for line in lines], [len(sides) for sides in columns]
    size = 0.42 * sum(widths) + 1.9 * len(widths), 0.6 + sum(0.19 * height + 0.9 for height in heights)
    figure.set_size_inches(size)
    grid = figure.subplots(len(lines), len(together), squeeze=False, width_ratios=widths, height_ratios=heights)
    for axes, line, threads, height in zip(grid, lines, found["threads"], heights, strict=True):
        for ax, cells, sides, groups in zip(axes, line, columns, together, strict=True):
            ratios = np.full((height, len(sides)), np.nan)
            for i, cell in enumerate(cells):
                ratios[i] = [ratio(cell, side) or np.nan for side in sides]
            # the limit is no rival
            shade = np.where(np.array(sides) == "limit", np.nan, ratios)
            ax.pcolormesh(shade, cmap="Greys", norm=LogNorm(0.6, 60), edgecolors="white", linewidth=0.5)
            for (i, j), r in np.ndenumerate(ratios):
                if np.isfinite(r):
                    lost = sides[j] in PEER_COLUMNS and r < 1
                    ax.text(
                        j + 0.5,
                        i + 0.5,
                        _number(r),
                        ha="center",
                        va="center",
                        fontsize=6.5,
                        color="white" if shade[i, j] > 8 else "black",
                        weight="bold" if lost else None,
                        bbox={"fill": False, "pad": 1.5} if lost else None,
                    )
            names = [
                f"{cell['name']} {cell['dtype']} {'n = ' * (cell['group'] == 'overhead')}{shape_of(cell)}"
                for cell in cells
            ]
            ax.set_yticks(np.arange(len(cells)) + 0.5, names, fontsize=6.5)
            ax.set_xticks(np.arange(len(sides)) + 0.5, sides, rotation=45, ha="left", fontsize=7)
            ax.tick_params(length=0, pad=1, top=True, labeltop=True, bottom=False, labelbottom=False)
            ax.invert_yaxis()
            ax.spines[:].set_visible(False)
            ax.set_title(re.sub(":.*?,", ",", title(groups[0], threads)), fontsize=8)
    return "time of the others / time of lossopt (medians); framed: lossopt is slower; limit: the machine's own"
