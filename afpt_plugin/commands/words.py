"""``afpt words``: show the vocabulary's words nearest to learned vectors.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import sys

from afpt_plugin.commands import write_table
from afpt_plugin.errors import InputError

DESCRIPTION = """\
Show the vocabulary words nearest to each learned vector.

Nearest in Euclidean distance, as in the table of the CoOp paper, with the
cosine beside it; and how far each vector moved from where it started. A vector
that started at random need not lie near any word.
"""

EXAMPLE = """\
example:
  afpt words my_sounds --top 3 --output words.csv
"""


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "words",
        help="nearest vocabulary words of the learned vectors",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "export",
        metavar="EXPORT",
        help="folder that `afpt tune` wrote, or the export/ folder of a run",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=5,
        metavar="N",
        help="words shown for each vector (default: 5)",
    )
    for option, text in (
        ("--weights", "local checkpoint of the CLAP that the export names"),
        ("--output", "where to write the table, as CSV"),
    ):
        parser.add_argument(option, metavar="FILE", help=text)
    parser.set_defaults(run=run)


def run(args):
    """Print the table, and write it if requested; return the exit status."""
    from afpt_plugin.backbones import load_clap
    from afpt_plugin.export import read_export

    if args.top < 1:
        raise InputError(f"--top is {args.top}; give at least 1")
    export = read_export(args.export)
    clap = load_clap(export.clap, args.weights)
    table = nearest_words(export.make_learner(clap), clap, args.top)
    if args.output:
        write_table(table, args.output)
    for context, rows in table.groupby("context"):
        sys.stdout.write(
            f"{context}\n{'vector':>6}  {'start':12} {'moved':>6}  "
            "nearest words (distance, cosine)\n"
        )
        for vector, words in rows.groupby("vector"):
            first = words.iloc[0]
            near = ", ".join(
                f"{row.word} ({row.distance:.2f}, {row.cosine:.2f})"
                for row in words.itertuples()
            )
            sys.stdout.write(
                f"{vector:6}  {first.start or '(random)':12} "
                f"{first.moved:6.3f}  {near}\n"
            )
    return 0


def nearest_words(learner, clap, top=5):
    """Find the words of the vocabulary nearest to each learned vector.

    Arguments
    ---------
    learner : Learner
        A learner with vectors among the tokens, see `Learner.token_vectors`.
    clap : FrozenClap
        The learner's backbone.
    top : int
        Number of words per vector.

    Returns
    -------
    pandas.DataFrame
        One row per vector and word: ``context``; ``vector``, its position from
        1; ``start``, the word that it started from, or nothing; ``moved``, the
        distance from its start; ``rank``; ``word``; ``distance``, Euclidean;
        ``cosine``.
    """
    import pandas as pd
    import torch

    words, embeddings = _vocabulary(clap)
    normalize = torch.nn.functional.normalize
    normalized, rows = normalize(embeddings, dim=1), []
    for name, (ctx, start) in learner.token_vectors(clap).items():
        moved = (ctx - start).norm(dim=1)  # [n_ctx]
        first = _distances(start, embeddings).min(1)
        nearest = _distances(ctx, embeddings).topk(
            min(top, len(words)), largest=False
        )
        for vector, indices in enumerate(nearest.indices):
            from_word = first.values[vector] < 1e-3
            cosine = normalized[indices] @ normalize(ctx[vector], dim=0)
            rows += [
                {
                    "context": name,
                    "vector": vector + 1,
                    "start": words[first.indices[vector]] if from_word else "",
                    "moved": moved[vector].item(),
                    "rank": rank + 1,
                    "word": words[index],
                    "distance": nearest.values[vector, rank].item(),
                    "cosine": cosine[rank].item(),
                }
                for rank, index in enumerate(indices)
            ]
    return pd.DataFrame(rows)


def _distances(vectors, embeddings):
    """Euclidean distances, exactly 0 for equals, unlike by matrix products."""
    from torch import cdist

    return cdist(
        vectors, embeddings, compute_mode="donot_use_mm_for_euclid_dist"
    )


def _vocabulary(clap):
    """Words and their embeddings [V, d], without tokens that no text has."""
    encoder = clap.caption_encoder
    table = encoder.base.get_input_embeddings().weight.detach().float().cpu()
    tokens = encoder.tokenizer.convert_ids_to_tokens(range(len(table)))
    special = set(encoder.tokenizer.all_special_tokens)
    kept = [
        index
        for index, token in enumerate(tokens)
        # BERT's unused rows were never trained; they would be the nearest ones
        # to every randomly drawn vector.
        if token not in special and not token.startswith("[unused")
    ]
    words = [encoder.tokenizer.decode([index]).strip() for index in kept]
    return words, table[kept]
