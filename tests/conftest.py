"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_MEDIA = Path(__file__).parents[2] / "shared" / "media"


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real test media beside the checkout; skips where it is absent."""
    if not SHARED_MEDIA.is_dir():
        pytest.skip("real test media are not beside this checkout (../shared/media)")
    return SHARED_MEDIA
