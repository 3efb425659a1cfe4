"""Did the compiler vectorize the hot loops? Reads gcc's own report for every level and fails where it did not.

A hot loop is one whose `for` line in src/lossopt/_kernels ends in `# hot`. For each C function that Cython made of it
(a precision, a loss) there must be a report that the loop was vectorized; `# hot 2` says that only two of them keep it.
Two things are checked besides, which stop vectorization or halve it in silence: no hidden zero-division check, no float
promoted to double without a cast.

python benchmarks/vectorized.py [-v]      needs gcc and Cython
"""

import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter, defaultdict

from Cython.Compiler.Main import CompilationOptions, compile

ROOT = pathlib.Path(__file__).parent.parent
KERNELS = ROOT / "src" / "lossopt" / "_kernels"
WIDEST = {"baseline": 16, "x86_v3": 32, "x86_v4": 64}  # bytes of a vector
SETUP = {}
exec((ROOT / "setup.py").read_text().partition("\nclass Build")[0], SETUP)


def hot_lines():
    """(file, line) of each hot loop, and how many copies it must have; None: all."""
    return {
        (path.name, number): int(match[1]) if match[1] else None
        for path in [*KERNELS.glob("*.pxd"), *KERNELS.glob("*.pyx")]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := re.search(r"# hot ?(\d*)$", line))
    }


def copies(c_file, hot):
    """How many C functions hold each hot line of this family, and of what it makes of csr.pxd."""
    found, function, where = defaultdict(set), "", None
    for line in c_file.read_text().splitlines():
        if line.startswith("#line"):
            match = re.match(r'#line (\d+) ".*_kernels/([^"]+)"', line)
            # math.pxd is every family's, and no more math's than theirs
            mine = match and match[2] != "math.pxd" and match[2].split(".")[0] in (c_file.stem, "csr")
            where = (match[2], int(match[1])) if mine else None
        elif line.startswith("static") and line.endswith("{"):
            function = line
        # Cython names a line more than once; the loop itself is where the C `for` stands
        elif where in hot and re.match(r"\s*for \(", line):
            found[where].add(function)
    return Counter({place: hot[place] or len(functions) for place, functions in found.items()})


def report(family, level, folder, hot):
    c_file = folder / f"{family}.c"
    options = CompilationOptions(
        compiler_directives=SETUP["DIRECTIVES"],
        include_path=[str(ROOT / "src")],
        emit_linenums=True,
        output_file=str(c_file),
    )
    name = family if family in SETUP["ONCE"] else f"{family}_{level}"
    compile(str(KERNELS / f"{family}.pyx"), options, full_module_name=f"lossopt._kernels.{name}")
    always = [flag for table in ("FLAGS", "HINTS", "OPENMP") for flag in SETUP[table]["unix"]]
    own = SETUP["LIGHTER"] if family in SETUP["ONCE"] else SETUP["LEVELS"][level]
    flags = [*always, *own["unix"], "-fPIC"]
    wanted = ["-fopt-info-vec-optimized", "-Wdouble-promotion", f"-I{sysconfig.get_path('include')}"]
    command = ["gcc", "-c", *flags, *wanted, str(c_file), "-o", str(c_file) + ".o"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    # a loop is reported for its main body, and again for its remainder, with shorter vectors
    vectorized = Counter()
    main = rf"_kernels/(\w+\.\w+):(\d+):\d+: optimized:\s+loop vectorized using {WIDEST[level]} byte"
    for name, number in re.findall(main, said):
        vectorized[name, int(number)] += 1
    trouble = [
        f"{level}: {name}:{number}: vectorized {vectorized[name, number]} times, wanted {count}"
        for (name, number), count in sorted(copies(c_file, hot).items())
        if vectorized[name, number] < count
    ]
    promoted = sorted(set(re.findall(r"_kernels/(\w+\.\w+:\d+):\d+: warning: implicit conversion", said)))
    trouble += [f"{level}: {place}: float promoted to double" for place in promoted]
    if "float division" in c_file.read_text():
        trouble.append(f"{level}: {family}: a hidden check for division by zero")
    return vectorized, trouble


def main():
    hot, trouble = hot_lines(), []
    with tempfile.TemporaryDirectory() as folder:
        for level in SETUP["LEVELS"]:
            # what is built for no level is looked at once
            once = SETUP["ONCE"] if level == "baseline" else []
            seen = {place for place in hot if not once and place[0].split(".")[0] in SETUP["ONCE"]}
            for family in SETUP["FAMILIES"] + once:
                vectorized, found = report(family, level, pathlib.Path(folder), hot)
                trouble += found
                seen |= vectorized.keys()
            # what a header shares is checked where some family uses it
            trouble += [f"{level}: {name}:{number}: not vectorized" for name, number in sorted(hot.keys() - seen)]
    print("\n".join(sorted(set(trouble))) or f"all {len(hot)} hot loops vectorized on {', '.join(SETUP['LEVELS'])}")
    return bool(trouble)


if __name__ == "__main__":
    sys.exit(main())
