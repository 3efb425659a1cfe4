"""Make benchmarks/RESULTS.md of what `lossopt bench --peers --json run.json` wrote, TRAINING.md with `--training`.

python benchmarks/results.py run.json [page of another machine]

What stands behind the figures of a lost cell is kept from the page before, so write why there.
"""

import json
import pathlib
import re
import sys

from lossopt.bench.table import GROUPS, heading, legend, losing, row, summary, title

UNSAID = "not looked into yet"


def markdown(found, remarks, page=""):
    peers, machine = found["plan"]["peers"], found["machine"]
    training, threads = bool(found["plan"]["training"]), {cell["threads"] for cell in found["cells"]}
    command = "lossopt bench" + " --training" * training + " --peers" * peers
    command += " --threads 1" * (threads == {1} and not training)
    lines = [
        "# Results of training" if training else "# Results",
        "",
        f"As `{command} --json run.json` and `python benchmarks/results.py run.json{page}` made it.",
        "",
        f"- machine: {machine['processor']}, {machine['cores']} cores, {machine['caches']}, {machine['memory']}; "
        f"{machine['system']}",
        f"- lossopt {found['lossopt']['lossopt']}, level {found['lossopt']['level']}, {found['lossopt']['compiler']}; "
        + ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        f"- {found['started']} UTC, {found['seconds']} s",
        "",
        legend(found["plan"]),
        "",
        *(f"- {line}" for line in summary(found)),
    ]
    if peers:
        lost = losing(found)
        lines += ["", f"## Where lossopt is slower than a peer: {len(lost)} of {len(found['cells'])} cells", ""]
        lines += [f"- {where}: {figures}; {remarks.get(where, UNSAID)}" for where, figures in lost.items()]
    for group, threads in dict.fromkeys((cell["group"], cell["threads"]) for cell in found["cells"]):
        head = heading(group, peers)
        lines += [
            "",
            f"## {title(group, threads)[:1].upper()}{title(group, threads)[1:]}",
            "",
            f"| {' | '.join(head)} |",
        ]
        lines.append(f"|{'---|' * 3}{'---:|' * (len(head) - 3)}")
        for cell in found["cells"]:
            if (cell["group"], cell["threads"]) == (group, threads):
                lines.append(f"| {' | '.join(row(cell, peers))} |")
    return "\n".join(lines) + "\n"


def remarks_of(text):
    """What was said of each lost cell."""
    groups = "|".join(GROUPS)
    found = re.findall(rf"^- ((?:{groups}) .*?, threads \d+): [^;]*; (.*)$", text, re.M)
    return {where: said for where, said in found if said != UNSAID}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    found = json.loads(pathlib.Path(sys.argv[1]).read_text())
    name = sys.argv[2] if len(sys.argv) == 3 else "TRAINING.md" if found["plan"]["training"] else "RESULTS.md"
    page = pathlib.Path(__file__).parent / name
    remarks = remarks_of(page.read_text() if page.exists() else "")
    page.write_text(markdown(found, remarks, "".join(f" {other}" for other in sys.argv[2:])))
