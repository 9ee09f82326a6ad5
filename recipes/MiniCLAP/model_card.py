"""The model card of a training: what was learned from what, and how well.

Authors
 * The afpt_plugin developers 2026
"""

from datetime import datetime, timezone
from pathlib import Path

from afpt_plugin.synth import SOUNDS


def write_model_card(path, hparams, arguments, datasets, recorded, brain, clap):
    """Say in words what was trained on what, and how well it validates.

    Arguments
    ---------
    path : pathlib.Path
        Where to write.
    hparams : dict
        The recipe's hyperparameters.
    arguments : list of str
        The command line behind the script's name.
    datasets : dict
        From `dataio_prep`.
    recorded : list of dict
        Rows of the manifest of Debian sounds.
    brain : MiniClapBrain
        After training.
    clap : MiniClap
        What was exported.
    """
    concepts = brain.concepts
    n_recorded = len(datasets["train"]) - brain.n_train_generated
    names = {"acc": "generated", "acc_recorded": "recorded"}
    rows = ["| clips | top-1 | top-5 |", "|---|---|---|"]
    for key, name in names.items():
        if key in brain.valid_stats:
            top5 = brain.valid_stats[key.replace("acc", "acc_top5")]
            rows.append(
                f"| {name} ({len(datasets['valid_' + name])}) "
                f"| {100 * brain.valid_stats[key]:.1f} % | {100 * top5:.1f} % |"
            )
    recordings = "No recording was learned from."
    if recorded:
        n_sources = sum(row["split"] == "train" for row in recorded)
        recordings = (
            f"Besides {n_recorded:,} clips made from {n_sources:,} recordings "
            f"in Debian packages (`--sources {hparams['sources']}`; credits in "
            "`NOTICE`), without those that match ESC-50's (`overlap.csv`)."
        )
    template = Path(__file__).with_name("model_card.md").read_text("utf-8")
    text = template.format(
        n_audio=sum(p.numel() for p in clap.audio.parameters()),
        fingerprint=clap.fingerprint,
        n_generated=brain.n_train_generated,
        n_generated_concepts=len(set(concepts) & set(SOUNDS)),
        recordings=recordings,
        n_concepts=len(concepts),
        command=train_command(arguments),
        epochs=hparams["number_of_epochs"],
        steps=brain.optimizer_step,
        minutes=brain.fit_seconds / 60,
        date=today(),
        validation="\n".join(rows),
        template=hparams["valid_template"],
        **{
            key: hparams[key]
            for key in (
                "batch_size",
                "clip_seconds",
                "n_captions",
                "n_threads",
                "seed",
            )
        },
    )
    path.write_text(text, encoding="utf-8")


def train_command(arguments):
    """The command line, for the record.

    Arguments
    ---------
    arguments : list of str
        The command line behind the script's name.

    Returns
    -------
    str
    """
    return " ".join(["python recipes/MiniCLAP/train.py", *arguments])


def today():
    """The date.

    Returns
    -------
    str
        Year, month, day.
    """
    return datetime.now(timezone.utc).strftime("%Y-%m-%d")
