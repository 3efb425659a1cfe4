"""A Sphinx extension that writes docs/reference/ before each build, from the tables and the public names of lossopt.

Each public module gets a page: its table, where it has one, with a page for every entry, then a section for each of its
other public names. A new component needs nothing here; a public name that no page describes stops the build.
"""

import inspect
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sphinx.errors import ExtensionError

import lossopt as lo

PUBLIC = {name: getattr(lo, name) for name in lo.__all__}
TABLES = {name: thing for name, thing in PUBLIC.items() if isinstance(thing, dict)}


@dataclass
class Group:
    """What is public of one module; the names of a table's entries are those of their classes."""

    table: str | None = None
    entries: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def groups():
    """The public names by module, modules with a table first."""
    made = {}
    for name, table in TABLES.items():
        if missing := [cls.__name__ for cls in table.values() if PUBLIC.get(cls.__name__) is not cls]:
            raise ExtensionError(f"lossopt.__all__ lacks {', '.join(missing)} of {name}")
        entries = [cls.__name__ for cls in table.values()]
        made[module(PUBLIC[entries[0]])] = Group(name, entries)
    listed = {name for group in made.values() for name in [group.table, *group.entries]}
    for name in sorted(PUBLIC.keys() - listed, key=lambda name: (module(PUBLIC[name]), name)):
        made.setdefault(module(PUBLIC[name]), Group()).others.append(name)
    return made


def module(thing):
    """losses, for lossopt.losses and everything below it."""
    return [*getattr(thing, "__module__", "").split("."), "constants"][1]


def introduction(group):
    """The docstring of a module, without the title that the page has already."""
    found = sys.modules.get(f"lossopt.{group}")
    text = inspect.getdoc(found).removeprefix(f"{group.capitalize()}: ") if found else ""
    return text[:1].upper() + text[1:]


def first(text):
    """The first paragraph of a docstring, in one line."""
    return " ".join(text.split("\n\n")[0].split())


def heading(text, mark):
    return f"{text}\n{mark * len(text)}\n\n"


def methods(cls, leave=()):
    """Public methods and properties, inherited and undocumented ones too; bases first, as in the source."""
    bases = [c for c in reversed(cls.__mro__) if c.__module__.startswith("lossopt")]
    names = dict.fromkeys(name for c in bases for name in vars(c) if name == "__call__" or not name.startswith("_"))
    made = {name: inspect.getattr_static(cls, name) for name in names if not any(hasattr(c, name) for c in leave)}
    return {name: x for name, x in made.items() if isinstance(x, property) or callable(getattr(cls, name))}


def described(name, whole=False):
    """The directives that document one public name; unless whole, what a public base describes is left to it."""
    thing = PUBLIC[name]
    if not inspect.isclass(thing):
        return f".. {'autofunction' if callable(thing) else 'autodata'}:: lossopt.{name}\n\n"
    bases = [base for base in thing.__mro__[1:] if PUBLIC.get(base.__name__) is base]
    text = f".. autoclass:: lossopt.{name}\n" + ("   :show-inheritance:\n" if bases else "") + "\n"
    for method, x in methods(thing, leave=() if whole else bases).items():
        text += f"   .. {'autoproperty' if isinstance(x, property) else 'automethod'}:: {method}\n"
    return text + "\n"


def table_text(name, group):
    """A table: its name, a line for each entry, and the toctree of their pages."""
    rows = "".join(
        f'   * - :py:class:`~lossopt.{cls.__name__}`\n     - ``"{key}"``\n     - {first(inspect.getdoc(cls))}\n'
        for key, cls in TABLES[name].items()
    )
    pages = "".join(f"   {group}/{cls.__name__}\n" for cls in TABLES[name].values())
    return (
        f".. py:data:: lossopt.{name}\n\n   The classes below by their names, a dict.\n\n"
        ".. list-table::\n   :header-rows: 1\n   :widths: auto\n\n"
        f"   * - Class\n     - Name\n     - What it is\n{rows}\n"
        f".. toctree::\n   :hidden:\n\n{pages}\n"
    )


def pages():
    """Every page of the reference, by its path."""
    made = {}
    overview = "All names below are attributes of ``lossopt``, imported as ``lo`` in the examples.\n\n"
    for path, group in groups().items():
        alone = not group.table and len(group.others) == 1
        text = heading(group.others[0] if alone else path.capitalize(), "=") + introduction(path) + "\n\n"
        if group.table:
            text += table_text(group.table, path)
        for name in group.others:
            text += ("" if alone else heading(name, "-")) + described(name)
        made[path] = text
        for name in group.entries:
            made[f"{path}/{name}"] = heading(name, "=") + described(name, whole=True)
        links = ", ".join(f":py:obj:`~lossopt.{name}`" for name in [*group.entries, *group.others])
        overview += f":doc:`{path}`\n   {first(introduction(path))}\n\n   {links}\n\n"
    contents = "".join(f"   {path}\n" for path in made if "/" not in path)
    made["index"] = heading("Reference", "=") + overview + f".. toctree::\n   :hidden:\n\n{contents}"
    return made


def write(app):
    """Bring docs/reference/ up to date; a page that has not changed is not touched, so that it is not built again."""
    folder = Path(app.srcdir) / "reference"
    made = pages()
    for old in folder.glob("**/*.rst"):
        if old.relative_to(folder).with_suffix("").as_posix() not in made:
            old.unlink()
    for path, text in made.items():
        file = folder / f"{path}.rst"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def check(app, env):
    """Every public name is described on a page."""
    known = env.domains["py"].objects
    if missing := [name for name in PUBLIC if f"lossopt.{name}" not in known]:
        raise ExtensionError(f"no page of the reference describes {', '.join(missing)}")


def no_signature(app, what, name, thing, options, signature, returns):
    """A protocol is not constructed."""
    return ("", "") if what == "class" and getattr(thing, "_is_protocol", False) else None


def setup(app):
    app.connect("builder-inited", write)
    app.connect("env-check-consistency", check)
    app.connect("autodoc-process-signature", no_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
