"""Tests of afpt_plugin.errors: whose mistake it is, in one sentence."""

import errno
import os

import pytest

from afpt_plugin.errors import exit_on_input_error


def ended(error, capsys):
    """Exit status, and what is said."""
    with pytest.raises(SystemExit) as caught, exit_on_input_error():
        raise error
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EACCES, "change its permissions"),
        (errno.ENAMETOOLONG, "give a shorter name"),
    ],
)
def test_what_only_the_user_can_mend_is_one_sentence(number, advice, capsys):
    error = OSError(number, os.strerror(number), "a/b.txt")
    status, said = ended(error, capsys)
    assert status == 2 and said.count("\n") == 1
    assert said.startswith("error: a/b.txt: it cannot be used (")
    assert advice in said


def test_an_interruption_is_no_defect_and_a_defect_is_one(capsys):
    status, said = ended(KeyboardInterrupt(), capsys)
    assert status == 130 and "interrupted" in said
    for error in (OSError(errno.EBADF, "bad"), TypeError("ours")):
        with pytest.raises(type(error)), exit_on_input_error():
            raise error
