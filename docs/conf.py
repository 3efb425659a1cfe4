"""How Sphinx builds these pages: python -m sphinx -W --keep-going -b html docs docs/_build/html"""

import sys
from pathlib import Path

import lossopt as lo

sys.path.insert(0, str(Path(__file__).parent))  # for reference.py, which writes docs/reference/ before a build

project = "lossopt"
author = "The lossopt developers"
project_copyright = author
version = release = lo.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "reference"]
exclude_patterns = ["_build"]
default_role = "py:obj"
smartquotes = False  # "step" stays something to copy

autodoc_typehints = "none"  # the docstrings say it in words
autodoc_preserve_defaults = True
numpydoc_show_class_members = False  # reference.py lists them, those without a docstring too
python_maximum_signature_line_length = 84

html_theme = "pydata_sphinx_theme"
html_title = f"lossopt {version}"
html_show_sourcelink = False
# a page with no pages below it has no use for the left column
html_sidebars = {page.stem: [] for page in Path(__file__).parent.glob("*.rst")}
html_theme_options = {"navigation_depth": 3, "show_nav_level": 2, "show_toc_level": 2}
