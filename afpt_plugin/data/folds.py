"""Choose the recordings to test on, and those that training may use.

Authors
 * The afpt_plugin developers 2026
"""

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.sampling import folds_by_source
from afpt_plugin.data.tables import text_of
from afpt_plugin.errors import InputError

logger = get_logger(__name__)


def select_folds(task, root, rows, folds=None, source_folds=None):
    """Mark the rows outside the tested folds as ``train``.

    Arguments
    ---------
    task : Task
        Gives the data set's name and its own folds.
    root : str or pathlib.Path
        The data set's folder, for messages.
    rows : list of dict
        See `afpt_plugin.data.manifests.prepare_manifests`.
    folds : list of int, optional
        The folds to test on; by default all.
    source_folds : int, optional
        Make this many new folds, which share no source, in place of the data
        set's own.

    Returns
    -------
    rows : list of dict
        The same recordings.
    chosen : list of int
        The folds that are tested.
    kind : str or None
        ``own`` or ``by source: <n>``; None if all recordings are tested.

    Raises
    ------
    InputError
        If a fold does not exist, or there is no recording to test.

    Example
    -------
    >>> from afpt_plugin.task import Task
    >>> rows = [{"ID": name, "label": "dog", "fold": "1"} for name in "ab"]
    >>> task = Task("Pets", ["dog"], folds=(1,))
    >>> rows, chosen, kind = select_folds(task, "pets", rows, [1], 2)
    >>> [(row["ID"], row["train"]) for row in rows], chosen, kind
    ([('a', True), ('b', False)], [1], 'by source: 2')
    """
    if source_folds is not None:
        new = folds_by_source(
            [row["ID"] for row in rows],
            [row["label"] for row in rows],
            [row.get("source") or row["ID"] for row in rows],
            source_folds,
        )
        rows = [
            {**row, "fold": str(fold)}
            for row, fold in zip(rows, new, strict=True)
        ]
    all_folds, folds = check_folds(task, folds, source_folds)
    known = {str(fold): fold for fold in all_folds}
    marked = []
    for row in rows:
        if row["fold"] not in known:
            problem = f"fold {row['fold']!r} is not in {', '.join(known)}"
            marked.append({**row, "problem": row.get("problem") or problem})
        else:
            marked.append({**row, "train": known[row["fold"]] not in folds})
    if all(row.get("train") for row in marked):
        raise InputError(
            f"{root}: no recording is in folds {list(folds)}; the metadata has "
            f"folds {sorted({known[row['fold']] for row in rows})}"
        )
    chosen, kind = sorted(set(folds)), None
    if chosen != all_folds:
        kind = f"by source: {source_folds}" if source_folds else "own"
    return marked, chosen, kind


def check_folds(task, folds=None, source_folds=None):
    """Return all existing folds, and the tested ones; see `select_folds`.

    Raises
    ------
    InputError
        If a fold does not exist.

    Example
    -------
    >>> from afpt_plugin.task import Task
    >>> check_folds(Task("Pets", ["dog"], folds=(1, 2)), [2])
    ([1, 2], [2])
    """
    all_folds = list(task.folds)
    if source_folds is not None:
        all_folds = list(range(1, source_folds + 1))
    folds = all_folds if folds is None else folds
    known = {str(fold): fold for fold in all_folds}
    found = [None]
    if isinstance(folds, (list, tuple)):
        # If the folds are "1" and "a", YAML still reads 1 as a number.
        found = [known.get(str(text_of(fold))) for fold in folds]
    if None in found:
        raise InputError(
            f"folds: {folds!r} is not a list of folds of {task.name}; use a "
            f"list of {', '.join(known)}, or leave the option out for all"
        )
    return all_folds, found


def leave_tested_out(task, train, tested):
    """Remove training rows that share content or source with tested ones.

    ``train`` and ``tested`` are rows of two manifests, with ``source`` and
    ``sha256``. A training row is removed if it shares one of the two with a
    tested row. Returns the rows that are kept, and how many were removed.

    Raises
    ------
    InputError
        If no row is kept.

    Example
    -------
    >>> from afpt_plugin.task import Task
    >>> test, copy, other = (
    ...     {"source": source, "sha256": content}
    ...     for source, content in (("7", "a"), ("", "a"), ("8", "b"))
    ... )
    >>> leave_tested_out(Task("Pets", ["dog"]), [copy, other], [test])
    ([{'source': '8', 'sha256': 'b'}], 1)
    """
    kept = list(train)
    for key in ("source", "sha256"):
        taken = {row[key] for row in tested} - {""}
        kept = [row for row in kept if row[key] not in taken]
    if n_left_out := len(train) - len(kept):
        logger.warning(
            "%s: %d recordings are not learned from, because they are copies "
            "of tested ones or were cut from the same sources",
            *(task.name, n_left_out),
        )
    refuse_no_training(task, kept)
    return kept, n_left_out


def refuse_no_training(task, rows):
    """Raise an `InputError` if there are no rows to learn from."""
    if not rows:
        raise InputError(
            f"{task.name}: no recording is left to learn from; test on some "
            'folds only (--folds "[1]", with --source_folds 5 if the data set '
            "has none), or learn from captions"
        )
