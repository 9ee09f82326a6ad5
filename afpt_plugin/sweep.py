"""A grid of experiments: every cell is one call of a recipe's ``train.py``.

A grid is a YAML file of two keys: ``options`` of every cell, and ``cells``,
blocks whose lists are multiplied out:

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

So a cell is exactly what its command would do alone; in a sweep it shares the
process, the backbone and the store of embeddings with the others.

Authors
 * The afpt_plugin developers 2026
"""

import contextlib
import functools
import importlib.util
import itertools
import json
import logging
import os
import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import speechbrain as sb
import yaml
from tqdm import tqdm

from afpt_plugin.backbones import load_clap
from afpt_plugin.data.tables import csv_text, read_text
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import option_names
from afpt_plugin.files import replacing, write_if_changed
from afpt_plugin.results.output import primary_head
from afpt_plugin.task import Task

# Options that a cell's folder names itself, or that lead to files.
PLACED = ("clap", "seed", "results_folder", "feature_folder", "weights")

# All cells share what is frozen.
_load_clap = functools.lru_cache(maxsize=1)(load_clap)

# What a cell that failed leaves behind instead of results.json.
ERROR_FILE = "error.txt"


class Cell(NamedTuple):
    """One experiment."""

    script: Path  # the recipe's train.py
    arguments: list  # of its command line
    folder: Path  # its output
    source: Path | None = None  # folder of the cell that it goes on from

    @property
    def command(self):
        """What would run this cell alone."""
        return shlex.join(["python", str(self.script), *self.arguments])

    @property
    def result(self):
        """What `results.json` holds, or None."""
        path = self.folder / "results.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else None


def read_grid(path, results, given=None):
    """Read a grid and multiply it out.

    In a block, ``method`` and ``dataset`` are names of YAML files and of
    recipes; every other key is an option of the method's YAML. A list is tried
    value by value (so a value that is a list stands in a list). ``folds: each``
    stands for the data set's folds, or the ``source_folds``, one by one. A key
    of ``options`` that is a recipe's name holds options for that data set.
    ``transfer``, a block as well, adds for each cell others that test its
    export, on the other half of the ``classes`` or on another ``dataset``.

    Arguments
    ---------
    path : str or pathlib.Path
        The grid.
    results : str or pathlib.Path
        Where the results go.
    given : dict, optional
        Options that stand above those of the grid.

    Returns
    -------
    list of Cell
        In the order of the file, transfers after what they start from.

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
    try:
        grid = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML: {reason}") from error
    grid = grid if isinstance(grid, dict) else {}
    blocks, options = grid.pop("cells", None), grid.pop("options", None) or {}
    blocks = blocks if isinstance(blocks, list) else []
    is_sound = all(isinstance(block, dict) for block in [options, *blocks])
    if not blocks or not is_sound or grid:
        raise InputError(
            f"{path} is not a grid: it needs `cells`, a list of blocks of "
            "options, and may have `options` of all cells, nothing else; see "
            "recipes/grids"
        )
    root = _recipes_folder(path)
    transferable = option_names(root / "methods" / "transfer.yaml")
    cells, taken = {}, {"dataset", "method"}
    for number, block in enumerate(blocks, start=1):
        shared = {"clap": "mini", "seed": 1, **options, **(given or {})}
        block = {**shared, **block, **(given or {})}
        transfer = block.pop("transfer", None)
        try:
            if transfer is not None and not (
                isinstance(transfer, dict) and transfer.keys() <= transferable
            ):
                raise InputError(
                    f"transfer is {transfer!r}; give options of "
                    "recipes/methods/transfer.yaml, such as `classes: new`"
                )
            for values in _multiply(root, block):
                file = _method_file(root, values)
                known = option_names(file) | {"dataset", "method"}
                taken |= known
                for name in [name for name in values if name not in known]:
                    if name not in shared:
                        raise InputError(
                            f"{file} does not have the option {name}"
                        )
                    # What is said of all cells is for those that have it.
                    del values[name]
                cell = _make_cell(root, results, values, file)
                cells[cell.folder] = cell
                if transfer is None:
                    continue
                # Folds belong to their data set.
                own = ["dataset", "folds", "source_folds"]
                there = {k: v for k, v in shared.items() if k not in own}
                kept = ["clap", "seed"]
                if "dataset" not in transfer:
                    kept += own
                there |= {k: [values[k]] for k in kept if k in values}
                for chosen in _multiply(root, {**there, **transfer}):
                    chosen = {k: chosen[k] for k in chosen if k in transferable}
                    to = _make_transfer(root, results, chosen, cell)
                    cells[to.folder] = to
        except InputError as error:
            raise InputError(f"{path}, block {number}: {error}") from None
    scripts = {cell.script.parent.name for cell in cells.values()}
    if unknown := sorted({*options, *(given or {})} - taken - scripts):
        raise InputError(
            f"{path}: no method of the grid has the option {', '.join(unknown)}"
        )
    return list(cells.values())


def _recipes_folder(path):
    """The ``recipes`` of a grid: where it lies, where the user stands, or ours."""
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
def _load_recipe(script):
    """The module of a recipe's ``train.py``, which also imports its neighbor."""
    name = f"recipe_{script.parent.name}"
    spec = importlib.util.spec_from_file_location(name, script)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(script.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    module.load_clap = _load_clap
    return module


def _multiply(root, block):
    """Each combination of a block's values, ``folds: each`` spelled out."""
    datasets = block.get("dataset", [])
    datasets = datasets if isinstance(datasets, list) else [datasets]
    if not datasets:
        raise InputError("there is no `dataset`; give one or a list of them")
    for dataset in datasets:
        script = root / str(dataset) / "train.py"
        if not script.is_file():
            raise InputError(f"{script} does not exist; choose a recipe")
        # Options for one data set alone are named by it.
        own = {k: v for k, v in block.items() if not (root / str(k)).is_dir()}
        own |= {"dataset": dataset, **(block.get(dataset) or {})}
        axes = {k: v if isinstance(v, list) else [v] for k, v in own.items()}
        for values in itertools.product(*axes.values()):
            values = dict(zip(axes, values, strict=True))
            folds = values.get("folds")
            if folds != "each":
                yield values
                continue
            task = next(
                found
                for found in vars(_load_recipe(script)).values()
                if isinstance(found, Task)
            )
            folds = task.folds
            if values.get("source_folds"):
                folds = range(1, values["source_folds"] + 1)
            for fold in folds:
                yield {**values, "folds": [fold]}
            if not folds:
                yield {k: v for k, v in values.items() if k != "folds"}


def _method_file(root, values):
    """The YAML file of a block's method, beside the recipe or for all."""
    name = f"{values.get('method', 'hparams')}.yaml"
    places = [root / values["dataset"] / name, root / "methods" / name]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"the method {values['method']} has no YAML file: {places[1]}"
    )


def _make_cell(root, results, values, file):
    """The `Cell` of one value for each option."""
    dataset = values["dataset"]
    values = {k: values[k] for k in values if k not in ("dataset", "method")}
    # What the method calls itself in its results
    text = file.read_text(encoding="utf-8")
    found = re.search(r"^method: (\S+)", text, re.MULTILINE)
    name = found[1] if found else file.stem
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


def _make_transfer(root, results, values, cell):
    """The `Cell` that tests what another one learned on other classes."""
    dataset, origin = values.pop("dataset"), cell.script.parent.name
    name = cell.folder.relative_to(results).parts[2]
    if origin != dataset:
        name += f" from {origin}"
    values |= {"source": str(cell.folder / "export"), "method": name}
    to = f"{dataset}_{values.get('classes', 'all')}"
    folder = cell.folder / "transfer" / to
    recipe = root / dataset
    return _cell_of(
        recipe, "transfer.yaml", values, results, folder, cell.folder
    )


def _word(value):
    """A value as a part of a path."""
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^\w.+-]+", "_", text).strip("_")[:60]


def run_sweep(cells, show=sys.stdout.write):
    """Run the cells that have no results yet, one after the other.

    A cell that fails leaves ``error.txt``, and the others go on; a cell that
    was cut short, or has failed, is run again the next time.

    Arguments
    ---------
    cells : list of Cell
        From `read_grid`.
    show : callable
        Gets a line for each cell.

    Returns
    -------
    dict
        Cell's folder to the sentence that says why it failed.
    """
    # It runs `pip freeze`, which cannot change within a process.
    logger = sb.utils.logger
    describe = logger.get_environment_description
    logger.get_environment_description = functools.cache(describe)
    errors = {}
    handlers, level = logging.root.handlers[:], logging.root.level
    excepthook = sys.excepthook
    try:
        bar = tqdm(cells, "sweep", unit="cell", dynamic_ncols=True)
        for cell in bar:
            error = None if cell.result else _run_cell(cell)
            if error:
                errors[cell.folder] = error
            with tqdm.external_write_mode(sys.stdout):
                show(f"{cell.folder}: {error or _summary(cell.result)}\n")
    finally:
        logger.get_environment_description = describe
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        sys.excepthook = excepthook
    return errors


def _run_cell(cell):
    """Run one; the sentence that says why it failed is returned, or None."""
    failed = cell.folder / ERROR_FILE
    failed.unlink(missing_ok=True)
    try:
        if cell.source is not None and (cell.source / ERROR_FILE).is_file():
            raise InputError(f"{cell.source}, which it starts from, has failed")
        module = _load_recipe(cell.script)
        # log.txt has all that is said; here it would tear the bar.
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            module.run(cell.arguments)
    except InputError as error:
        text = str(error)
    # SpeechBrain exits where it cannot parse a command line.
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        write_if_changed(cell.folder / "traceback.txt", traceback.format_exc())
    else:
        if cell.result is not None:
            return None
        text = "the run ended without results; see its log.txt"
    text = " ".join(text.split())
    with replacing(failed) as part:
        part.write_text(f"{text}\n{cell.command}\n", encoding="utf-8")
    return text


def _summary(result):
    """The metric of a finished cell in a few words."""
    metrics = result["metrics"]
    values = metrics[primary_head(metrics)]
    metric = "acc" if "acc" in values else "mAP"
    seconds = result["timings"].get("adapt_seconds", 0.0)
    return f"{metric} {100 * values[metric]:.1f} %, adapted in {seconds:.1f} s"


def write_cells(cells, errors, path):
    """List the cells in a CSV file: command, metrics, error."""
    rows = [("folder", "result", "error", "command")]
    for cell in cells:
        result, error = cell.result, errors.get(cell.folder, "")
        summary = _summary(result) if result else ""
        rows.append((str(cell.folder), summary, error, cell.command))
    write_if_changed(path, csv_text(rows))
