#!/usr/bin/env python3
"""Write docs/cli.md and the outputs in docs/first_steps.ipynb.

To run this script, use the following command:
> python docs/write_pages.py

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import os
from pathlib import Path

from afpt_plugin.cli import make_parser

DOCS = Path(__file__).parent
CLI = DOCS / "cli.md"
NOTEBOOK = DOCS / "first_steps.ipynb"

START = """\
# The command line

What each command's `--help` prints, written by `python docs/write_pages.py`.
"""


def make_cli_page():
    """The text of docs/cli.md."""
    # What argparse asks for the width, and for colors
    os.environ.update(COLUMNS="80", NO_COLOR="1")
    parser = make_parser()
    (commands,) = (
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return START + "".join(
        f"\n## `{one.prog}`\n\n```text\n{one.format_help()}```\n"
        for one in (parser, *commands.values())
    )


def execute_notebook():
    """The notebook with new outputs; progress and warnings are left out."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times of the day
        if "outputs" in cell:
            cell.outputs = [
                output
                for output in cell.outputs
                if output.get("name") != "stderr"
            ]
    return notebook


if __name__ == "__main__":
    import nbformat

    CLI.write_text(make_cli_page(), encoding="utf-8")
    nbformat.write(execute_notebook(), NOTEBOOK)
