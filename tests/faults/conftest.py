"""What the tests of damaged inputs share."""

import pytest
from forks import Forks
from templates import make_template


@pytest.fixture(scope="session")
def forks():
    """The process that runs what is tried."""
    with Forks() as forks:
        yield forks


@pytest.fixture(scope="session")
def template(forks, tmp_path_factory):
    """What is copied and damaged."""
    folder = tmp_path_factory.mktemp("template")
    make_template(forks, folder)
    return folder
