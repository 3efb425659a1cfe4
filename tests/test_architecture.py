"""The rules of the house: which module may import which, what kernels are made of, what every class says of itself."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
import types
from importlib import resources
from pathlib import Path

import pytest

import lossopt as lo

from . import cases

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lossopt"

# Imports run upwards in this table: a module may import those of the lines below its own, and `_kernels` only itself.
LAYERS = (
    {"__main__"},
    {"cli", "bench", "sklearn", "torch", "dask", "surfaces", "plot"},  # leaves
    {"__init__"},
    {"trainer", "many", "rates"},
    {"solvers", "models", "averages", "callbacks", "history", "diagnosis", "checkpoint"},
    {"objective", "explanations"},
    {"losses", "custom", "ranking", "penalties", "optimizers", "schedules"},
    {"_arrays", "_component", "_interrupt", "_picture", "_refused", "runtime"},
    {"_kernels"},
)
# within a line: only these
BESIDE = {
    ("cli", "bench"),
    ("cli", "plot"),
    ("custom", "losses"),
    ("models", "checkpoint"),
    ("ranking", "losses"),
    ("objective", "explanations"),
    ("optimizers", "penalties"),
    ("optimizers", "schedules"),
    ("penalties", "schedules"),
    ("history", "diagnosis"),
    ("many", "trainer"),
    ("rates", "trainer"),
}
# for the eyes of type checkers only
TYPES = {("callbacks", "trainer"), ("explanations", "objective"), ("explanations", "trainer")}
# frameworks that a module may import, leaves anywhere, the others inside a function
FRAMEWORKS = {
    "cli": {"sklearn", "matplotlib", "tqdm", "pandas"},
    "bench": {"torch", "jax", "optax", "sklearn", "thinc", "scipy", "matplotlib"},
    "sklearn": {"sklearn", "scipy", "joblib"},  # which scikit-learn needs itself
    "torch": {"torch"},
    "dask": {"dask", "distributed", "tqdm"},
    "plot": {"matplotlib"},
    "trainer": {"tqdm"},
    "history": {"pandas"},
    "callbacks": {"tqdm", "tensorboardX"},
    "_picture": {"matplotlib"},
    "solvers": {"scipy"},
    "runtime": {"threadpoolctl"},
}
LEAVES = LAYERS[1]
# the classes made to be subclassed, and those that a table's entries share; every other one is final
ABSTRACT = {"Component", "Loss", "Penalty", "Optimizer", "Schedule", "Callback"}
SHARED = {
    "_WithBetas",
    "_Compiled",
    "_Adam",
    "_OneByOne",
    "_OfClasses",
    "_Strong",
    "_Separable",
    "_Bounded",
    "_Average",
    "Estimator",
    "Linear",
    "Thinned",
    "Classifier",
    "Regressor",
    "Logistic",
    "Stochastic",
    "_Descent",
    "_Perceptron",
    "_Folded",
    "_PathCV",
    "_Sparse",
    "_Outside",
    "_Ranking",
    "_Saved",
}

FILES = sorted(SOURCE.rglob("*.py"))
files = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))


def module_of(file):
    """The name in LAYERS that a file belongs to: its own, or its folder's."""
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return parts[0] if len(parts) > 1 or parts[0] != "__init__" else "__init__"


def imports(file):
    """(imported module, whether inside a function, whether under TYPE_CHECKING) for each import of a file."""
    package = ["lossopt", *file.relative_to(SOURCE).parts[:-1]]

    def visit(node, inside, typing):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from lossopt import losses` imports a module, `from lossopt.losses import Loss` a name
                yield (f"{base}.{alias.name}" if base == "lossopt" else base), inside, typing
        for child in ast.iter_child_nodes(node):
            deeper = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            hidden = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            yield from visit(child, inside or deeper, typing or hidden)

    yield from visit(ast.parse(file.read_text()), False, False)


def line_of(module):
    return next(i for i, layer in enumerate(LAYERS) if module in layer)


def allowed(module, other, typing):
    if module == other:  # the files of a folder
        return True
    return line_of(other) > line_of(module) or (module, other) in BESIDE or (typing and (module, other) in TYPES)


@files
def test_every_module_stands_in_the_table(file):
    assert sum(module_of(file) in layer for layer in LAYERS) == 1, f"{file} has no place in LAYERS"


@files
def test_imports_run_one_way(file):
    module = module_of(file)
    for name, _, typing in imports(file):
        if name.split(".")[0] == "lossopt":
            other = f"{name}.__init__".split(".")[1]
            # a name of the package itself, such as lossopt.MSE, comes from its __init__
            other = other if any(other in layer for layer in LAYERS) else "__init__"
            assert allowed(module, other, typing), f"{module} must not import {name}"


@files
def test_frameworks_stay_in_their_places(file):
    module = module_of(file)
    for name, inside, _ in imports(file):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in ("numpy", "lossopt"):
            continue
        assert top in FRAMEWORKS.get(module, ()), f"{module} must not import {top}"
        # leaves that start without frameworks, and use what is installed
        assert inside or module in LEAVES - {"cli", "bench"}, f"{module} must import {top} inside a function"


def test_the_rules_can_be_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    for name, text, broken in (
        ("losses", "from lossopt import trainer", test_imports_run_one_way),
        ("losses", "from .trainer import Trainer", test_imports_run_one_way),
        ("losses", "def f():\n    import lossopt.trainer", test_imports_run_one_way),
        ("losses", "import lossopt.penalties", test_imports_run_one_way),
        ("losses", "if TYPE_CHECKING:\n    from lossopt import trainer", test_imports_run_one_way),
        ("_arrays", "from lossopt import MSE", test_imports_run_one_way),
        ("_kernels", "from lossopt import _arrays", test_imports_run_one_way),
        ("history", "import matplotlib", test_frameworks_stay_in_their_places),
        ("losses", "def f():\n    from scipy.special import expit", test_frameworks_stay_in_their_places),
        ("cli", "import pandas", test_frameworks_stay_in_their_places),
        ("helpers", "", test_every_module_stands_in_the_table),
    ):
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        with pytest.raises(AssertionError):
            broken(file)


@files
def test_no_dispatch_by_hasattr(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr":
            # what an operating system offers is another matter
            assert ast.unparse(node.args[0]) == "os"


# ---- classes


def classes():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                yield file, node


def test_classes_are_abstract_or_final():
    ours = {node.name for _, node in classes()}
    written = {ast.unparse(base) for _, node in classes() for base in node.bases}
    bases = {base.split(".")[-1] for base in written if not base.startswith("torch.")} & ours
    assert bases <= ABSTRACT | SHARED, f"{sorted(bases - ABSTRACT - SHARED)} have subclasses, and are not abstract"


@pytest.mark.parametrize("cls", [lo.Loss, lo.Penalty, lo.Optimizer, lo.Schedule], ids=lambda cls: cls.__name__)
def test_abstract_classes_make_no_objects(cls):
    tables = (table.values() for table, _ in cases.TABLES.values())
    for abstract in {cls, *subclasses(cls)} - {lo.CustomLoss}.union(*tables):
        with pytest.raises(TypeError, match="abstract"):
            abstract()


def subclasses(cls):
    """Those of lossopt, of any depth."""
    own = [one for one in cls.__subclasses__() if one.__module__.startswith("lossopt.")]
    return {*own, *(deeper for one in own for deeper in subclasses(one))}


PUBLIC = [getattr(lo, name) for name in lo.__all__ if inspect.isclass(getattr(lo, name))]
FORMULAS = [
    cls for table in (lo.LOSSES, lo.RANKINGS, lo.PENALTIES, lo.OPTIMIZERS, lo.SCHEDULES) for cls in table.values()
]


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_class_says_what_it_is(cls):
    assert "__doc__" in vars(cls)
    text = inspect.getdoc(cls)
    assert text[0].isupper()
    assert text.splitlines()[0].endswith((".", ":"))
    if cls.__name__ not in ABSTRACT | {"Model"}:
        assert "\nExamples\n--------\n>>> " in text
    if inspect.signature(cls).parameters and cls.__name__ not in ABSTRACT | {"Model", "History"}:
        assert "\nParameters\n----------\n" in text
    for name, method in vars(cls).items():
        if inspect.isfunction(method) and not name.startswith(("_", "on_")) and cls.__name__ != "Model":
            assert inspect.getdoc(method), f"{cls.__name__}.{name} has no docstring"


@pytest.mark.parametrize("cls", FORMULAS, ids=lambda cls: cls.__name__)
def test_every_formula_names_its_source(cls):
    assert re.search(r"\bSource: \S", inspect.getdoc(cls)) or "\nReferences\n----------\n" in inspect.getdoc(cls)


def test_tables_hold_every_final_class():
    tables = {lo.Penalty: lo.PENALTIES, lo.Optimizer: lo.OPTIMIZERS, lo.Schedule: lo.SCHEDULES}
    # a loss that is its user's own is no entry
    tables[lo.Loss] = lo.LOSSES | lo.RANKINGS | {"": lo.CustomLoss}
    for base, table in tables.items():
        assert {cls for cls in subclasses(base) if cls.__name__ not in SHARED} == set(table.values())
        assert all(getattr(lo, cls.__name__) is cls for cls in table.values())


# ---- kernels: text, for Cython has no ast here

KERNELS = SOURCE / "_kernels"
PYX = sorted(KERNELS.glob("*.pyx"))  # capi stands above them
HEADERS = [file for file in sorted(KERNELS.glob("*.pxd")) if file.stem != "abi"]
OUTSIDE = {"cython", "libc", "cpython"}


def cimported(file):
    text = file.read_text()
    return re.findall(r"^\s*from\s+(\S+)\s+cimport\b", text, re.M) + re.findall(r"^\s*cimport\s+([\w.]+)", text, re.M)


@pytest.mark.parametrize("file", PYX + HEADERS, ids=lambda file: file.name)
def test_kernels_cimport_headers_and_abi_only(file):
    headers = {f"lossopt._kernels.{header.stem}" for header in [*HEADERS, KERNELS / "abi.pxd"]}
    names = cimported(file)
    assert all(name in headers or name.split(".")[0] in OUTSIDE for name in names), names
    assert len(names) == len(re.findall(r"\bcimport\b", re.sub(r"#.*", "", file.read_text())))
    # at Python's level kernels import nothing of lossopt at all
    assert not re.search(r"^\s*(from lossopt\S* import|import lossopt)", file.read_text(), re.M)


def check_header(text):
    """Structs, enums, what C gives, and functions that are inline and hold neither the lock nor an exception."""
    code = re.sub(r"#.*", "", text)
    heads = re.findall(r"^(?:cdef|cpdef|def|class|if|import|DEF|IF)\b.*?:\s*$", code, re.M | re.S)
    types = re.compile(r"cdef (struct \w+|enum( \w+)?|extern from [^\n]*):")
    functions = [head.strip() for head in heads if not types.match(head)]
    for function in functions:
        assert re.match(r"cdef inline [^:]*\([^:]*\) noexcept nogil:$", function), function
    return functions


@pytest.mark.parametrize("file", HEADERS, ids=lambda file: file.name)
def test_headers_hold_inline_functions_and_structs_only(file):
    assert check_header(file.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "cdef double f(double x) noexcept nogil:\n    return x\n",
        "cdef inline double f(double x) nogil:\n    return x\n",
        "cdef inline double f(double x,\n                     double y) noexcept:\n    return x\n",
        "cdef double f(double x) noexcept nogil\n\ncdef inline void g() noexcept nogil:\n    pass\n",
        "cdef class Loss:\n    pass\n",
        "def f():\n    pass\n",
    ],
)
def test_the_rules_of_headers_can_be_broken(text):
    with pytest.raises(AssertionError):
        check_header("cdef struct c:\n    int i\n\n" + text)


def test_nothing_is_templated_or_generated():
    for ending in ("*.pxi", "*.tp", "*.in", "*.c", "*.cpp", "*.jinja*"):
        assert not list(SOURCE.rglob(ending))


def test_levels_and_families_are_those_that_are_built():
    setup = ast.parse((ROOT / "setup.py").read_text())
    assigned = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in setup.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) in ("LEVELS", "FAMILIES", "ONCE", "FLAGS", "HINTS")
    }
    kernels = sys.modules["lossopt._kernels"]
    assert list(assigned["LEVELS"]) == list(kernels.LEVELS)
    assert assigned["FAMILIES"] == list(kernels.FAMILIES)
    assert {file.stem for file in KERNELS.glob("*.pyx")} == {*assigned["FAMILIES"], *assigned["ONCE"]}
    flags = str([assigned["FLAGS"], assigned["HINTS"], assigned["LEVELS"]])
    assert "-ffp-contract=off" in assigned["FLAGS"]["unix"]
    assert not re.search("fast-math|Ofast|fp:fast|unsafe-math|associative-math|reciprocal-math|finite-math", flags)


def test_every_kernel_has_a_twin():
    kernels = sys.modules["lossopt._kernels"]
    reference = kernels.load("reference")
    for level in kernels.available:
        for family in kernels.FAMILIES:
            # a pass is the address of a kernel that has a twin
            listed = vars(getattr(kernels.load(level), family))
            names = {name for name in listed if not name.startswith("_") and not name.endswith("_pass")}
            assert names <= set(vars(getattr(reference, family)))


# ---- the package


def test_all_is_complete_and_names_nothing_twice():
    public = [n for n, x in vars(lo).items() if not n.startswith("_") and not isinstance(x, types.ModuleType)]
    assert sorted(lo.__all__) == sorted(public)


def test_package_data():
    package = resources.files("lossopt")
    assert (package / "py.typed").is_file()
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert given["include-package-data"] is False
    for package, data in (("lossopt", SOURCE), ("lossopt._kernels", KERNELS)):
        assert package in given["packages"]
        # the kernels' own headers are no client's
        endings = ("*.pyi",) if data is KERNELS else ("*.pxd", "*.pyi", "py.typed", "include/*.h")
        wanted = {file.name for ending in endings for file in data.glob(ending)}
        patterns = given["package-data"][package]
        assert wanted == {file.name for pattern in patterns for file in data.glob(pattern)}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_brings_no_framework():
    frameworks = {"scipy", "sklearn", "torch", "matplotlib", "tqdm", "pandas", "jax", "numba", "dask", "hypothesis"}
    loaded = run("import sys, lossopt, lossopt.cli; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "lossopt" in loaded
    assert not frameworks & set(loaded)


def test_import_leaves_subnormals_alone():
    code = "import lossopt, numpy as np; print(5e-324 * 1.0, (np.full(99, 5e-324) * np.ones(99)).min())"
    assert run(code) == "5e-324 5e-324"
