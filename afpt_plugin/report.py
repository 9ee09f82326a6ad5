"""What a run leaves behind: result file, predictions, figures, table.

`write_run` writes all of it in one call, the last step of an experiment:

>>> from afpt_plugin.report import read_results, write_run
>>> folder = getfixture("tmpdir")
>>> logits = {head: torch.eye(2) for head in HEADS}
>>> results = dict.fromkeys(REQUIRED_KEYS, None)
>>> results["metrics"] = {head: {"acc": 1.0} for head in HEADS}
>>> paths = write_run(
...     folder, results, [], ["1.wav", "2.wav"], torch.tensor([0, 1]),
...     ["dog", "rain"], logits,
... )
>>> [path.name for path in paths]
['predictions.csv', 'per_class.png', 'confusion.png', 'results.json']

A file appears under its name only once it is complete, and `results.json`
comes last: where it exists, the run has finished.

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
import platform
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from afpt_plugin.errors import InputError
from afpt_plugin.metrics import (
    confusion,
    multi_label_metrics,
    single_label_metrics,
    target_rank,
)

# The ways of scoring that are compared, and their names in tables.
HEADS = {
    "zero_shot": "zero-shot (plain template)",
    "coarse": "coarse",
    "fine": "fine",
    "ensemble": "ensemble",
}
REQUIRED_KEYS = (
    "dataset",
    "data_fingerprint",
    "n_recordings",
    "n_left_out",
    "clap",
    "clap_fingerprint",
    "learner",
    "supervision",
    "selection",
    "seed",
    "upstream_exact",
    "metrics",
    "per_class",
    "timings",
    "versions",
)
_AXIS_NAMES = {"acc": "accuracy", "ap": "average precision"}
# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLORS = {
    "zero_shot": "#707070",
    "coarse": "#0072B2",
    "fine": "#E69F00",
    "ensemble": "#CC4C67",
    "train_loss": "#0072B2",
    "valid_loss": "#E69F00",
    "valid_acc": "#009E73",
    "better": "#0072B2",
    "worse": "#D55E00",
}


@contextmanager
def _replacing(path):
    """Yield a path beside `path` that takes its name if the body succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _missing_keys(results):
    """Names of the required keys that `results` lacks."""
    missing = [key for key in REQUIRED_KEYS if key not in results]
    if "metrics" not in missing:
        metrics = results["metrics"] or {}
        missing += [f"metrics.{head}" for head in HEADS if head not in metrics]
    return missing


def write_results(folder, results):
    """Write `results.json`, keys in the order given.

    Arguments
    ---------
    folder : str or Path
        Where to write; made if it does not exist.
    results : dict
        Has every key of `REQUIRED_KEYS`; `results["metrics"]` has every key of
        `HEADS`. A value that does not apply to this run is None.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If a required key is missing or a number is NaN or infinite.

    Example
    -------
    >>> results = dict.fromkeys(REQUIRED_KEYS, None)
    >>> results["metrics"] = dict.fromkeys(HEADS, {"acc": 0.5})
    >>> write_results(getfixture("tmpdir"), results).name
    'results.json'
    """
    missing = _missing_keys(results)
    if missing:
        raise ValueError(f"results lack {', '.join(missing)}")
    text = json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False)
    path = Path(folder) / "results.json"
    with _replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


def read_results(path):
    """Read a `results.json` and prove it complete.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    dict
        As given to `write_results`.

    Raises
    ------
    InputError
        If there is no such file, it is not JSON or a required key is missing.

    Example
    -------
    >>> results = dict.fromkeys(REQUIRED_KEYS, None)
    >>> results["metrics"] = dict.fromkeys(HEADS, {"acc": 0.5})
    >>> path = write_results(getfixture("tmpdir"), results)
    >>> read_results(path)["metrics"]["fine"]
    {'acc': 0.5}
    """

    def refuse_constant(name):
        raise ValueError(f"{name} is not a JSON number")

    try:
        results = json.loads(
            Path(path).read_text(encoding="utf-8"),
            parse_constant=refuse_constant,
        )
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the results.json "
            "of a run that has finished"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: not valid JSON ({error}); run the experiment again"
        ) from error
    if not isinstance(results, dict) or not isinstance(
        results.get("metrics", {}), dict
    ):
        raise InputError(f"{path}: not a result file of this package")
    missing = _missing_keys(results)
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)}; it was not written by this "
            "version of the package, so run the experiment again"
        )
    return results


def write_predictions(folder, ids, targets, class_names, logits):
    """Write `predictions.csv`, one row a recording.

    Columns: `id`; `label`, the true names joined by `|`; and for each head its
    predicted class and, for single-label targets, `<head>_score` (the softmax
    of the logits) and `<head>_rank` (place of the true label, 1 is right), or
    for multi-label targets `<head>_logit`.

    Arguments
    ---------
    folder : str or Path
        Where to write; made if it does not exist.
    ids : list of str
        One for each of the N recordings.
    targets : torch.Tensor
        Class indices [N] or multi-hot labels [N, C].
    class_names : list of str
        The C names.
    logits : dict
        Head to its logits [N, C], a key of `HEADS` each.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Example
    -------
    >>> path = write_predictions(
    ...     getfixture("tmpdir"), ["1.wav"], torch.tensor([1]),
    ...     ["dog", "rain"], {"coarse": torch.tensor([[0.0, 3.0]])},
    ... )
    >>> print(path.read_text())
    id,label,coarse,coarse_score,coarse_rank
    1.wav,rain,rain,0.952574,1
    """
    import pandas as pd

    targets = torch.as_tensor(targets).cpu()
    single_label = targets.ndim == 1
    shape = (len(ids), len(class_names))
    wanted = shape[:1] if single_label else shape
    if tuple(targets.shape) != wanted:
        raise ValueError(
            f"targets are {list(targets.shape)} for {shape[0]} ids and "
            f"{shape[1]} class names"
        )
    names = np.asarray(class_names, dtype=object)
    if single_label:
        labels = names[targets.numpy()]
    else:
        labels = ["|".join(names[row]) for row in targets.bool().numpy()]
    table = {"id": ids, "label": labels}
    for head, values in logits.items():
        values = torch.as_tensor(values).detach().cpu().double()
        if tuple(values.shape) != shape:
            raise ValueError(
                f"{head} logits are {list(values.shape)} for {shape[0]} ids "
                f"and {shape[1]} class names"
            )
        # numpy's argmax takes the first of equals, as the metrics do.
        best = values.numpy().argmax(axis=1)
        table[head] = names[best]
        if single_label:
            scores = values.softmax(dim=1).numpy()
            table[f"{head}_score"] = scores[np.arange(len(best)), best]
            table[f"{head}_rank"] = target_rank(values, targets)
        else:
            table[f"{head}_logit"] = values.amax(dim=1).numpy()
    path = Path(folder) / "predictions.csv"
    with _replacing(path) as part:
        pd.DataFrame(table).to_csv(part, index=False, float_format="%.6g")
    return path


def _figure(width, height):
    """An empty figure outside of pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.04)
    return figure


def _save(figure, path):
    with _replacing(path) as part:
        figure.savefig(part, dpi=150)
    return Path(path)


def _tidy(axes, grid):
    """Leave of the frame only what is read."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)


def plot_training(
    history, path, metric_name, zero_shot=None, selected_epoch=None
):
    """Draw what the captions showed during training, and what audio did.

    Arguments
    ---------
    history : list of dict
        One row an epoch: `epoch` and any of `train_loss`, `valid_loss`,
        `valid_acc` (on captions), `coarse`, `fine`, `ensemble` (`metric_name`
        on recordings, 0..1). A value may be absent or None. A panel without
        any value is left out.
    path : str or Path
        File to write; its suffix is the format.
    metric_name : str
        What is measured on recordings, such as "acc" or "mAP".
    zero_shot : float or None
        `metric_name` without learning, drawn as a dashed line.
    selected_epoch : int or None
        The epoch whose prompts were kept.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the history has nothing to draw.

    Example
    -------
    >>> path = plot_training(
    ...     [{"epoch": 1, "train_loss": 2.0, "coarse": 0.8}],
    ...     getfixture("tmpdir").join("training.png"), "acc", zero_shot=0.7,
    ... )
    >>> path.exists()
    True
    """
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    losses, heads = ("train_loss", "valid_loss"), ("coarse", "fine", "ensemble")
    rows = pd.DataFrame(
        history, columns=["epoch", *losses, "valid_acc", *heads]
    ).apply(pd.to_numeric)
    if rows["epoch"].isna().any():
        raise ValueError("a row of the history has no epoch")
    rows = rows.set_index("epoch").dropna(axis=1, how="all")
    loss = [key for key in losses if key in rows]
    captions = loss + (["valid_acc"] if "valid_acc" in rows else [])
    audio = [key for key in heads if key in rows]
    panels = [panel for panel in (captions, audio) if panel]
    if not panels:
        raise ValueError("the history has no value to draw")

    figure = _figure(5.2 * len(panels), 3.9)
    for axes, panel in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        _tidy(axes, "y")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        handles = []
        for key in panel:
            where, values, style = axes, rows[key], "o-"
            if key == "valid_acc" and loss:
                # Loss and accuracy have no common scale.
                where, style = axes.twinx(), "s--"
                where.spines["top"].set_visible(False)
            if key not in loss:
                values = 100 * values
                where.set_ylabel(
                    "caption accuracy [%]"
                    if key == "valid_acc"
                    else f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]"
                )
            handles += where.plot(
                values.index,
                values,
                style,
                color=_COLORS[key],
                label=key.replace("_", " ").replace("acc", "accuracy"),
                linewidth=1.8,
                markersize=4,
            )
        if panel is audio:
            axes.set_title("recordings (test set)")
            if zero_shot is not None:
                handles.append(
                    axes.axhline(
                        100 * zero_shot,
                        color=_COLORS["zero_shot"],
                        linestyle="--",
                        label="zero-shot",
                    )
                )
        else:
            axes.set_title("captions")
            axes.set_ylabel("loss" if loss else "caption accuracy [%]")
        if selected_epoch is not None:
            handles.append(
                axes.axvline(
                    selected_epoch,
                    color="#222222",
                    linestyle=":",
                    label=f"selected: epoch {selected_epoch}",
                )
            )
        # Below the panel no curve can run under it.
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=3,
            frameon=False,
            fontsize=8.5,
        )
    return _save(figure, path)


def plot_per_class(zero_shot, tuned, path, metric_name):
    """Draw each class before and after tuning, the largest gain on top.

    Arguments
    ---------
    zero_shot : dict
        Class name to its value in 0..1, or None if it has no recording.
    tuned : dict
        The same classes after learning.
    path : str or Path
        File to write; its suffix is the format.
    metric_name : str
        What is measured, such as "acc" or "ap".

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the two do not hold the same classes or none has a value.

    Example
    -------
    >>> path = plot_per_class(
    ...     {"dog": 0.5, "rain": None}, {"dog": 0.75, "rain": None},
    ...     getfixture("tmpdir").join("per_class.png"), "acc",
    ... )
    >>> path.exists()
    True
    """
    from matplotlib.lines import Line2D

    if set(zero_shot) != set(tuned):
        raise ValueError(
            "zero-shot and tuned values are of different classes: "
            f"{sorted(set(zero_shot) ^ set(tuned))}"
        )
    rows = [
        (name, 100 * zero_shot[name], 100 * tuned[name])
        for name in zero_shot
        if zero_shot[name] is not None and tuned[name] is not None
    ]
    if not rows:
        raise ValueError("no class has a value to draw")
    # Smallest change first, since the vertical axis points upwards; of equal
    # changes the better class lies higher.
    rows.sort(key=lambda row: (row[2] - row[1], row[2]))
    names = [row[0] for row in rows]
    before, after = np.array([row[1:] for row in rows]).T
    places = np.arange(len(rows))
    colors = np.select(
        [after > before, after < before],
        [_COLORS["better"], _COLORS["worse"]],
        _COLORS["zero_shot"],
    )

    figure = _figure(7.5, 1.6 + 0.2 * len(rows))
    axes = figure.subplots()
    _tidy(axes, "both")
    axes.hlines(places, before, after, color=colors, linewidth=2, alpha=0.6)
    axes.scatter(
        before,
        places,
        s=26,
        color="white",
        edgecolor=_COLORS["zero_shot"],
        linewidth=1.3,
        zorder=3,
    )
    axes.scatter(after, places, s=30, color=colors, zorder=4)
    axes.set_yticks(places, names, fontsize=8.5, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.set_xlim(-2, 102)
    axes.set_xlabel(f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]")
    counts = [
        ("better", _COLORS["better"], int((after > before).sum())),
        ("worse", _COLORS["worse"], int((after < before).sum())),
        ("unchanged", _COLORS["zero_shot"], int((after == before).sum())),
    ]
    dot = {"marker": "o", "linestyle": "", "markersize": 5.5}
    handles = [
        Line2D(
            [],
            [],
            **dot,
            markerfacecolor="white",
            markeredgecolor=_COLORS["zero_shot"],
            label="zero-shot",
        )
    ]
    handles += [
        Line2D([], [], **dot, color=color, label=f"tuned, {word} ({count})")
        for word, color, count in counts
        if count
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
    )
    left_out = len(zero_shot) - len(rows)
    if left_out:
        axes.text(
            1,
            1.0,
            f"not shown, no recording: {left_out}",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=8,
            color="#555555",
        )
    return _save(figure, path)


def plot_confusion(matrix, class_names, path):
    """Draw a confusion matrix, each row as percentages of the true class.

    Arguments
    ---------
    matrix : numpy.ndarray
        Counts [C, C], rows are true classes.
    class_names : list of str
        The C names.
    path : str or Path
        File to write; its suffix is the format.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the matrix is not [C, C].

    Example
    -------
    >>> path = plot_confusion(
    ...     [[3, 1], [0, 0]], ["dog", "rain"],
    ...     getfixture("tmpdir").join("confusion.png"),
    ... )
    >>> path.exists()
    True
    """
    matrix = np.asarray(matrix)
    n_classes = len(class_names)
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(
            f"a matrix {list(matrix.shape)} for {n_classes} class names"
        )
    totals = matrix.sum(axis=1, keepdims=True)
    # A class without recordings has no percentages: its row stays grey.
    shares = np.where(totals > 0, 100 * matrix / np.maximum(totals, 1), np.nan)

    side = max(3.2, 0.2 * n_classes)
    small = n_classes > 15
    figure = _figure(side + 2.6, side + 1.8)
    axes = figure.subplots()
    axes.set_facecolor("#E8E8E8")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    size = 8 if small else 9
    ticks = np.arange(n_classes)
    axes.set_yticks(ticks, class_names, fontsize=size, parse_math=False)
    axes.set_xticks(
        ticks,
        class_names,
        fontsize=size,
        parse_math=False,
        rotation=90 if small else 45,
        ha="center" if small else "right",
        rotation_mode="default" if small else "anchor",
    )
    # Lines between the cells let the eye follow a row to its name.
    axes.set_xticks(ticks[1:] - 0.5, minor=True)
    axes.set_yticks(ticks[1:] - 0.5, minor=True)
    axes.grid(which="minor", color="#E4E4E4", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if not small:
        for row, column in np.argwhere(shares > 0):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{share:.0f}",
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if share > 55 else "#222222",
            )
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=25, pad=0.02)
    bar.set_label("% of the true class")
    bar.outline.set_visible(False)
    return _save(figure, path)


def format_table(metrics, metric_name):
    """Compare the heads as plain text for a terminal or a log.

    Arguments
    ---------
    metrics : dict
        Head to its metrics, as in `results.json`; None where a head does not
        apply.
    metric_name : str
        Which of the metrics, in 0..1.

    Returns
    -------
    str
        The metric in percent, and the difference to zero-shot in points.

    Example
    -------
    >>> print(format_table(
    ...     {"zero_shot": {"acc": 0.8}, "coarse": {"acc": 0.9125},
    ...      "fine": None, "ensemble": {"acc": 0.795}}, "acc",
    ... ))
                                 acc [%]  vs zero-shot
    zero-shot (plain template)     80.00
    coarse                         91.25        +11.25
    fine                               -
    ensemble                       79.50         -0.50
    """
    value_title, difference_title = f"{metric_name} [%]", "vs zero-shot"
    label_width = max(map(len, HEADS.values()))
    value_width = max(8, len(value_title))
    base = (metrics["zero_shot"] or {}).get(metric_name)
    lines = [
        f"{'':{label_width}}  {value_title:>{value_width}}  {difference_title}"
    ]
    for head, label in HEADS.items():
        value = (metrics[head] or {}).get(metric_name)
        shown = "-" if value is None else f"{100 * value:.2f}"
        line = f"{label:{label_width}}  {shown:>{value_width}}"
        if head != "zero_shot" and None not in (value, base):
            points = f"{100 * (value - base):+.2f}"
            line += f"  {points:>{len(difference_title)}}"
        lines.append(line)
    return "\n".join(lines)


def package_versions():
    """Versions of what a result depends on.

    Returns
    -------
    dict
        Package name to version, None where it is not installed.

    Example
    -------
    >>> package_versions()["torch"].split(".")[0]
    '2'
    """
    versions = {"python": platform.python_version()}
    for name in (
        "afpt_plugin",
        "speechbrain",
        "torch",
        "torchaudio",
        "msclap",
        "transformers",
        "numpy",
    ):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def write_run(folder, results, history, ids, targets, class_names, logits):
    """Write everything a finished run leaves behind.

    `predictions.csv`, `training.png` (if the run trained), `per_class.png`
    (zero-shot against ensemble), `confusion.png` (of the ensemble, for
    single-label targets only) and, last, `results.json`.

    Arguments
    ---------
    folder : str or Path
        Where to write; made if it does not exist.
    results : dict
        See `write_results`. `results["selected_epoch"]`, if there, is marked
        in the training figure.
    history : list of dict
        See `plot_training`; empty if nothing was trained.
    ids : list of str
        One for each of the N recordings.
    targets : torch.Tensor
        Class indices [N] or multi-hot labels [N, C].
    class_names : list of str
        The C names.
    logits : dict
        Each key of `HEADS` to its logits [N, C].

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If a required key or head is missing or the shapes do not fit.

    Example
    -------
    The one in the description of this module.
    """
    missing = _missing_keys(results)
    missing += [f"logits of {head}" for head in HEADS if head not in logits]
    if missing:
        raise ValueError(f"the run lacks {', '.join(missing)}")
    folder = Path(folder)
    single_label = torch.as_tensor(targets).ndim == 1
    if single_label:
        metric_name, class_metric = "acc", "acc"
        measure = single_label_metrics
    else:
        metric_name, class_metric = "mAP", "ap"
        measure = multi_label_metrics
    paths = [write_predictions(folder, ids, targets, class_names, logits)]
    if history:
        paths.append(
            plot_training(
                history,
                folder / "training.png",
                metric_name,
                (results["metrics"]["zero_shot"] or {}).get(metric_name),
                results.get("selected_epoch"),
            )
        )
    zero_shot, tuned = (
        {
            name: entry[class_metric]
            for name, entry in measure(logits[head], targets, class_names)[
                "per_class"
            ].items()
        }
        for head in ("zero_shot", "ensemble")
    )
    paths.append(
        plot_per_class(zero_shot, tuned, folder / "per_class.png", class_metric)
    )
    if single_label:
        matrix = confusion(logits["ensemble"], targets, len(class_names))
        paths.append(
            plot_confusion(matrix, class_names, folder / "confusion.png")
        )
    return [*paths, write_results(folder, results)]
