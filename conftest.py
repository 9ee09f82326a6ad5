"""Settings that every test shares.

Hypothesis asks all loaded modules for ``__file__``. SpeechBrain registers
redirects of renamed modules that import their target when asked anything, and
some targets (k2) are optional: take the redirects out before a test runs.
"""

import logging
import sys
from importlib.util import find_spec

import pytest
import speechbrain  # noqa: F401  (registers the redirects)
from speechbrain.utils.importutils import LazyModule

for _name, _module in list(sys.modules.items()):
    if isinstance(_module, LazyModule):
        del sys.modules[_name]

# Its examples build the towers of msclap, see constraints-modern.txt.
collect_ignore = []
if find_spec("msclap") is None:
    collect_ignore.append("afpt_plugin/backbones/ms_clap.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Take back the log that a recipe sets up in this process.

    It would write to what the next test has closed.
    """
    root = logging.root
    handlers, level = root.handlers[:], root.level
    try:
        return (yield)
    finally:
        root.handlers[:], root.level = handlers, level
