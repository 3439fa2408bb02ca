"""Profiles: how much a run may spend. ``smoke`` checks that it runs, ``cpu`` measures, ``gpu`` measures more."""

from typing import TypeVar

from transferlib.errors import UserError, nearest

PROFILES = ("smoke", "cpu", "gpu")
T = TypeVar("T")


def check_profile(profile: str) -> str:
    """Return ``profile`` when it exists. Raises ``UserError`` otherwise, with the nearest names."""
    if profile not in PROFILES:
        raise UserError(f"PROFILE={profile!r} is unknown: {nearest(profile, PROFILES)}")
    return profile


def pick(profile: str, *, smoke: T, cpu: T, gpu: T | None = None) -> T:
    """The value of one setting in ``profile``; ``gpu`` defaults to the value of ``cpu``."""
    values = {"smoke": smoke, "cpu": cpu, "gpu": cpu if gpu is None else gpu}
    return values[check_profile(profile)]


def check_device(device: str) -> str:
    """Return ``device`` when PyTorch can compute on it: ``cpu``, ``mps``, ``cuda`` or ``cuda:1``.

    Raises ``UserError`` for an unknown device, and for one that this machine does not have.
    """
    import torch  # slow to import, and a profile alone does not need it

    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdecimal()):
        raise UserError(f"DEVICE={device!r} is unknown: use 'cpu', 'cuda', 'cuda:1' or 'mps'.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"DEVICE={device!r} needs an NVIDIA GPU and this machine shows none: use DEVICE=cpu.")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise UserError(f"DEVICE={device!r} is not there: this machine has {torch.cuda.device_count()} GPU(s), from 0.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"DEVICE={device!r} needs an Apple GPU and this machine shows none: use DEVICE=cpu.")
    return device
