"""The four prep scripts, for tests."""

import importlib.util
from functools import partial
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def load_script(path):
    """Import a prep script by its path: `recipes` is not a package."""
    path = RECIPES / path
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ESC50 = load_script("ESC50/esc50_prepare.py")
US8K = load_script("US8K/urbansound8k_prepare.py")
FSD2019 = load_script("FSD2019/fsd2019_prepare.py")
DCASE2019 = load_script("DCASE2019/dcase2019_prepare.py")

PREPARE = {
    "esc50": ESC50.prepare_esc50,
    "us8k": US8K.prepare_urbansound8k,
    "fsd2019": FSD2019.prepare_fsd2019,
    "dcase2019": DCASE2019.prepare_dcase2019,
    "public": partial(DCASE2019.prepare_dcase2019, subset="public"),
}
