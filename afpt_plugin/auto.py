"""``auto``: which method pays, by a cross-validation on what is given.

Authors
 * The afpt_plugin developers 2026
"""

from typing import NamedTuple

import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.sampling import iterative_folds
from afpt_plugin.data.supervision import Supervision
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import find_method, method_names, option_names
from afpt_plugin.results.output import primary_head

logger = get_logger(__name__)

#: What ``auto`` leaves out unless it is asked for: hours on a CPU, since every
#: step of 50 to 200 epochs passes the text tower.
SLOW = ("coop", "coop_class_specific", "kgcoop", "upstream", "zebra")

# What `auto` tries first wins a tie: what learns least.
SIMPLE = ("zero_shot", "template_ensemble", "caption_mean")


class Choice(NamedTuple):
    """What `afpt_plugin.adaptation.Job.learn` takes."""

    method: str
    source: str | None  # what it learns from
    options: dict  # of its YAML
    facts: dict  # why, for the export; empty where it was not chosen


def choose_method(job, method="auto", candidates=None, options={}):
    """A method as it is named, or the best one in a cross-validation.

    Candidates that learn from what is given are tested on what they were not
    trained on; the others (zero-shot, or captions where there are recordings)
    on all.

    Arguments
    ---------
    job : afpt_plugin.adaptation.Job
        What is given.
    method : str
        A method's name, or ``auto``.
    candidates : list of str, optional
        Names of methods; by default all but the `SLOW` ones.
    options : dict
        Of the method; of ``auto``, those of the candidates that have them.

    Returns
    -------
    Choice

    Raises
    ------
    InputError
        If there is too little to compare, or no candidate has an option.
    """
    if method != "auto":
        source = options.get("learn_from") or job.sources(method)[0]
        options = {k: options[k] for k in options if k != "learn_from"}
        return Choice(method, source, options, {})
    names = candidates or [n for n in method_names() if n not in SLOW]
    names = sorted(names, key=lambda name: name not in SIMPLE)
    own = {}
    for name in names:
        known = option_names(find_method(name)) - {"learn_from"}
        own[name] = {k: options[k] for k in options if k in known}
    if unknown := sorted(options.keys() - set().union(*own.values())):
        raise InputError(
            f"auto: {', '.join(unknown)} is no option of the methods that are "
            "tried; remove it, or name the method"
        )
    judge = "shots" if job.manifest else "captions"
    items = job.supervise(judge)
    target = items.shots().target  # [N, n_classes]
    several = [int(n) for n in target.sum(0) if n >= 2]
    if not several:
        raise InputError(
            f"auto needs two {judge} of a class to compare methods; give "
            "more, or name a method"
        )
    n_folds = min(5, *several)
    folds = iterative_folds(target.numpy(), n_folds, job.seed)  # [N]
    tried, hits = [], []
    for method in names:
        for source in job.sources(method):
            if source != judge:
                given = Supervision(None, None, {"kind": "nothing"})
                if source is not None:
                    given = given._replace(train=job.supervise(source))
                parts = [(given, items)]
            else:
                parts = [
                    (
                        Supervision(items.part(folds != fold), None, {}),
                        items.part(folds == fold),
                    )
                    for fold in range(n_folds)
                ]
            choice = Choice(method, source, own[method], {})
            score, right = _validate(job, choice, parts)
            tried.append({"method": method, "from": source, "score": score})
            hits.append(right)
            logger.info("auto: %s from %s: %.3f", method, source, score)
    number = max(range(len(tried)), key=lambda i: tried[i]["score"])
    best, first = tried[number], tried[0]
    rule = (
        f"highest {job.task.metric} in {n_folds}-fold cross-validation on "
        f"{len(target)} {judge}"
    )
    if number and hits[0]:
        # So that nobody takes one item's luck for a finding
        pairs = [(right, hits[0][key]) for key, right in hits[number].items()]
        won, lost = pairs.count((True, False)), pairs.count((False, True))
        rule += (
            f"; against {first['method']}, {won} more are right, {lost} less"
        )
    auto = {"rule": rule, "tried": tried}
    method = best["method"]
    return Choice(method, best["from"], own[method], {"auto": auto})


def _validate(job, choice, parts):
    """The metric over pairs of training material and items to score.

    Also, of one label, which of them are right.
    """
    logits, targets, right = [], [], {}
    for given, test in parts:
        brain = job.learn(*choice, given, test)
        brain.score_recordings()
        found, target = brain.scores.collect()
        values = found[primary_head(found)]  # [M, n_classes]
        logits.append(values)
        targets.append(target)
        if not job.task.multi_label:
            hits = values.argmax(1) == target.argmax(1)  # [M]
            right |= zip(brain.scores.ids, hits.tolist(), strict=True)
    metrics = job.task.metrics(torch.cat(logits), torch.cat(targets))
    return metrics[job.task.metric], right
