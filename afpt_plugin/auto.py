"""``auto``: choose a method by cross-validation on the given material.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.sampling import iterative_folds
from afpt_plugin.data.supervision import Supervision
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import find_method, method_names, option_names
from afpt_plugin.options import check_hparams
from afpt_plugin.results.output import primary_head

logger = get_logger(__name__)

#: Methods that ``auto`` tries only on request. They take hours on a CPU, since
#: they run the text tower in every step of 50 to 200 epochs.
SLOW = ("coop", "coop_class_specific", "kgcoop", "upstream", "zebra")

# Tried first, in this order, so that the simplest method wins a tie.
SIMPLE = ("zero_shot", "template_ensemble", "caption_mean")


def own_options(method, options):
    """Keep only the options that a method has.

    Example
    -------
    >>> own_options("palm", {"lr": 0.1, "n_ctx": 4})
    {'lr': 0.1}
    """
    known = option_names(find_method(method))
    return {k: v for k, v in options.items() if k in known}


def check_candidates(method, candidates):
    """Check that candidates are a list of methods, and that ``auto`` uses it.

    Raises
    ------
    InputError
        If candidates are not such a list, or the method is not ``auto``.
    """
    if candidates is None:
        return
    if method != "auto":
        raise InputError(
            f"candidates are what the method `auto` tries, but the method is "
            f"{method!r}; leave one of the two out"
        )
    if isinstance(candidates, str) or not candidates:
        raise InputError(
            f"candidates is {candidates!r}; give a list of methods, or None "
            "for all but the slowest"
        )


def name_sources(job):
    """Map each kind of training material to its name in messages (dict)."""
    given = "captions" in job.given
    captions = "captions" if given else "templated class names"
    return {
        "shots": "labeled recordings",
        "captions": captions,
        None: "nothing",
    }


def choose_method(job, candidates=None, options={}):
    """Choose the best candidate by cross-validation on the given material.

    The candidates are tested on the recordings if there are any, else on the
    captions. A candidate that learns from these items is tested in each fold on
    the part that it was not trained on. The others (zero-shot, and methods that
    learn from captions while recordings are the test) are tested on all items.

    Arguments
    ---------
    job : afpt_plugin.adaptation.Job
        The given material.
    candidates : list of str, optional
        Names of methods; by default all but the `SLOW` ones.
    options : dict
        Options; each goes to the methods that have it.

    Returns
    -------
    method : str
        Name of the chosen method.
    source : str
        What it learns from.
    facts : dict
        The reasons for the choice, for the export.

    Raises
    ------
    InputError
        If there is too little to compare, or nothing could be tried.
    """
    names = candidates or [n for n in method_names() if n not in SLOW]
    names = dict.fromkeys([*(n for n in SIMPLE if n in names), *names])
    # Check all options now, so that a mistake does not surface an hour later.
    sources = {method: job.sources(method) for method in names}
    known = set().union(*(option_names(find_method(n)) for n in names))
    if unknown := sorted(options.keys() - (known - {"learn_from"})):
        raise InputError(
            f"auto: {', '.join(unknown)} is not an option of "
            f"{', '.join(names)}, or is what auto chooses; remove it"
        )
    for name in names:
        check_hparams(find_method(name), own_options(name, options))
    judge = "shots" if job.manifest else "captions"
    said = name_sources(job)
    items = job.supervise(judge)
    split = _folds(job, items)
    if not split:
        raise InputError(
            f"auto needs two {said[judge]} of a class to compare methods; give "
            "more, or name a method"
        )
    tried, hits, scored = [], [], []
    total = sum(map(len, sources.values()))
    logger.info(
        "auto compares %d candidates in %d-fold cross-validation on %d %s",
        *(total, len(split), len(items), said[judge]),
    )
    for method in names:
        for source in sources[method]:
            own = own_options(method, options)
            if source != judge:
                given = Supervision(None, None, {"kind": "nothing"})
                if source is not None:
                    given = given._replace(train=job.supervise(source))
                parts = [(given, items)]
            else:
                parts = split
            score, right, found = _validate(job, method, source, own, parts)
            scored.append(found if judge == "shots" else None)
            tried.append({"method": method, "from": source, "score": score})
            hits.append(right)
            logger.info(
                "%d of %d: %s from %s has %s %.1f %%",
                *(len(tried), total, method, said[source]),
                *(job.task.metric, 100 * score),
            )
    number = max(range(len(tried)), key=lambda i: tried[i]["score"])
    best, first = tried[number], tried[0]
    # Scores of the recordings, each held out once, calibrate the learner.
    job.validated = scored[number]
    rule = (
        f"highest {job.task.metric} in {len(split)}-fold cross-validation on "
        f"{len(items)} {said[judge]}"
    )
    if number and hits[0]:
        # The counts show whether the choice rests on only a few items.
        pairs = [(right, hits[0][key]) for key, right in hits[number].items()]
        won, lost = pairs.count((True, False)), pairs.count((False, True))
        rule += (
            f"; it is right on {won} where {first['method']} is wrong, and "
            f"wrong on {lost} where that is right"
        )
    auto = {"rule": rule, "tried": tried}
    return best["method"], best["from"], {"auto": auto}


def validate_shots(job, method, options, learner):
    """Score the shots, each held out once, to calibrate a ``learner``.

    The folds use the hyperparameters that were chosen on all shots, since these
    scale the logits; in `choose_method`, each fold chooses its own. Nothing is
    scored if the learner is trained by gradients, which takes long, or if a
    class has a single shot, since no fold could both learn and test that class.
    """
    if not list(learner.parameters()):
        items = job.supervise("shots")
        if items.shots().target.sum(0).min() >= 2:
            own = options | own_options(method, learner.chosen)
            split = _folds(job, items)
            found = _validate(job, method, "shots", own, split)
            job.validated = found[-1]


def _folds(job, items):
    """Make pairs of training material and items to score, one for each fold.

    The list is empty if no class has two items.
    """
    target = items.shots().target  # [N, n_classes]
    several = [int(n) for n in target.sum(0) if n >= 2]
    if not several:
        return []
    n_folds = min(5, *several)
    folds = iterative_folds(target.numpy(), n_folds, job.seed)  # [N]
    return [
        (
            Supervision(items.part(folds != fold), None, {}),
            items.part(folds == fold),
        )
        for fold in range(n_folds)
    ]


def _validate(job, method, source, options, parts):
    """Score a method on pairs of training material and items to score.

    Returns the metric over all pairs; a dict of item id to whether it was
    scored right (empty if items may have several labels); and the primary
    head's logits with the targets, as `Scores.collect` gives them.
    """
    logits, targets, right = [], [], {}
    for given, test in parts:
        brain = job.learn(method, source, options, given, test)
        brain.score_recordings()
        found, target = brain.scores.collect()
        values = found[primary_head(found)]  # [M, n_classes]
        logits.append(values)
        targets.append(target)
        if not job.task.multi_label:
            hits = values.argmax(1) == target.argmax(1)  # [M]
            right |= zip(brain.scores.ids, hits.tolist(), strict=True)
    logits, targets = torch.cat(logits), torch.cat(targets)
    metrics = job.task.metrics(logits, targets)
    found = {primary_head(found): logits}, targets
    return metrics[job.task.metric], right, found
