#!/usr/bin/env python3
"""Recipe for learning ESC-50's prompts from captions alone, with a frozen CLAP.

To run this recipe, use the following command:
> python train.py hparams.yaml

Without further options it is an embedded demonstration: a small CLAP and
sample recordings that come with the package. The paper's benchmark:
> python train.py hparams.yaml --clap ms-2022 --data_folder /path/to/ESC-50-master

Authors
 * The afpt_plugin developers 2026
"""

import sys

import speechbrain as sb
from esc50_prepare import ESC50_CLASSES, prepare_esc50

from afpt_plugin.backbones import load_clap
from afpt_plugin.brain import PromptTuningBrain
from afpt_plugin.data.datasets import class_means, make_datasets
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.experiment import (
    announce,
    load_captions,
    load_experiment,
    prepare_data,
)

REAL_COMMAND = (
    "python recipes/ESC50/train.py hparams.yaml --clap ms-2022 "
    "--data_folder /path/to/ESC-50-master"
)


if __name__ == "__main__":
    with exit_on_input_error():
        # Parse the command line and build the YAML's objects
        hparams_file, run_opts, overrides, hparams = load_experiment(
            sys.argv[1:], __file__
        )

        # Create the experiment's folder
        sb.create_experiment_directory(
            experiment_directory=hparams["output_folder"],
            hyperparams_to_save=hparams_file,
            overrides=overrides,
        )

        # Check the recordings (the samples without a data set at hand) and
        # write the test manifest
        prepared, n_samples = prepare_data(
            hparams, prepare_esc50, folds=hparams["folds"]
        )

        # Load the frozen CLAP
        clap = load_clap(hparams["clap"], hparams["weights"])
        run_kind = announce("ESC-50", clap, n_samples, REAL_COMMAND)

        # Read and split the captions
        train, valid, caption_facts = load_captions(
            hparams["captions"],
            "esc50",
            ESC50_CLASSES,
            hparams["valid_fraction"],
            hparams["captions_per_class"],
            hparams["caption_seed"],
            hparams["multi_label"],
        )

        # Encode what has not been encoded before
        clap = clap.to(
            run_opts["device"] or sb.utils.distributed.infer_device()
        )
        datasets = make_datasets(hparams, clap, ESC50_CLASSES, train, valid)

        # Make the contexts and the Brain
        learner = hparams["learner"].setup(clap, ESC50_CLASSES)
        learner.anchor_to(class_means(datasets["train"]))
        brain = PromptTuningBrain(
            clap=clap,
            class_names=ESC50_CLASSES,
            test_set=datasets["test"],
            test_loader_kwargs=hparams["test_loader_kwargs"],
            facts={
                "dataset": "ESC-50",
                "run_kind": run_kind,
                "data_fingerprint": prepared["data_fingerprint"],
                "n_recordings": prepared["n_recordings"],
                "n_left_out": prepared["n_left_out"],
                **caption_facts,
            },
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts=run_opts,
            checkpointer=hparams["checkpointer"],
        )

        # Learn the contexts from captions
        brain.fit(
            brain.hparams.epoch_counter,
            datasets["train"],
            datasets["valid"],
            train_loader_kwargs=hparams["train_loader_kwargs"],
            valid_loader_kwargs=hparams["valid_loader_kwargs"],
        )

        # Test the selected epoch on recordings and write the results
        brain.evaluate(
            datasets["test"],
            max_key="selection_score",
            test_loader_kwargs=hparams["test_loader_kwargs"],
        )
