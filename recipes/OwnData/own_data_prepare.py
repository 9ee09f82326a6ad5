"""
Creates the manifests of a user's own labeled recordings.

They come as a folder with a folder for each class, as a table, or as a data set
of Hugging Face, see `afpt_plugin.data.own_data`. If training uses only text,
all recordings are tested; otherwise some folds are, or the rows whose split is
test.

Authors
 * The afpt_plugin developers 2026
"""

import os
from pathlib import Path

from afpt_plugin.data.manifests import prepare_manifests
from afpt_plugin.data.own_data import COLUMNS, read_own_data
from afpt_plugin.data.tables import read_class_names
from afpt_plugin.errors import InputError

# Keys of the option `own_data`, in addition to the columns of a table.
OPTIONS = ("class_names", "multi_label", "clip_seconds")


def find_own_data(options):
    """
    Reads the names and labels of the recordings, but decodes none of them.

    Arguments
    ---------
    options : dict
        The YAML's ``data``: ``data_folder``, ``feature_folder`` (where the
        recordings of a data set of Hugging Face are unpacked) and ``own_data``.
        This is a list of pairs: names of the data's columns (``label:
        category``), ``multi_label`` as in `read_own_data`, ``class_names`` (a
        list, or a file with a name on each line), ``clip_seconds``.

    Returns
    -------
    task : Task
        The task, named after the file or folder.
    rows : list of dict
        A row for each recording.

    Raises
    ------
    InputError
        If there is no such data, or an option is unknown.

    Example
    -------
    >>> find_own_data({"data_folder": "samples", "feature_folder": "features"})
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: data_folder: there are no samples ...
    """
    source, own = str(options["data_folder"]), {}
    if source == "samples":
        raise InputError(
            "data_folder: there are no samples of your own data; give a "
            "folder, a table or a data set"
        )
    # It is a list, since the command line cannot replace null by a mapping.
    pairs = options.get("own_data") or []
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not isinstance(pair, dict) or pair.keys() - {*COLUMNS, *OPTIONS}:
            raise InputError(
                f"own_data has {pair!r}; give a list such as [label: category], "
                f"of {', '.join([*COLUMNS, *OPTIONS])}"
            )
        own |= pair
    class_names = own.get("class_names")
    if isinstance(class_names, str):
        class_names = read_class_names(class_names)
    data = read_own_data(
        source,
        options["feature_folder"],
        {name: own[name] for name in COLUMNS if name in own},
        class_names,
        own.get("multi_label"),
    )
    rows = [
        {**row, "train": data.is_split and row["split"] == "train"}
        for row in data.rows
    ]
    name = source  # the name of a data set on the hub
    if os.path.exists(source):
        name = Path(os.path.abspath(source)).name
    return data.task(name, own.get("clip_seconds")), rows


def prepare_own_data(
    task,
    rows,
    data_folder,
    save_folder,
    own_data=None,
    allow_missing=0,
    folds=None,
    source_folds=None,
    with_train=False,
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks every recording and writes the manifests.

    ``<save_folder>/test.csv`` lists the recordings that are tested,
    ``train.csv`` (only ``with_train``) those that may be learned from, and
    ``prepare.json`` says how the lists were made.

    Arguments
    ---------
    task, rows
        From `find_own_data`, which has already used ``own_data``.
    data_folder : str
        Where the recordings were found.
    own_data : list, optional
        The option, to be recorded in ``prepare.json``.
    skip_prep : bool
        If True, do nothing: the manifests are there.
    save_folder, allow_missing, folds, source_folds, with_train, cache_folder
        See `afpt_plugin.data.manifests.prepare_manifests`.

    Raises
    ------
    InputError
        If more recordings than allowed cannot be used, or the recordings have
        no such folds.

    Example
    -------
    >>> options = {"data_folder": "labels.csv", "feature_folder": "features"}
    >>> task, rows = find_own_data(options)  # doctest: +SKIP
    >>> prepare_own_data(task, rows, "labels.csv", "save")  # doctest: +SKIP
    """
    if skip_prep:
        return
    is_split = any(row["train"] for row in rows)
    if (folds or source_folds) and is_split:
        raise InputError(
            f"{data_folder}: the recordings are split into train and test, so "
            "they have no folds; leave out folds and source_folds, or the "
            "column split"
        )
    if folds and not task.folds and not source_folds:
        raise InputError(
            f"{data_folder}: the recordings have no folds; add a column fold, "
            "or make some with source_folds"
        )
    prepare_manifests(
        task,
        data_folder,
        rows,
        save_folder,
        folds,
        source_folds,
        with_train,
        allow_missing,
        cache_folder,
        settings={"own_data": own_data},
        facts={"run_kind": "own data"},
    )
