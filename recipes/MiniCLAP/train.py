#!/usr/bin/env python3
"""Recipe for training mini-CLAP, the CLAP that ships with afpt_plugin.

To run this recipe, use the following command:
> python train.py hparams.yaml

A small CNN and a linear text projection are trained so that generated sounds
lie near captions as frozen all-MiniLM-L6-v2 embeds them. Nothing is downloaded
and no recording is read; model choices are made on generated validation clips.

Authors
 * The afpt_plugin developers 2026
"""

import math
import sys
from datetime import datetime, timezone
from pathlib import Path

import speechbrain as sb
import torch
from custom_model import CaptionBank
from prepare import load_rounds, prepare_mini_clap
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger

from afpt_plugin.backbones.mini_clap import (
    MiniClap,
    load_minilm,
    save_mini_clap,
)
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.experiment import load_experiment
from afpt_plugin.synth.scenes import ESC50

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
        tuple of torch.Tensor
            Clip embeddings [B, D], text embeddings [n_texts, D] and targets
            [B, n_concepts].
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
        clip, _, _ = self.modules.audio(mel, n_frames)
        return clip, self.modules.projection(texts), targets

    def compute_objectives(self, predictions, batch, stage):
        """Compute the contrastive loss, and count hits on validation clips.

        Arguments
        ---------
        predictions : tuple of torch.Tensor
            From `compute_forward`.
        batch : list of torch.Tensor
            As there.
        stage : sb.Stage
            Hits are counted unless it is training.

        Returns
        -------
        torch.Tensor
        """
        clip, texts, targets = predictions
        if stage != sb.Stage.TRAIN:
            texts_unit = torch.nn.functional.normalize(texts, dim=-1)
            best = (clip @ texts_unit.T).topk(min(5, len(texts)), dim=1)
            hits = best.indices.cpu() == batch[1][:, None]
            self.hits.append(hits)
        return self.modules.loss(clip, texts, targets)

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
        hits = torch.cat(self.hits).float()
        self.valid_stats = {
            "loss": stage_loss,
            "acc": hits[:, 0].mean().item(),
            "acc_top5": hits.amax(1).mean().item(),
        }
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]},
            train_stats={"loss": self.train_loss},
            valid_stats=self.valid_stats,
        )
        self.checkpointer.save_and_keep_only(meta=self.valid_stats)


def dataio_prep(hparams, paths, concepts):
    """Read the generated clips.

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
        "train" and "valid" to data sets of (log-mel bytes, label).
    """
    return {
        split: torch.utils.data.TensorDataset(
            *load_rounds(paths[split], concepts)
        )
        for split in ("train", "valid")
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

    # Read the captions and generate the clips
    captions_file = Path(hparams["captions_file"])
    if not captions_file.exists():
        captions_file = Path(__file__).parent / captions_file
    bank = CaptionBank(captions_file)
    prepare_options = {
        "save_folder": hparams["data_folder"],
        "concepts": bank.concepts,
        "core": [name.replace("_", " ") for name in ESC50],
        "n_train": hparams["n_train"],
        "n_train_extra": hparams["n_train_extra"],
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
    brain.train_captions = captions.to(brain.device)
    brain.distractors = distractors.to(brain.device)
    brain.valid_prompts = prompts.to(brain.device)
    train_loader = brain.make_dataloader(
        datasets["train"], sb.Stage.TRAIN, **hparams["train_dataloader_opts"]
    )
    brain.steps_per_epoch = len(train_loader)

    # Training
    brain.fit(
        hparams["epoch_counter"],
        train_loader,
        datasets["valid"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )

    # Export the last epoch
    hparams["audio"].eval()
    exported = save_mini_clap(
        Path(hparams["output_folder"]) / "mini_clap.safetensors",
        hparams["audio"],
        hparams["projection"],
        hparams["loss"].log_scale,
        {
            "command": " ".join(
                ["python recipes/MiniCLAP/train.py", *arguments]
            ),
            "seed": str(hparams["seed"]),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "train_clips": str(len(datasets["train"])),
            "steps": str(brain.optimizer_step),
        },
    )
    logger.info(
        "Exported %s/mini_clap.safetensors, fingerprint %s",
        hparams["output_folder"],
        exported.fingerprint,
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main(sys.argv[1:])
