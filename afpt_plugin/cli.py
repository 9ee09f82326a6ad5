"""The command line: ``afpt tune``, ``classify``, ``evaluate`` and more.

A user's mistake gives one sentence on stderr and exit status 2. Any other
error is a bug in this package and keeps its stack trace.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import os
import re
import sys
from importlib import import_module

from afpt_plugin import __version__
from afpt_plugin.errors import did_you_mean, exit_on_input_error

COMMANDS = (
    *("tune", "classify", "evaluate", "demo", "words", "mine"),
    *("push", "sweep", "report"),
)

EXAMPLE = """\
from class names to scores:
  afpt tune --class-names names.txt --output my_sounds
  afpt classify recordings/ --source my_sounds --output scores.csv
  afpt demo my_sounds

Each command has a --help with an example of its own.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose error messages are one sentence, with the nearest name.

    Example
    -------
    >>> parser = Parser(prog="afpt")
    >>> _ = parser.add_argument("--seed", type=int)
    >>> parser.parse_args(["--seed", "1"]).seed
    1
    """

    def parse_known_args(self, args=None, namespace=None):
        """Refuse an unknown option here, where the known ones can be listed."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            hint = did_you_mean(name, self._option_string_actions)
            self.error(f"{name} is not an option{hint}")
        return found, unknown

    def error(self, message):
        """Print the error in one line, without the usage that --help shows."""
        choice = re.search(
            r"invalid choice: '(.*?)' \(choose from (.*)\)", message
        )
        if choice:
            names = [name.strip(" '") for name in choice[2].split(",")]
            message += did_you_mean(choice[1], names)
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def make_parser():
    """Make the parser; its result has ``run``, the subcommand's function.

    Example
    -------
    >>> make_parser().prog
    'afpt'
    """
    parser = Parser(
        prog="afpt",
        description="Adapt CLAP to your sounds, from class names, captions or\n"
        "labeled recordings (audio-free prompt tuning and other methods).",
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
    """Run a command line, by default the process's: ``afpt``'s entry point.

    It returns the exit status; after a user's mistake, it raises `SystemExit`
    with status 2.

    Example
    -------
    >>> main(["--version"])
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    args = make_parser().parse_args(arguments)
    # Threads that spin while they wait would take cores from other processes,
    # and then have to wait for these. Must be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with exit_on_input_error():
            status = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe, as in `afpt words EXPORT | head`. Python
        # would raise again when it closes stdout; its manual suggests this.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
