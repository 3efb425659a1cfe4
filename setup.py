"""Builds the kernels: every family once for each row of LEVELS, the rest once. All else is in pyproject.toml."""

import os
import platform
import sys
import tempfile

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Instruction sets beyond the compiler's default, best last; their names are those of lossopt._kernels.
# `unix` is gcc and clang.
LEVELS = {
    "baseline": {"unix": [], "msvc": []},
    "x86_v3": {"unix": ["-march=x86-64-v3"], "msvc": ["/arch:AVX2"]},
    "x86_v4": {"unix": ["-march=x86-64-v4", "-mprefer-vector-width=512"], "msvc": ["/arch:AVX512"]},
}
if platform.machine().lower() not in {"x86_64", "amd64"}:
    LEVELS = {"baseline": LEVELS["baseline"]}

# No flag may let the compiler contract or reorder arithmetic: x86_v3 and x86_v4 give the same bits.
FLAGS = {
    "unix": ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"],
    "msvc": ["/O2", "/fp:precise"],
}
# Taken where the compiler knows them. They keep gcc from making scalars of vectors: copies of a few numbers become
# memcpy, which it takes to touch everything; exp and log are not inlined any more in the middle of a file; loops of
# sixteen lanes are unrolled before it looks for vectors; loops over six arrays are vectorized as well, after a look
# whether they overlap. The last two make copies that cost a twentieth of the size and gain nothing.
HINTS = {
    "unix": [
        "-fno-tree-loop-distribute-patterns",
        "--param=inline-unit-growth=400",
        "--param=max-completely-peel-times=3",
        "--param=vect-max-version-for-alias-checks=30",
        "-fno-ipa-cp-clone",
        "-fno-loop-unroll-and-jam",
    ],
    "msvc": [],
}
# For what is built once, which calls kernels and has next to no loops of its own.
LIGHTER = {"unix": ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic"], "msvc": []}
LINK = {"unix": [] if sys.platform == "darwin" else ["-Wl,-s"], "msvc": []}
OPENMP = {"unix": ["-fopenmp"], "msvc": ["/openmp"]}

FAMILIES = ["losses", "linear", "activations", "penalties", "updates", "math"]  # built once a level
ONCE = ["abi", "loop"]  # built for no level, as capi is

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "freethreading_compatible": True,
    "auto_pickle": False,  # nothing compiled is pickled by its members
    "binding": False,  # doors are called, not looked into: a tenth less to download
}


class Build(build_ext):
    """build_ext that knows each compiler's flags and looks before it builds."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        if not self._compiles(""):
            command = getattr(self.compiler, "compiler", ["the C compiler"])[0]
            raise SystemExit(
                f"lossopt: cannot compile its kernels: {command} is missing or does not work. Install a C compiler "
                "(Debian, Ubuntu: apt install gcc libc6-dev; macOS: xcode-select --install; Windows: Build Tools for "
                "Visual Studio) and try again."
            )
        if not self._compiles("#include <Python.h>"):
            raise SystemExit(
                "lossopt: cannot compile its kernels: Python's headers are missing. Install them (Debian, Ubuntu: "
                "apt install python3-dev) and try again."
            )
        wanted = os.environ.get("LOSSOPT_OPENMP") != "0"
        threads = OPENMP[kind] if wanted and self._compiles("#include <omp.h>", OPENMP[kind]) else []
        hints, lighter = ([x for x in table[kind] if self._compiles("", [x])] for table in (HINTS, LIGHTER))
        flags = FLAGS[kind] + hints + threads
        quote = '\\"' if kind == "msvc" else '"'
        for extension in self.extensions:
            # what `lossopt info` says of this build
            extension.define_macros = [("LOSSOPT_FLAGS", quote + " ".join(flags) + quote)]
            extension.extra_compile_args = flags + (
                lighter if extension.level == "once" else LEVELS[extension.level][kind]
            )
            extension.extra_link_args = LINK[kind] + (threads if kind == "unix" else [])
        super().build_extensions()

    def _compiles(self, include, flags=()):
        """Whether a C program builds so; what the compiler says of it is nobody's business."""
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "probe.c")
            with open(source, "w") as file:
                file.write(f"{include}\nint main(void) {{ return 0; }}\n")
            saved = os.dup(2)
            with open(os.devnull, "w") as null:
                os.dup2(null.fileno(), 2)
            try:
                objects = self.compiler.compile([source], output_dir=folder, extra_postargs=list(flags))
                self.compiler.link_executable(objects, os.path.join(folder, "probe"), extra_postargs=list(flags))
            except Exception:
                return False
            finally:
                os.dup2(saved, 2)
                os.close(saved)
        return True


def compiled(names, level, ending="", package="lossopt._kernels"):
    """One extension a name; the same sources serve every level, so each level has its own folder of generated C."""
    made = cythonize(
        [Extension(f"{package}.{name}{ending}", [f"src/{package.replace('.', '/')}/{name}.pyx"]) for name in names],
        build_dir=f"build/cython/{level}",
        compiler_directives=DIRECTIVES,
        include_path=["src"],
        quiet=True,
    )
    for extension in made:
        extension.level = level
    return made


if __name__ == "__main__":
    extensions = compiled(ONCE, "once") + compiled(["capi"], "once", package="lossopt")
    for level in LEVELS:
        extensions += compiled(FAMILIES, level, f"_{level}")
    setup(ext_modules=extensions, cmdclass={"build_ext": Build})
