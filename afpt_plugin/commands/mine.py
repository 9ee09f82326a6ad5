"""``afpt mine``: pick captions for class names from a corpus.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import os
import sys
from pathlib import Path

from afpt_plugin.commands import write_table
from afpt_plugin.errors import InputError, refuse_unwritable

DESCRIPTION = """\
Pick the captions of a corpus that name one of your classes.

The corpus is a table with one or more columns of captions (AudioCaps; Clotho's
caption_1 to caption_5), or JSON (WavCaps). A caption gets the label of every
class that it names, by the class name or by a synonym, in any inflection. The
command prints the number of captions of each class and the phrase that found
most of them. For a class that no caption names it prints a warning and puts the
class name into templates instead, so that `afpt tune --captions` can learn
every class.
"""

EXAMPLE = """\
example:
  printf 'dog: [puppy, hound]\\n' > synonyms.yml
  afpt mine clotho.csv --class-names names.txt --synonyms synonyms.yml \\
      --output captions.csv
  afpt tune --class-names names.txt --captions captions.csv --output my_sounds
"""


def add_parser(subparsers):
    """Add the subcommand to the subparsers of `afpt`.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["mine", "corpus.csv", "--class-names", "names.txt"]).corpus
    'corpus.csv'
    """
    parser = subparsers.add_parser(
        "mine",
        help="pick captions for your class names from a corpus",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "corpus", metavar="CORPUS", help="CSV file with a header, or JSON"
    )
    parser.add_argument(
        "--class-names",
        required=True,
        metavar="FILE",
        help="text file with one class name per line",
    )
    parser.add_argument(
        "--synonyms",
        metavar="FILE",
        help="YAML file with lines like 'dog: [puppy, not hot dog]'; a phrase "
        "that starts with 'not ' rules out what it names",
    )
    parser.add_argument(
        "--text-column",
        metavar="NAME",
        help="the corpus's column of captions (default: all of caption_1, "
        "caption_2, ..., or else caption, captions, text, sentence or raw)",
    )
    parser.add_argument(
        "--max-per-class",
        type=int,
        metavar="N",
        help="choose at most N captions per class at random",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of that choice (default: 0)",
    )
    for option, content in (
        ("--output", "the captions to (columns: caption,label)"),
        ("--report", "the hits of each class to, with examples"),
        ("--skipped", "the skipped rows to, with the reasons"),
    ):
        text = f"CSV file to write {content}"
        parser.add_argument(option, metavar="FILE", help=text)
    parser.add_argument(
        "--hits-only",
        action="store_true",
        help="write no templates for classes without a hit",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace output files that exist",
    )
    parser.set_defaults(run=run)


def run(args):
    """Mine captions, print the hits, write the requested files; return 0."""
    from afpt_plugin.data.captions import template_captions, write_captions
    from afpt_plugin.data.mining import mine_captions
    from afpt_plugin.data.tables import read_class_names

    taken = {
        os.path.realpath(path): what
        for path, what in (
            (args.corpus, "the corpus"),
            (args.class_names, "the file of class names"),
            (args.synonyms, "the file of synonyms"),
        )
        if path
    }
    for path in filter(None, (args.output, args.report, args.skipped)):
        if Path(path).exists() and not args.overwrite:
            raise InputError(
                f"{path} exists; name another file, or give --overwrite to "
                "replace it"
            )
        place = os.path.realpath(path)
        if place in taken:
            raise InputError(f"{path} is {taken[place]}; name another file")
        taken[place] = "another output, too"
    class_names = read_class_names(args.class_names)
    captions, report = mine_captions(
        *(args.corpus, class_names, args.synonyms, args.text_column),
        *(args.max_per_class, args.seed),
    )
    sys.stdout.write(f"{report}\n")
    if report.missing:
        instead = "these classes have no caption in the output"
        if not args.hits_only:
            instead = "the output has their names in templates"
            captions += [
                caption
                for caption in template_captions(class_names)
                if class_names[caption.labels[0]] in report.missing
            ]
        sys.stderr.write(
            f"warning: no caption of {args.corpus} names "
            f"{', '.join(map(repr, report.missing))}; {instead}. Give further "
            "names of these classes with --synonyms\n"
        )
    if args.output:
        with refuse_unwritable(args.output):
            write_captions(args.output, captions, class_names)
        several = sum(len(caption.labels) > 1 for caption in captions)
        sys.stdout.write(
            f"{args.output} holds {len(captions)} captions, {several} with "
            "several labels (for --multi-label).\n"
        )
    if args.report:
        examples = report.classes["examples"].map(" | ".join)
        write_table(report.classes.assign(examples=examples), args.report)
    if args.skipped:
        write_table(report.skipped, args.skipped)
    return 0
