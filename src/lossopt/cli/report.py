"""The report of a fit: one HTML page that needs nothing beside it."""

from __future__ import annotations

import io
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lossopt as lo

Array = NDArray[Any]

# coefficients beyond these are counted, not shown
_MOST_SHOWN = 40

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse } td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f5f5f5; padding: .7rem; overflow-x: auto; font-size: 13px }
.bar { display: inline-block; height: .7rem; background: #4477aa } .bar.minus { background: #cc6677 }
.half { display: inline-block; width: 9rem } .half.minus { text-align: right }
figure { margin: 1rem 0 } svg { max-width: 100%; height: auto } .quiet { color: #666 }
"""


@dataclass
class Report:
    """What a fit has to tell."""

    title: str
    summary: list[tuple[str, str]]
    history: lo.History
    features: list[str]
    weights: Array  # (outputs, features)
    outputs: list[str]  # their names; one needs none
    objective: str
    notes: list[str]
    command: str
    trainer: str  # as it was constructed
    data: str  # its SHA-256
    findings: list[lo.Finding] = field(default_factory=list)

    def html(self) -> str:
        """The page."""
        parts = [
            f"<h1>{escape(self.title)}</h1>",
            f'<p class="quiet">lossopt {lo.__version__}</p>',
            _table(self.summary),
            _section("Training", self._curves() + self._found()),
            _section("Coefficients", self._coefficients()),
            _section("The exact objective", f"<pre>{escape(self.objective)}</pre>"),
        ]
        if self.notes:
            notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
            parts.append(_section("Chosen and noticed", f"<ul>{notes}</ul>"))
        parts.append(_section("To do it again", self._again()))
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{escape(self.title)}</title>'
            f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
        )

    def _curves(self) -> str:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.4), layout="constrained")
        losses, rates = figure.subplots(1, 2, width_ratios=(2, 1))
        self.history.plot(ax=losses, findings=self.findings)
        rates.plot(np.arange(1, len(self.history) + 1), self.history["lr"])
        rates.set_xlabel("epoch")
        rates.set_ylabel("learning rate")
        rates.set_ylim(bottom=0)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        # an element of the page has no prologue
        return f"<figure>{text.getvalue()[text.getvalue().index('<svg') :]}</figure>"

    def _found(self) -> str:
        if not self.findings:
            return "<p>The curves show nothing that is wrong.</p>"
        return "<ul>" + "".join(f"<li>{escape(str(finding))}</li>" for finding in self.findings) + "</ul>"

    def _coefficients(self) -> str:
        k, d = self.weights.shape
        pairs = [(abs(w), w, i, j) for i, row in enumerate(self.weights.tolist()) for j, w in enumerate(row)]
        pairs.sort(key=lambda pair: -pair[0])
        most = pairs[0][0] if pairs and pairs[0][0] else 1.0
        rows = []
        for size, w, i, j in pairs[:_MOST_SHOWN]:
            bar = f'<span class="bar{" minus" if w < 0 else ""}" style="width: {9 * size / most:.2f}rem"></span>'
            left, right = (bar, "") if w < 0 else ("", bar)
            halves = f'<span class="half minus">{left}</span><span class="half">{right}</span>'
            output = f"<td>{escape(self.outputs[i])}</td>" if k > 1 else ""
            rows.append(
                f'<tr><td>{escape(self.features[j])}</td>{output}<td class="number">{w:.4g}</td><td>{halves}</td></tr>'
            )
        zeros, rest = int((self.weights == 0).sum()), len(pairs) - len(rows)
        told = f"{zeros} of {k * d} are exactly zero." + (f" The {rest} nearest to zero are not shown." if rest else "")
        return f"<p>By size, of scaled columns. {told}</p><table>{''.join(rows)}</table>"

    def _again(self) -> str:
        rows = [("data, SHA-256", self.data), ("lossopt", lo.__version__), ("numpy", np.__version__)]
        rows += [("python", platform.python_version()), ("kernels", str(lo.info()["level"]))]
        return f"<pre>{escape(self.command)}</pre><p>which trains</p><pre>{escape(self.trainer)}</pre>{_table(rows)}"


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows) + "</table>"
