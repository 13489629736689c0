"""What every test shares: a cache of its own, and the folder of real data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded data go into a folder of this session, never into the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEGAN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data, or a skip with the reason."""
    folder = os.environ.get("VAEGAN_TEST_DATA")
    if not folder:
        pytest.skip("VAEGAN_TEST_DATA is not set to the folder of real data")
    return Path(folder)
