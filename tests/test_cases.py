"""The tables are complete, and what they hold is its constructor's arguments: in print, in a pickle and in a copy."""

from __future__ import annotations

import copy
import doctest
import importlib.util
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import lossopt as lo

from . import cases

ROOT = Path(__file__).parents[1]
ENTRIES = [pytest.param(table, name, id=name) for table, (classes, _) in cases.TABLES.items() for name in classes]
ROWS = [pytest.param(cls, row, id=label) for table in cases.TABLES for label, cls, row in cases.walk(table)]


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_every_entry_has_a_row_an_example_and_a_public_name(table, name):
    classes, rows = cases.TABLES[table]
    cls = classes[name]
    assert rows.get(name), f"tests/cases.py has no row for {cls.__name__}: add one to {table.upper()}[{name!r}]"
    before, heading, examples = (cls.__doc__ or "").partition("Examples\n")
    assert before.strip()
    assert heading
    assert doctest.DocTestParser().get_examples(examples), f"{cls.__name__} has no example that doctest can run"
    assert getattr(lo, cls.__name__) is cls
    assert name.replace("_", "") == cls.__name__.lower()


@pytest.fixture(scope="module")
def measured():
    """What the benchmarks walk."""
    listed = [sys.executable, "-m", "pytest", "--collect-only", "-q", "benchmarks"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def pages():
    """What the reference is made of; Sphinx, which builds it, need not be there."""
    sphinx, errors = types.ModuleType("sphinx"), types.ModuleType("sphinx.errors")
    errors.ExtensionError = RuntimeError
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs" / "reference.py")
    made = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in (("sphinx", sphinx), ("sphinx.errors", errors), ("reference_pages", made)):
            patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(made)
        return made.pages()


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_every_entry_is_measured_and_has_a_page(table, name, measured, pages):
    assert re.search(rf"[\[-]{name}-\d", measured), f"benchmarks/test_kernels.py does not measure {name}"
    page = [text for path, text in pages.items() if path.endswith(f"/{cases.TABLES[table][0][name].__name__}")]
    assert len(page) == 1
    assert ".. autoclass:: " in page[0]


@pytest.mark.parametrize("table", cases.TABLES)
def test_no_row_without_an_entry(table):
    classes, rows = cases.TABLES[table]
    assert rows.keys() <= classes.keys()


@pytest.mark.parametrize(("cls", "row"), ROWS)
def test_repr_pickle_and_copy_make_it_again(cls, row):
    made = row.make(cls)
    again = [eval(repr(made), {"__builtins__": {}}, vars(lo)), pickle.loads(pickle.dumps(made))]
    for other in (*again, copy.copy(made), copy.deepcopy(made)):
        assert type(other) is cls
        assert repr(other) == repr(made)
        for name, value in row.kwargs.items():
            assert repr(getattr(other, name)) == repr(value)
