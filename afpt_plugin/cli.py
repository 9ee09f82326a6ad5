"""The command line: ``afpt tune``, ``classify``, ``evaluate`` and more.

What a user did wrong is one sentence on stderr and exit status 2; anything
else that goes wrong is a defect of ours and keeps its stack trace.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import os
import sys
from importlib import import_module

from afpt_plugin import __version__
from afpt_plugin.errors import exit_on_input_error

COMMANDS = (
    *("tune", "classify", "evaluate", "demo", "words", "mine"),
    *("push", "sweep", "report"),
)

EXAMPLE = """\
from your own classes to answers:
  afpt tune --class-names names.txt --output my_sounds
  afpt classify recordings/ --source my_sounds --output scores.csv
  afpt demo my_sounds

Each command has a --help with an example of its own.
"""


def make_parser():
    """The parser; what it parsed has ``run``, the subcommand's function.

    Example
    -------
    >>> make_parser().prog
    'afpt'
    """
    parser = argparse.ArgumentParser(
        prog="afpt",
        description="Audio-free prompt tuning: a classifier of sounds from\n"
        "class names or captions, without any labeled recording.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"afpt_plugin {__version__}"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"afpt_plugin.commands.{name}")
        module.add_parser(subparsers)
    return parser


def main(arguments=None):
    """Run a command line, by default the process's; the entry of ``afpt``.

    The exit status is returned, or 2 is raised after a mistake of the user's.

    Example
    -------
    >>> main(["--version"])
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    args = make_parser().parse_args(arguments)
    try:
        with exit_on_input_error():
            status = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # `afpt words EXPORT | head`: the reader has seen enough. Python would
        # complain once more when it closes stdout (its manual's remedy).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
