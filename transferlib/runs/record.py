"""The record: results of sweeps that travel with the book, so that a learner need not wait for them.

A folder with one file a sweep, named by the key of its code, and a manifest: the SHA-256 of each file, the date, the
processor and the commit of the run, and a seal over it all. A result is used only where its key is that of today's
code, and never by a run that measures (``make execute``, ``make book``).
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from transferlib.errors import UserError
from transferlib.runs import provenance
from transferlib.runs.files import write

MANIFEST = "manifest.json"
COUNTS = {"cells_computed": 0, "cells_kept": 0}  # of this process, for the chapter's provenance
NOTED: set[str] = set()  # the keys of this process's sweeps, for the chapter's provenance


def folder() -> Path | None:
    """The record that this process may read: ``$TRANSFERLIB_RECORD``, or None."""
    named = os.environ.get("TRANSFERLIB_RECORD")
    return Path(named) if named else None


def name(cell: Mapping[str, Any]) -> str:
    """A cell's settings as one line, the same in every process."""
    return json.dumps(dict(cell), sort_keys=True, default=lambda value: value.tolist())


def packed(results: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Results by :func:`name` as one compressed file without pickles; tables of right and wrong take a bit an answer.

    >>> unpacked(packed({"{}": {"accuracy": 0.5, "right": np.array([True, False])}}))
    {'{}': {'accuracy': 0.5, 'right': array([ True, False])}}
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def plain(value: Any) -> Any:
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        if isinstance(value, dict):
            return {"parts": {key: plain(part) for key, part in value.items()}}
        if not isinstance(value, np.ndarray):
            return value
        key = str(len(arrays))
        arrays[key] = np.packbits(value) if value.dtype == bool else value
        return {"array": key, "shape": value.shape, "bits": value.dtype == bool}

    index = {cell: {part: plain(value) for part, value in result.items()} for cell, result in results.items()}
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(index, sort_keys=True).encode(), dtype=np.uint8)
    np.savez_compressed(buffer, index=text, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, dict[str, Any]]:
    """The inverse of :func:`packed`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:

        def full(value: Any) -> Any:
            if isinstance(value, list):
                return [full(part) for part in value]
            if not isinstance(value, dict):
                return value
            if "parts" in value:
                return {key: full(part) for key, part in value["parts"].items()}
            array, shape = file[value["array"]], tuple(value["shape"])
            if value["bits"]:
                array = np.unpackbits(array, count=int(np.prod(shape))).astype(bool)
            return array.reshape(shape)  # (bits or entries,) → the table's own shape

        index = json.loads(file["index"].tobytes())
        return {cell: {part: full(value) for part, value in result.items()} for cell, result in index.items()}


def note(key: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Leave a sweep's results beside the run's metrics, where :func:`collect` finds them."""
    NOTED.add(key)
    build = os.environ.get("TRANSFERLIB_BUILD")
    if build:
        place = Path(build) / "sweeps" / f"{key}.npz"
        before = unpacked(place.read_bytes()) if place.is_file() else {}  # one function may be swept twice
        write(place, packed({**before, **results}))


def sample(cells: Sequence[Mapping[str, Any]]) -> list[int]:
    """Positions of the ``$TRANSFERLIB_RECORD_SAMPLE`` cells to be measured again although they are recorded."""
    count = int(os.environ.get("TRANSFERLIB_RECORD_SAMPLE") or 0)
    return sorted(np.random.default_rng().permutation(len(cells))[:count].tolist())


def compare(desc: str, cell: Mapping[str, Any], kept: Mapping[str, Any], again: Mapping[str, Any]) -> None:
    """Does a recorded cell come out again, give or take what another processor's rounding does to a training?

    A number may differ by a tenth (of one, or of itself when larger); in a table of numbers or of answers one entry may
    differ more, or a tenth of them. Raises ``UserError`` otherwise.
    """
    for part, value in kept.items():
        old, new = np.asarray(value), np.asarray(again.get(part))
        if old.dtype.kind in "fiub" and old.shape == new.shape and new.dtype.kind in "fiub":
            near = np.isclose(old.astype(float), new.astype(float), rtol=0.1, atol=0.1, equal_nan=True)
            same = bool((~near).sum() <= max(old.size // 10, int(old.ndim > 0)))
        else:
            same = bool(np.array_equal(old, new))
        if not same:
            raise UserError(f"{desc}: the recorded {part!r} of {name(cell)} does not come out again: record anew.")


def collect(noted: Path, into: Path, keys: Sequence[str]) -> int:
    """Make the noted sweeps with these keys the record; returns its size in bytes.

    Raises ``UserError`` when there is nothing to record.
    """
    found = {key: (noted / f"{key}.npz").read_bytes() for key in sorted(keys) if (noted / f"{key}.npz").is_file()}
    if not found:
        raise UserError(f"There are no sweeps in {str(noted)!r} to record: run `make execute` first.")
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.npz"):
        old.unlink()
    for key, data in found.items():
        write(into / f"{key}.npz", data)
    facts = provenance.facts()
    body = {
        "date": time.strftime("%Y-%m-%d"), "processor": facts["processor"], "commit": facts["commit"],
        "versions": facts["versions"],
        "files": {key: hashlib.sha256(data).hexdigest() for key, data in found.items()},
    }  # fmt: skip
    write(into / MANIFEST, json.dumps({**body, "seal": seal(body)}, indent=1, sort_keys=True) + "\n")
    return sum(map(len, found.values()))


def seal(body: Mapping[str, Any]) -> str:
    """A digest of the manifest: an edit by hand that does not renew it is noticed."""
    return provenance.digest("head-start-record-1", json.dumps(dict(body), sort_keys=True))


@cache
def manifest(place: Path) -> dict[str, Any]:
    """The record's manifest, checked against its seal.

    Raises ``UserError`` when there is none, or when it was edited.
    """
    try:
        body = dict(json.loads((place / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"There is no record in {str(place)!r} ({error}): run `make execute` instead.") from None
    if body.pop("seal", "") != seal(body):
        raise UserError(
            f"{str(place / MANIFEST)!r} was edited after it was recorded: restore it, or run `make record`."
        )
    return body


def read(key: str) -> dict[str, dict[str, Any]]:
    """The recorded results of a sweep by :func:`name` of their cell; empty where there is no record of this code.

    Raises ``UserError`` for a file that is not the one that was recorded.
    """
    place = folder()
    if place is None or key not in manifest(place)["files"]:
        return {}
    file = place / f"{key}.npz"
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != manifest(place)["files"][key]:
        state = "was edited after it was recorded" if data else "is missing"
        raise UserError(f"{str(file)!r} {state}: restore it, or run `make execute`, which does not read it.")
    return unpacked(data)


def told(count: int, desc: str) -> str:
    """``runs: 95 results recorded on 2026-11-28, AMD EPYC, commit abc; `make execute` measures them again``."""
    place = folder()
    assert place is not None
    body = manifest(place)
    return (
        f"{desc}: {count} results recorded on {body['date']}, {body['processor']}, commit {body['commit']}; "
        "`make execute` measures them again"
    )
