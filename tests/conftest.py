"""Fixtures of all tests."""

import pytest
from sample_noise import write_recordings


@pytest.fixture(scope="session")
def recordings_folder(tmp_path_factory):
    """Ten recordings of noise and their recordings.csv; not to be changed."""
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder
