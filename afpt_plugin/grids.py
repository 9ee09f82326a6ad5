"""A grid of experiments: every cell is one call of a recipe's ``train.py``.

A grid is a YAML file with two keys: ``options`` apply to every cell, and
``cells`` is a list of blocks, each of which expands to all combinations of its
values:

>>> path = getfixture("tmp_path") / "grid.yaml"
>>> _ = path.write_text('''
... options: {dataset: ESC50}
... cells:
...   - {method: [zero_shot, hparams], seed: [1, 2]}
... ''')
>>> for cell in read_grid(path, "results")[:2]:
...     print(cell.command)
python recipes/ESC50/train.py zero_shot.yaml --seed=1 --output_folder=results/ESC50/mini/zero_shot/1
python recipes/ESC50/train.py hparams.yaml --seed=1 --output_folder=results/ESC50/mini/prompts/1

A cell does exactly what its command does on its own. `afpt_plugin.sweep` runs
the cells.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import importlib.util
import itertools
import json
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from afpt_plugin.backbones import load_clap
from afpt_plugin.data.tables import read_text
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import option_names
from afpt_plugin.option_rules import check_values
from afpt_plugin.plain_yaml import PlainLoader
from afpt_plugin.results.options import read_results
from afpt_plugin.task import Task

# Options that are part of a cell's path already, or that only locate files.
PLACED = ("clap", "seed", "results_folder", "feature_folder", "weights")

# Options that only the sweep itself may set.
OWN = ("output_folder", "save_folder", "results_folder")

# The most cells of a grid; each takes at least seconds.
MAX_CELLS = 20_000

# A failed cell leaves this file, possibly beside older results.
ERROR_FILE = "error.txt"


class Cell(NamedTuple):
    """One experiment."""

    script: Path  # the recipe's train.py
    arguments: list  # of its command line
    folder: Path  # its output
    source: Path | None = None  # folder of the cell whose export it tests

    @property
    def command(self):
        """The command line that runs this cell on its own."""
        return shlex.join(["python", str(self.script), *self.arguments])

    @property
    def result(self):
        """Content of `results.json`; None if it is missing or damaged."""
        found = read_results(self.folder)
        return found if found.get("metrics") else None

    @property
    def is_done(self):
        """Whether the cell has results of the requested data and weights.

        The folder's name does not tell which ones an older run used, but the
        copy of its options that SpeechBrain made does.
        """
        copy = self.folder / "hyperparams.yaml"
        if (self.folder / ERROR_FILE).exists():
            return False  # A failed run leaves a copy of its options, too.
        if self.result is None or not copy.is_file():
            return self.result is not None
        given = dict(word[2:].split("=", 1) for word in self.arguments[1:])
        asked = {"data_folder": "samples", "weights": "null", **given}
        lines = copy.read_text("utf-8").splitlines()
        return all(
            yaml.safe_load(line) == {name: yaml.safe_load(asked[name])}
            for name in ("data_folder", "weights")
            for line in lines
            if line.startswith(f"{name}:")
        )


def read_grid(path, results, given=None):
    """Read a grid and expand it to its cells.

    In a block, ``method`` names YAML files and ``dataset`` names recipes; every
    other key is an option of the method's YAML. The values of a list are tried
    one by one (so a value that is itself a list stands in a list). ``folds:
    each`` tries the data set's folds, or the ``source_folds``, one by one. If a
    key of ``options`` is a recipe's name, it holds options for that data set.
    ``transfer`` is a block as well. For each cell it adds cells that test the
    cell's export, on the other half of the ``classes`` or on another
    ``dataset``.

    Arguments
    ---------
    path : str or pathlib.Path
        The grid.
    results : str or pathlib.Path
        The results folder.
    given : dict, optional
        Options that override those of the grid.

    Returns
    -------
    list of Cell
        In the order of the file; a transfer comes after the cell it tests.

    Raises
    ------
    InputError
        If the file is no such grid, or names a recipe, a method or an option
        that does not exist.
    """
    if "=" in str(results):
        raise InputError(
            f"--results {results}: SpeechBrain's command line would cut the "
            "path at `=`; choose another folder"
        )
    path = Path(path)
    text = read_text(path)
    try:
        grid = yaml.load(text, PlainLoader)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read: {reason}") from error
    blocks = grid.get("cells") if isinstance(grid, dict) else None
    options = {} if blocks is None else grid.get("options") or {}
    blocks = blocks if isinstance(blocks, list) else []
    if (
        not blocks
        or not all(isinstance(b, dict) for b in [options, *blocks])
        or grid.keys() - {"options", "cells"}
    ):
        raise InputError(
            f"{path} is not a grid: it needs `cells`, a list of blocks of "
            "options, and may have `options` of all cells, but nothing else; "
            "see recipes/grids"
        )
    root, features = _recipes_folder(path), Path(results, "features")
    cells, taken = {}, {"dataset", "method"}

    def add(cell):
        """Add a cell; refuse one that would overwrite another, or too many."""
        if len(cells) == MAX_CELLS:
            raise InputError(
                f"the grid has more than {MAX_CELLS} cells; split it, or leave "
                "values out"
            )
        other = cells.setdefault(cell.folder, cell)
        if other.arguments != cell.arguments:
            raise InputError(
                f"two cells have the folder {cell.folder}:\n  {other.command}\n"
                f"  {cell.command}\nput them into two grids, with --results of "
                "their own"
            )

    for number, block in enumerate(blocks, start=1):
        shared = {"clap": "mini", "seed": 1, **options, **(given or {})}
        block = {**shared, **block, **(given or {})}
        transfer = block.pop("transfer", None)
        try:
            _check_block(block, transfer)
            for values in _multiply(root, block, features):
                # A shared option goes only to the methods that have it.
                file = _method_file(root, values)
                known = option_names(file) | {"dataset", "method"}
                taken |= known
                values = {
                    key: value
                    for key, value in values.items()
                    if key in known or key not in shared
                }
                cell = _make_cell(root, results, values, file)
                add(cell)
                if transfer is None:
                    continue
                # Folds are not carried over to another data set.
                own = ["dataset", "folds", "source_folds"]
                there = {k: v for k, v in shared.items() if k not in own}
                kept = ["clap", "seed"]
                if "dataset" not in transfer:
                    kept += own
                there |= {k: [values[k]] for k in kept if k in values}
                for chosen in _multiply(root, {**there, **transfer}, features):
                    add(
                        _make_transfer(
                            root, results, chosen, cell, set(transfer)
                        )
                    )
        except InputError as error:
            raise InputError(f"{path}, block {number}: {error}") from None
    scripts = {cell.script.parent.name for cell in cells.values()}
    if unknown := {*options, *(given or {})} - taken - scripts:
        raise InputError(
            f"{path}: no method of the grid has the option "
            f"{', '.join(sorted(map(str, unknown)))}"
        )
    return list(cells.values())


def _check_block(block, transfer):
    """Refuse values that make no cell, and options that the sweep sets."""
    if transfer is not None and not isinstance(transfer, dict):
        raise InputError(
            f"transfer is {transfer!r}; give a block, e.g. {{classes: new}}"
        )
    blocks = block, transfer or {}, *block.values()
    items = [b.items() for b in blocks if isinstance(b, dict)]
    for name, value in itertools.chain.from_iterable(items):
        if name in OWN:
            raise InputError(
                f"{name} cannot be an option, since each cell has a folder of "
                "its own; choose the place with --results"
            )
        if value == []:
            raise InputError(f"{name} is an empty list, which makes no cell")
        try:
            json.dumps(value)
        except TypeError:
            raise InputError(
                f"{name} is {value!r}, a {type(value).__name__}; put quotes "
                "around it"
            ) from None


def _recipes_folder(path):
    """Find ``recipes``: around the grid, in this folder, or in the clone."""
    places = [
        path.absolute().parent.parent,
        Path("recipes"),
        Path(__file__).parents[1] / "recipes",
    ]
    for place in places:
        if (place / "methods").is_dir():
            here = Path.cwd()
            inside = place.absolute().is_relative_to(here)
            return place.absolute().relative_to(here) if inside else place
    raise InputError(
        f"{path}: there is no folder `recipes` beside the grid or here; run "
        "from a clone of the repository"
    )


@functools.cache
def load_recipe(script):
    """Import a recipe's ``train.py``, which imports its prep script."""
    name = f"recipe_{script.parent.name}"
    spec = importlib.util.spec_from_file_location(name, script)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(script.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    # All cells share the frozen backbone.
    module.load_clap = _load_clap
    return module


@functools.lru_cache(maxsize=1)
def _load_clap(clap, weights, device):
    return load_clap(clap, weights, device)


def _multiply(root, block, features):
    """Yield each combination of a block's values; expand ``folds: each``."""
    datasets = block.get("dataset", [])
    datasets = datasets if isinstance(datasets, list) else [datasets]
    if not datasets:
        raise InputError("there is no `dataset`; give one or a list of them")
    for dataset in datasets:
        script = root / str(dataset) / "train.py"
        if Path(str(dataset)).name != dataset or not script.is_file():
            raise InputError(
                f"{dataset} is none of the recipes in {root}; choose one"
            )
        # A key that is a data set's name holds options for this data set only.
        special = block.get(dataset) or {}
        if not isinstance(special, dict):
            raise InputError(
                f"{dataset} is {special!r}; give options of that data set, e.g. "
                f"{dataset}.data_folder"
            )
        own = {k: v for k, v in block.items() if not isinstance(v, dict)}
        own |= {"dataset": dataset, **special}
        axes = {k: v if isinstance(v, list) else [v] for k, v in own.items()}
        for values in itertools.product(*axes.values()):
            values = dict(zip(axes, values, strict=True))
            values |= {k: v for k, v in block.items() if isinstance(v, dict)}
            folds = values.get("folds")
            if folds != "each":
                yield values
                continue
            n_folds = values.get("source_folds")
            if n_folds is not None:
                check_values(source_folds=n_folds)
                folds = range(1, n_folds + 1)
            else:
                folds = _task_of(script, values, features).folds
            for fold in folds:
                yield {**values, "folds": [fold]}
            if not folds:
                yield {k: v for k, v in values.items() if k != "folds"}


def _task_of(script, values, features):
    """Find a recipe's `Task`, which may depend on the data."""
    names = vars(load_recipe(script))
    if find := names.get("find_own_data"):
        places = {"data_folder": "samples", "feature_folder": features}
        return find({**places, **values})[0]
    return next(found for found in names.values() if isinstance(found, Task))


def _method_file(root, values):
    """Find a method's YAML file, beside the recipe or in ``methods``."""
    name = f"{values.get('method', 'hparams')}.yaml"
    places = [root / values["dataset"] / name, root / "methods" / name]
    for place in places:
        if place.is_file() and place.name == name:
            return place
    raise InputError(
        f"the method {values['method']} has no YAML file: {places[1]}"
    )


def _make_cell(root, results, values, file):
    """Make the `Cell` of one value for each option of a method's file."""
    # Options under a data set's name are merged already, or are for another.
    values = {
        k: v
        for k, v in values.items()
        if not (isinstance(v, dict) and (root / str(k) / "train.py").is_file())
    }
    dataset = values.pop("dataset")
    values.pop("method", None)
    for name in values:
        if name not in option_names(file):
            raise InputError(f"{file} does not have the option {name}")
    # The method's name in its results
    text = file.read_text(encoding="utf-8")
    name = re.search(r"^method: (\S+)", text, re.MULTILINE)
    name = name[1] if name else file.stem
    folder = Path(results, dataset, _word(values["clap"]), name)
    settings = [
        f"{key}-{_word(value)}"
        for key, value in sorted(values.items())
        if key not in PLACED and not key.endswith("folder")
    ]
    if settings:
        folder /= ",".join(settings)
    folder /= str(values["seed"])
    return _cell_of(root / dataset, file.name, values, results, folder)


def _cell_of(recipe, file, values, results, folder, source=None):
    arguments = [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in values.items()
        if (key, value) not in (("clap", "mini"), ("results_folder", "results"))
    ]
    arguments.append(f"--output_folder={folder}")
    if str(results) != "results":
        arguments.append(f"--results_folder={results}")
    return Cell(recipe / "train.py", [file, *arguments], folder, source)


def _make_transfer(root, results, values, cell, asked):
    """Make the `Cell` that tests another cell's export on other classes."""
    known = option_names(root / "methods" / "transfer.yaml")
    dataset = values["dataset"]
    name = cell.folder.relative_to(results).parts[2]
    if Path(cell.script).parent.name != dataset:
        name += f" from {Path(cell.script).parent.name}"
    if unknown := sorted(asked - known - {"dataset"}, key=str):
        raise InputError(f"transfer does not have the option {unknown[0]}")
    kept = {k: v for k, v in values.items() if k in known and k != "dataset"}
    kept |= {"source": str(cell.folder / "export"), "method": name}
    to = f"{dataset}_{kept.get('classes', 'all')}"
    folder = cell.folder / "transfer" / to
    recipe = root / dataset
    return _cell_of(recipe, "transfer.yaml", kept, results, folder, cell.folder)


def _word(value):
    """Turn a value into a part of a path."""
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^\w.+-]+", "_", text).strip("_")[:60]
