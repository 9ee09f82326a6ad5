"""Report a user's mistake in one sentence instead of a stack trace.

Authors
 * The afpt_plugin developers 2026
"""

import difflib
import errno
import sys
from contextlib import contextmanager


class InputError(ValueError):
    """A mistake in what the user gave: a file, a value, an option.

    The message says what was wrong, where (file, row, value) and what to do.

    Example
    -------
    >>> raise InputError("captions.csv, row 3: empty caption; remove the row")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: captions.csv, row 3: empty caption; remove the row
    """


def did_you_mean(name, names):
    """Make the end of a message about an unknown name: a suggestion, or "".

    Example
    -------
    >>> did_you_mean("sede", ["seed", "lr"])
    "; did you mean 'seed'?"
    """
    close = difflib.get_close_matches(str(name), [*map(str, names)])
    if not close:
        return ""
    # Among equally similar names, the first one wins.
    alike = difflib.SequenceMatcher(b=str(name))
    ratios = {}
    for each in filter(close.__contains__, map(str, names)):
        alike.set_seq1(each)
        ratios[each] = alike.ratio()
    return f"; did you mean {max(ratios, key=ratios.get)!r}?"


_ROOM = "make room, and give the same command again"
_RIGHTS = "change its permissions, or choose another place"
#: Advice for errors of the system that only the user can fix.
ADVICE = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM)
ADVICE |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHTS)
ADVICE[errno.ENAMETOOLONG] = "give a shorter name"

# Functions that `undo_if_refused` has registered.
_undo = []


def undo_if_refused(*functions):
    """Register the functions that `exit_on_input_error` calls after a mistake.

    They replace those registered before. They undo what a command wrote before
    it found the mistake.

    Example
    -------
    >>> undo_if_refused(lambda: print("taken back"))
    >>> with exit_on_input_error():
    ...     raise InputError("a mistake")
    Traceback (most recent call last):
    ...
    SystemExit: 2
    """
    _undo[:] = functions


@contextmanager
def exit_on_input_error():
    """Turn an `InputError` into its message on stderr and exit status 2.

    Any other exception is a bug in this package and keeps its stack trace.

    Raises
    ------
    SystemExit
        With status 2 if the body raised an `InputError`, or an `OSError` that
        only the user can fix (`ADVICE`); with 130 after Ctrl+C.

    Example
    -------
    >>> with exit_on_input_error():
    ...     pass
    """
    try:
        yield
    except (InputError, OSError) as error:
        if isinstance(error, OSError):
            if error.errno not in ADVICE:
                raise
            error = (
                f"{str(error.filename or 'an output')[:200]}: it cannot be used "
                f"({error.strerror}); {ADVICE[error.errno]}"
            )
        for function in _undo:
            function()
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        # Start a new line, since this one may hold a progress bar.
        sys.stderr.write(
            "\ninterrupted; the same command goes on, or begins anew\n"
        )
        raise SystemExit(130) from None  # a shell's status after Ctrl+C


@contextmanager
def refuse_unwritable(path):
    """Report a path that cannot be written to as the user's mistake.

    Raises
    ------
    InputError
        If the body raised an `OSError`.

    Example
    -------
    >>> with refuse_unwritable("/dev/null/scores.csv"):
    ...     open("/dev/null/scores.csv", "w")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: /dev/null/scores.csv: the path is not writable ...
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: the path is not writable ({error.strerror}); choose "
            "another one, or change its permissions"
        ) from error
