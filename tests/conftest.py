"""What every test shares: a cache of its own, and the folder of real data."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # several workers share the cores: one thread each, before torch counts them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401 - the hook looks it up by name

# Shapes are checked while tests run, and only then. The hook must stand before the first import of what it checks.
CHECKED = ("vaegan.nn", "vaegan.models", "vaegan.objectives", "vaegan.inference")
assert not [name for name in CHECKED if name in sys.modules], "imported before its shapes could be checked"
install_import_hook(list(CHECKED), "tests.typecheck.check")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded data go into a folder of this test run, never into the user's cache."""
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
