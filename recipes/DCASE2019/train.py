#!/usr/bin/env python3
"""Recipe for adapting a frozen CLAP to DCASE2019 task 4, by default from captions alone.

To run this recipe, use the following command:
> python train.py hparams.yaml  (or another method, of recipes/methods)

Authors
 * The afpt_plugin developers 2026
"""

import sys

import speechbrain as sb
from dcase2019_prepare import DCASE2019, prepare_dcase2019

from afpt_plugin.backbones import load_clap
from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.experiment import (
    check_task,
    load_experiment,
    prepare_data,
    set_up,
)
from afpt_plugin.samples import write_dcase2019


def run(arguments):
    """Run one experiment; return its `RunResults`.

    Arguments
    ---------
    arguments : list of str
        The YAML file's name, then options, as on the command line.
    """
    # Parse the command line and build the YAML's objects
    hparams_file, run_opts, overrides, hparams = load_experiment(
        arguments, __file__
    )
    # The data set's classes, or half of them
    task = DCASE2019.part(hparams["classes"])
    check_task(task, prepare_dcase2019, hparams)
    # Create the experiment's folder
    sb.create_experiment_directory(
        hparams["output_folder"], hparams_file, overrides
    )
    # Check the recordings of the data set, or the samples
    data = prepare_data(
        task, prepare_dcase2019, write_dcase2019, hparams["data"]
    )
    # Encode all items; set up the learner and its baseline
    clap = load_clap(hparams["clap"], hparams["weights"], run_opts.device)
    made = set_up(
        task,
        clap,
        data,
        hparams["supervision"],
        hparams["learner"],
        hparams["baseline"],
    )
    brain = AdaptationBrain(
        task,
        clap,
        made.baseline,
        hparams["results"],
        made.facts,
        made.test,
        hparams["test_loader_kwargs"],
        augment=hparams["augment"],
        lr_annealing=hparams["lr_annealing"],
        test_each_epoch=hparams["test_each_epoch"],
        transduction=hparams["transduction"],
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    # Learn
    brain.fit(
        hparams["epoch_counter"],
        made.train,
        made.valid,
        train_loader_kwargs=hparams["train_loader_kwargs"],
        valid_loader_kwargs=hparams["valid_loader_kwargs"],
    )
    # Test the selected epoch on recordings and write the results
    brain.evaluate()
    return brain.results


if __name__ == "__main__":
    with exit_on_input_error():
        run(sys.argv[1:])
