"""Run the cells of a grid, see `afpt_plugin.grids`, in one process.

All cells of a sweep share the process, the backbone and the store of
embeddings.

Authors
 * The afpt_plugin developers 2026
"""

import contextlib
import functools
import logging
import os
import sys
import traceback

from speechbrain.utils.distributed import infer_device
from tqdm import tqdm

from afpt_plugin.data.tables import csv_text
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import replacing, write_if_changed
from afpt_plugin.grids import ERROR_FILE, load_recipe
from afpt_plugin.training.joint import JointRuns

#: The most cells that learn at the same time on a GPU.
AT_ONCE = 16

# Options in which such cells may differ.
MAY_DIFFER = ("--seed=", "--folds=", "--output_folder=")


def run_sweep(cells):
    """Run the cells that have no results yet, and print a line for each cell.

    A cell that fails writes ``error.txt``, and the others still run. A cell
    that failed or was interrupted is run again in the next sweep.

    On a GPU, up to `AT_ONCE` cells that differ only in the seed or the fold
    learn at the same time, see `afpt_plugin.training.joint`. On a CPU, this
    would save no time.

    Arguments
    ---------
    cells : list of Cell
        From `afpt_plugin.grids.read_grid`.

    Returns
    -------
    dict
        Folder of each failed cell to a sentence with the reason.
    """
    import speechbrain as sb

    # The description runs `pip freeze`, which cannot change within a process.
    logger = sb.utils.logger
    describe = logger.get_environment_description
    logger.get_environment_description = functools.cache(describe)
    errors = {}
    handlers, level = logging.root.handlers[:], logging.root.level
    excepthook = sys.excepthook
    bar = tqdm(
        total=len(cells),
        desc="sweep",
        unit="cell",
        dynamic_ncols=True,
        disable=None,
    )
    try:
        for group in _groups(cells):
            found = _run_group([cell for cell in group if not cell.is_done])
            errors |= found
            bar.update(len(group))
            for cell in group:
                said = found.get(cell.folder) or _summary(cell.result)
                with tqdm.external_write_mode(sys.stdout):
                    sys.stdout.write(f"{cell.folder}: {said}\n")
    finally:
        bar.close()
        logger.get_environment_description = describe
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        sys.excepthook = excepthook
    return errors


def _groups(cells):
    """Group cells that can learn at the same time, in the order of the grid."""
    at_once = AT_ONCE if infer_device() != "cpu" else 1
    groups = {}
    for cell in cells:
        own = [w for w in cell.arguments if not w.startswith(MAY_DIFFER)]
        alike = groups.setdefault((cell.script, cell.source, *own), [[]])
        # A transfer waits for the cell that it tests, and learns nothing.
        if len(alike[-1]) >= at_once or cell.source is not None:
            alike.append([])
        alike[-1].append(cell)
    found = [group for alike in groups.values() for group in alike if group]
    place = {cell.folder: number for number, cell in enumerate(cells)}
    return sorted(found, key=lambda group: place[group[0].folder])


def _run_group(cells):
    """Run cells at the same time; return folder to error of failed ones."""
    errors = {}
    # Messages go to each run's log.txt; here they would break the bar.
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        if len(cells) == 1:
            _run_cell(cells[0], errors)
        else:
            runs = [functools.partial(_run_cell, c, errors) for c in cells]
            JointRuns(runs).run()
    return errors


def _run_cell(cell, errors):
    """Run one cell; if it fails, add the reason to ``errors``."""
    failed = cell.folder / ERROR_FILE
    with refuse_unwritable(failed):
        failed.unlink(missing_ok=True)
    try:
        if cell.source is not None and (cell.source / ERROR_FILE).is_file():
            raise InputError(f"{cell.source}, which it starts from, has failed")
        module = load_recipe(cell.script)
        module.run(cell.arguments)
    except InputError as error:
        text = str(error)
    # SpeechBrain exits if it cannot parse a command line.
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        write_if_changed(cell.folder / "traceback.txt", traceback.format_exc())
    else:
        if cell.result is not None:
            return
        text = "the run ended without results; see its log.txt"
    text = " ".join(text.split())
    with refuse_unwritable(failed), replacing(failed) as part:
        part.write_text(f"{text}\n{cell.command}\n", encoding="utf-8")
    errors[cell.folder] = text


def _summary(result):
    """Summarize the metric of a finished cell in a few words."""
    from afpt_plugin.results.output import primary_head

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
        summary = _summary(result) if result and not error else ""
        rows.append((str(cell.folder), summary, error, cell.command))
    with refuse_unwritable(path):
        write_if_changed(path, csv_text(rows))
