"""What every test shares."""

import os

# Before torch is imported: one thread a process, so that tests beside each other do not fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from hypothesis import settings

settings.register_profile("deep", max_examples=2000)  # pytest --hypothesis-profile=deep
