"""What is damaged: recordings, a finished run, an export, made once."""

import io
import shutil
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
NAMES = ("dog", "rain", "car horn")
TUNE = "tune --class-names names.txt --epochs 2 --device cpu --output".split()
RECIPE = (
    "hparams.yaml --data_folder recordings --results_folder results "
    "--captions_per_class 2 --number_of_epochs 2 --device cpu"
).split()
RUN = "results/OwnData/mini/prompts/1"
CLASSIFY = "--source export --output scores.csv --device cpu".split()
CAPTIONS = "caption,label\n" + "".join(
    f"the sound of a {name} number {i},{name}\n"
    for name in NAMES
    for i in range(3)
)


def sound(kind="WAV", subtype="PCM_16", n_samples=4000, rate=8000, seed=0):
    """The bytes of a file of noise."""
    file = io.BytesIO()
    draw = np.random.default_rng(seed)
    sig = draw.uniform(-0.3, 0.3, n_samples).astype("float32")
    soundfile.write(file, sig, rate, subtype, format=kind)
    return file.getvalue()


def write_inputs(folder):
    """Class names, captions and recordings."""
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    (folder / "captions.csv").write_text(CAPTIONS)
    for i, name in enumerate(NAMES):
        place = folder / "recordings" / name
        place.mkdir(parents=True)
        for j in range(2):
            (place / f"{i}{j}.wav").write_bytes(sound(seed=10 * i + j))


def make_template(forks, folder):
    """Inputs; ``export`` of a tune; ``results``, a finished run; ``cut``.

    The last is the same run, killed before it could test.
    """
    write_inputs(folder)
    for call in (("afpt", *TUNE, "export"), ("recipe", "OwnData", *RECIPE)):
        ended = forks.run(folder, *call)
        assert ended.status == 0, ended.stderr
    shutil.copytree(folder / RUN / "save", folder / "cut" / "save")
    (folder / "stderr.txt").unlink()
