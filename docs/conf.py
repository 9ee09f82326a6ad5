"""Settings of the documentation site, `make docs`.

The repository itself is the source, and the README the first page, so links
between pages and to files are the same here and on GitHub.
"""

from pathlib import Path

from afpt_plugin import __version__

ROOT = Path(__file__).parents[1]

project = "afpt_plugin"
author = "The afpt_plugin developers"
copyright = f"2026, {author}"
root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("docs/**", "recipes/README.md", "recipes/*/README.md"),
    "afpt_plugin/assets/MODEL_CARD.md",
]
extensions = [
    *("myst_nb", "sphinx.ext.apidoc", "sphinx.ext.autodoc"),
    *("sphinx.ext.napoleon", "sphinx.ext.viewcode"),
]

html_theme = "furo"
html_title = f"afpt_plugin {__version__}"
html_show_sphinx = False

# The headings to which GitHub gives an anchor.
myst_heading_anchors = 3
# A test executes the notebook, whose outputs are stored.
nb_execution_mode = "off"

# A page of the API for each module.
apidoc_modules = [
    {
        "path": str(ROOT / "afpt_plugin"),
        "destination": "docs/api",
        "separate_modules": True,
        "module_first": True,
    }
]
# What a package imports is described where it is defined.
autodoc_default_options = {"ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
default_role = "py:obj"
# Two classes may have one name, then a link leads to either.
suppress_warnings = ["ref.python"]

PAGES = """
```{toctree}
:hidden:
:caption: Use it

Overview <self>
docs/install
docs/own_classes
docs/first_steps
docs/cli
```

```{toctree}
:hidden:
:caption: Experiments

recipes/README
recipes/ESC50/README
recipes/US8K/README
recipes/FSD2019/README
recipes/DCASE2019/README
recipes/OwnData/README
docs/results
docs/speed
docs/upstream
```

```{toctree}
:hidden:
:caption: Build on it
:glob:

docs/new_learner
docs/new_dataset
docs/new_backbone
docs/*
recipes/*/README
afpt_plugin/assets/MODEL_CARD
CONTRIBUTING
CHANGELOG
Python API <docs/api/modules>
```
"""


def add_pages(app, page, text):
    """Put the site's contents, which GitHub need not see, into the README."""
    if page == root_doc:
        text[0] += PAGES


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", add_pages)
