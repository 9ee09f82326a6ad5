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
# What need not be searched, and apidoc's list of one package.
exclude_patterns = [
    *(".*", "build", "results", "site", "tests", "docs/api/modules.rst"),
]
extensions = [
    *("myst_nb", "sphinx.ext.apidoc", "sphinx.ext.autodoc"),
    *("sphinx.ext.napoleon", "sphinx.ext.viewcode"),
]

html_theme = "furo"
html_title = f"afpt_plugin {__version__}"
html_show_sphinx = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

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

#: What the sidebar has of the pages that are not the API's; other
#: pages of docs/ come at the end of the first group.
GROUPS = {
    "Use it": [
        *("Overview <self>", "docs/install", "docs/own_classes"),
        *("docs/first_steps", "docs/cli"),
    ],
    "Experiments": [
        *("recipes/README", "recipes/ESC50/README", "recipes/US8K/README"),
        *("recipes/FSD2019/README", "recipes/DCASE2019/README"),
        *("recipes/OwnData/README", "docs/results", "docs/speed"),
        "docs/upstream",
    ],
    "Build on it": [
        *("docs/new_learner", "docs/new_dataset", "docs/new_backbone"),
        *("recipes/methods/README", "recipes/MiniCLAP/README"),
        "mini-CLAP's model card <afpt_plugin/assets/MODEL_CARD>",
        *("CONTRIBUTING", "CHANGELOG", "Python API <docs/api/afpt_plugin>"),
    ],
}
NAMED = sum(GROUPS.values(), [])
GROUPS["Use it"] += [
    f"docs/{path.stem}"
    for path in sorted(ROOT.glob("docs/*.md"))
    if f"docs/{path.stem}" not in NAMED
]


def add_pages(app, page, text):
    """Put the sidebar, which GitHub need not see, into the README."""
    if page == root_doc:
        for title, pages in GROUPS.items():
            options = f":hidden:\n:caption: {title}\n"
            pages = "\n".join(pages)
            text[0] += f"\n```{{toctree}}\n{options}\n{pages}\n```\n"


def drop_authors(app, what, name, it, options, lines):
    """The footer has them."""
    if "Authors" in lines:
        del lines[lines.index("Authors") :]


def find_elsewhere(app, env, node, text):
    """Link a name that is another module's."""
    if node["reftype"] == "obj" and not node.get("refspecific"):
        node["refspecific"] = True
        found = (env, node["refdoc"], app.builder, "obj", node["reftarget"])
        return env.domains["py"].resolve_xref(*found, node, text)


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", add_pages)
    app.connect("autodoc-process-docstring", drop_authors)
    app.connect("missing-reference", find_elsewhere)
