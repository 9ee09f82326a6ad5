#!/usr/bin/env python3
"""Recipe for training mini-CLAP, the CLAP that ships with afpt_plugin.

To run this recipe, use the following command:
> python train.py hparams.yaml

A small CNN and a linear text projection are trained so that sounds lie near
captions as frozen all-MiniLM-L6-v2 embeds them. Sounds are generated; with
`--sources permissive` or `--sources all` recordings out of Debian packages join
them. Nothing is downloaded, and no benchmark's recording is read.

Authors
 * The afpt_plugin developers 2026
"""

import math
import sys
import time
from pathlib import Path

import speechbrain as sb
import torch
from custom_model import CaptionBank
from debian import (
    find_packages,
    leave_out_overlaps,
    read_debian_manifest,
    write_notice,
)
from model_card import today, train_command, write_model_card
from prepare import load_rounds, prepare_mini_clap, read_names
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger

from afpt_plugin.backbones.mini_clap import (
    MiniClap,
    load_minilm,
    save_mini_clap,
)
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.experiment import load_experiment
from afpt_plugin.similarity import coarse_logits
from afpt_plugin.synth import classes

logger = get_logger(__name__)


class MiniClapBrain(sb.Brain):
    """Trains the audio tower, the text projection and the scale.

    `train_captions` [n_concepts, n_captions, D], `distractors` [n, D] and
    `valid_prompts` [n_concepts, D] are set from outside: mean MiniLM states.
    """

    def compute_forward(self, batch, stage):
        """Embed the batch's clips and one caption per concept.

        Arguments
        ---------
        batch : list of torch.Tensor
            Log-mel bytes [B, n_mels, T] and labels [B].
        stage : sb.Stage
            Training clips are augmented.

        Returns
        -------
        tuple
            AudioEmbeddings of the clips, text embeddings [n_texts, D] and
            targets [B, n_concepts].
        """
        mel, labels = (tensor.to(self.device) for tensor in batch)
        mel = mel.float() / 255
        n_concepts = len(self.train_captions)
        targets = torch.nn.functional.one_hot(labels, n_concepts).float()
        texts = self.valid_prompts
        if stage == sb.Stage.TRAIN:
            mel, targets = self.hparams.augment(mel, targets)
            pick = torch.randint(self.train_captions.shape[1], (n_concepts,))
            texts = self.train_captions[torch.arange(n_concepts), pick]
            texts = torch.cat([texts, self.distractors])
        n_frames = torch.full((len(mel),), mel.shape[-1], device=self.device)
        audio = self.modules.audio(mel, n_frames)
        return audio, self.modules.projection(texts), targets

    def compute_objectives(self, predictions, batch, stage):
        """Compute the contrastive loss, and count hits on validation clips.

        Arguments
        ---------
        predictions : tuple
            From `compute_forward`.
        batch : list of torch.Tensor
            As there.
        stage : sb.Stage
            Hits are counted unless it is training.

        Returns
        -------
        torch.Tensor
        """
        audio, texts, targets = predictions
        if stage != sb.Stage.TRAIN:
            logits = coarse_logits(audio.clip, texts)
            best = logits.topk(min(5, len(texts)), dim=1).indices.cpu()
            self.hits.append(best == batch[1][:, None])
        return self.modules.loss(audio, texts, targets)

    def on_fit_batch_start(self, batch, should_step):
        """Set the learning rate: straight up, then half a cosine down.

        Arguments
        ---------
        batch : list of torch.Tensor
            Not used.
        should_step : bool
            Not used.
        """
        counter = self.hparams.epoch_counter
        epochs = counter.current - 1 + self.step / self.steps_per_epoch
        done = epochs / counter.limit
        warmup = self.hparams.warmup_share
        rate = min(done / warmup, 0.5 + 0.5 * math.cos(math.pi * min(done, 1)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.hparams.lr * max(rate, 1e-3)

    def on_stage_start(self, stage, epoch=None):
        """Forget the last epoch's hits.

        Arguments
        ---------
        stage : sb.Stage
            Not used.
        epoch : int
            Not used.
        """
        self.hits = []

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log, and save a checkpoint after validation.

        Arguments
        ---------
        stage : sb.Stage
            Which one ends.
        stage_loss : float
            Mean loss.
        epoch : int
            Which one ends.
        """
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
            return
        # Recorded clips come behind the generated ones.
        hits = torch.cat(self.hits).float()
        self.valid_stats = {"loss": stage_loss}
        for name, part in (
            ("", hits[: self.n_valid_generated]),
            ("_recorded", hits[self.n_valid_generated :]),
        ):
            if len(part):
                self.valid_stats[f"acc{name}"] = part[:, 0].mean().item()
                self.valid_stats[f"acc_top5{name}"] = part.amax(1).mean().item()
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]},
            train_stats={"loss": self.train_loss},
            valid_stats=self.valid_stats,
        )
        self.checkpointer.save_and_keep_only(meta=self.valid_stats)


def dataio_prep(hparams, paths, concepts):
    """Read the clips.

    Arguments
    ---------
    hparams : dict
        The recipe's hyperparameters.
    paths : dict
        From `prepare_mini_clap`.
    concepts : list of str
        Their order gives the labels.

    Returns
    -------
    dict
        "train", "valid_generated" and "valid_recorded" to data sets of
        (log-mel bytes, label); the last one only if there are any.
    """
    return {
        split: torch.utils.data.TensorDataset(*load_rounds(files, concepts))
        for split, files in paths.items()
        if files
    }


@torch.no_grad()
def embed_captions(hparams, bank):
    """Embed all wordings once with MiniLM, which stays frozen.

    Arguments
    ---------
    hparams : dict
        The recipe's hyperparameters.
    bank : CaptionBank
        Where captions come from.

    Returns
    -------
    captions : torch.Tensor
        [n_concepts, n_captions, D].
    distractors : torch.Tensor
        [n_distractors, D].
    prompts : torch.Tensor
        The names in the validation template, [n_concepts, D].
    """
    captions, distractors = bank.sample_many(
        hparams["n_captions"], hparams["seed"]
    )
    prompts = [hparams["valid_template"].format(c) for c in bank.concepts]
    clap = MiniClap(*load_minilm())
    identity = clap.caption_encoder.projection
    torch.nn.init.eye_(identity.weight)
    torch.nn.init.zeros_(identity.bias)

    def embed(texts):
        batches = [texts[i : i + 128] for i in range(0, len(texts), 128)]
        return torch.cat([clap.encode_captions(b).sentence for b in batches])

    flat = embed([text for group in captions for text in group])
    return (
        flat.unflatten(0, (len(captions), -1)),
        embed(distractors),
        embed(prompts),
    )


def start_projection(projection, captions):
    """Begin with MiniLM's own space, centred on the captions' mean.

    Arguments
    ---------
    projection : torch.nn.Linear
        Changed in place.
    captions : torch.Tensor
        [n_concepts, n_captions, D].
    """
    with torch.no_grad():
        torch.nn.init.eye_(projection.weight)
        projection.bias.copy_(-captions.mean((0, 1)))


def find_beside(path):
    """Find a file from the working directory, else beside this script.

    Arguments
    ---------
    path : str
        As the user gave it.

    Returns
    -------
    pathlib.Path
    """
    path = Path(path)
    return path if path.exists() else Path(__file__).parent / path


def main(arguments):
    """Prepare, train, validate, export.

    Arguments
    ---------
    arguments : list of str
        The command line behind the script's name.
    """
    # Parse the command line and build the YAML's objects
    hparams_file, run_opts, overrides, hparams = load_experiment(
        arguments, __file__
    )
    torch.set_num_threads(hparams["n_threads"])

    # Create experiment directory
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )

    # Read the captions and make the clips
    bank = CaptionBank(find_beside(hparams["captions_file"]))
    recorded = []
    if hparams["sources"] != "generated":
        recorded = read_debian_manifest(
            find_beside(hparams["debian_manifest"]),
            hparams["sources"],
            bank.concepts,
        )
        recorded = leave_out_overlaps(
            recorded, find_beside(hparams["overlap_file"])
        )
        find_packages(recorded, hparams["debian_root"])
    prepare_options = {
        "save_folder": hparams["data_folder"],
        "concepts": bank.concepts,
        "core": list(classes.ESC50.values()),
        "sources": hparams["sources"],
        "recorded": recorded,
        "debian_root": hparams["debian_root"],
        "n_train": hparams["n_train"],
        "n_train_extra": hparams["n_train_extra"],
        "n_train_recorded": hparams["n_train_recorded"],
        "n_valid": hparams["n_valid"],
        "clip_seconds": hparams["clip_seconds"],
        "n_workers": hparams["n_workers"],
    }
    paths = run_on_main(prepare_mini_clap, kwargs=prepare_options)
    datasets = dataio_prep(hparams, paths, bank.concepts)

    # Embed the captions
    captions, distractors, prompts = embed_captions(hparams, bank)
    start_projection(hparams["projection"], captions)

    # Brain
    brain = MiniClapBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.concepts = bank.concepts
    brain.n_train_generated = sum(
        len(read_names(path))
        for path in paths["train"]
        if "recorded" not in path.name
    )
    brain.train_captions = captions.to(brain.device)
    brain.distractors = distractors.to(brain.device)
    brain.valid_prompts = prompts.to(brain.device)
    brain.train_sampler = hparams["train_sampler"](datasets["train"])
    train_loader = brain.make_dataloader(
        datasets["train"],
        sb.Stage.TRAIN,
        sampler=brain.train_sampler,
        **hparams["train_dataloader_opts"],
    )
    brain.steps_per_epoch = len(train_loader)
    valid_sets = [
        datasets[split]
        for split in ("valid_generated", "valid_recorded")
        if split in datasets
    ]
    brain.n_valid_generated = len(valid_sets[0])

    # Training
    start = time.monotonic()
    brain.fit(
        hparams["epoch_counter"],
        train_loader,
        torch.utils.data.ConcatDataset(valid_sets),
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )

    brain.fit_seconds = time.monotonic() - start

    # Export the last epoch
    hparams["audio"].eval()
    folder = Path(hparams["output_folder"])
    exported = save_mini_clap(
        folder / "mini_clap.safetensors",
        hparams["audio"],
        hparams["projection"],
        hparams["loss"].log_scale,
        {
            "command": train_command(arguments),
            "sources": hparams["sources"],
            "seed": str(hparams["seed"]),
            "date": today(),
            "train_clips": str(len(datasets["train"])),
            "steps": str(brain.optimizer_step),
        },
    )
    write_model_card(
        folder / "MODEL_CARD.md",
        hparams,
        arguments,
        datasets,
        recorded,
        brain,
        exported,
    )
    if recorded:
        write_notice(recorded, folder / "NOTICE")
    logger.info(
        "Exported %s/mini_clap.safetensors, fingerprint %s",
        folder,
        exported.fingerprint,
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main(sys.argv[1:])
