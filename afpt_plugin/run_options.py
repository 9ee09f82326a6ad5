"""SpeechBrain's own options on a command line, checked.

Authors
 * The afpt_plugin developers 2026
"""

import contextlib
import dataclasses
import io
import re

import speechbrain as sb
from speechbrain.utils.run_opts import RunOptions

from afpt_plugin.errors import InputError
from afpt_plugin.option_rules import RULES, whole

#: Short forms of options on a command line, as regular expressions.
SHORT_FORMS = {
    "--epochs?([=\0])": r"--number_of_epochs\2",
    r"--folds([=\0])(\w+)(?=\0|$)": r"--folds\2[\3]",
}


def parse_arguments(arguments):
    """Parse a command line as SpeechBrain does, with one-sentence errors.

    ``--precision`` may also be ``tf32``, see `afpt_plugin.training.precision`;
    ``--epochs`` stands for ``--number_of_epochs``, and ``--folds 4`` for
    ``--folds [4]``.

    Raises
    ------
    InputError
        If one of SpeechBrain's own options cannot be used.

    Example
    -------
    >>> parse_arguments(["hparams.yaml", "--precision=x"])
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: argument --precision: invalid choice: ...
    """
    _refuse_beginnings(arguments)
    said = io.StringIO()
    line = "\0".join(arguments)
    for short, whole_form in SHORT_FORMS.items():
        line = re.sub(f"(^|\0){short}", rf"\1{whole_form}", line)
    # SpeechBrain does not know tf32, so its parser gets fp32.
    changed = re.sub("(--precision[=\0])tf32(?=\0|$)", r"\1fp32", line)
    try:
        with contextlib.redirect_stderr(said):
            name, run_opts, overrides = sb.parse_arguments(changed.split("\0"))
    except SystemExit as error:
        if not error.code:
            raise  # after --help
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise InputError(f"{' '.join(reason.split())}; see --help") from None
    run_opts = _check_run_options(run_opts)
    if changed != line:
        run_opts = dataclasses.replace(run_opts, precision="tf32")
    return name, run_opts, overrides


def _refuse_beginnings(arguments):
    """Refuse SpeechBrain options in short, which `argparse` would complete."""
    known = [f"--{field.name}" for field in dataclasses.fields(RunOptions)]
    for word in arguments:
        name = word.partition("=")[0]
        longer = [option for option in known if option.startswith(name)]
        if len(name) > 2 and longer and name not in longer:
            raise InputError(
                f"{name} is not an option; write one in full, of the YAML file "
                f"or {' or '.join(longer)}"
            )


#: Options of SpeechBrain that cannot be used here, with the reasons.
NOT_HERE = {
    "jit": "learners cannot be written in TorchScript",
    "data_parallel_backend": "several GPUs work with torchrun",
    "profile_training": "SpeechBrain's profiler ends the training, or fails "
    "in the second epoch",
}


def _check_run_options(run_opts):
    """Refuse options out of range or unusable here; return the options."""
    limit = run_opts.optimizer_step_limit
    with contextlib.suppress(ValueError, TypeError):  # SpeechBrain gives a text
        limit = int(limit)
    run_opts = dataclasses.replace(run_opts, optimizer_step_limit=limit)
    rules = {
        "debug_batches": whole(1),
        "debug_epochs": whole(1),
        "max_grad_norm": RULES["max_grad_norm"],
        "nonfinite_patience": whole(),
        "ckpt_interval_minutes": whole(),
        "ckpt_interval_steps": whole(),
        "grad_accumulation_factor": whole(1),
        "optimizer_step_limit": whole(1, null=True),
        "profile_steps": whole(1),
        "profile_warmup": whole(),
    }
    problems = [
        f"{name} is {getattr(run_opts, name)!r}; give {rule}"
        for name, rule in rules.items()
        if not rule.allows(getattr(run_opts, name))
    ]
    problems += [
        f"--{name} cannot be used, since {reason}; leave it out"
        for name, reason in NOT_HERE.items()
        if getattr(run_opts, name)
    ]
    if run_opts.ckpt_interval_minutes and run_opts.ckpt_interval_steps:
        problems.append(
            "ckpt_interval_minutes and ckpt_interval_steps are both given; "
            "give one of the two"
        )
    if problems:
        raise InputError("; ".join(problems))
    return run_opts
