"""What every test shares."""

import os

# Before torch is imported: one thread a process, so that tests beside each other do not fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("deep", max_examples=2000)  # pytest --hypothesis-profile=deep


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers share the tests by file; those of the book stay on one worker, which builds the pages once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/book" if nodeid.startswith("tests/book/") else super()._split_scope(nodeid)

    return ByFile(config, log)
