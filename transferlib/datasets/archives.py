"""Archives of data: zip and tar, unpacked into the cache, where no path may lead out and nothing may fill the disk."""

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transferlib.errors import UserError
from transferlib.runs.cache import kept_dir

READ = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
OTHER = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".iso", ".dmg")  # tar's own endings come first
MOST_BYTES, MOST_FILES = 20_000_000_000, 1_000_000  # unpacked; above it, an archive is more likely an attack


def is_archive(file: Path) -> bool:
    """Whether the name, or for zip the content, says so. Raises ``UserError`` for kinds that are not read here."""
    name = file.name.lower()
    if name.endswith(READ) or (zipfile.is_zipfile(file) and not name.endswith((".xlsx", ".xlsm", ".ods", ".docx"))):
        return True
    if name.endswith(OTHER):
        raise UserError(f"{str(file)!r} is an archive of a kind that is not read here: unpack it first.")
    return False


def unpacked(file: Path) -> Path:
    """The folder in the cache that holds what the archive holds, unpacked on first use.

    Raises:
        UserError: a damaged archive, one with a password, a path that leads out of it, or more than 20 GB or a million
            files, or than the disk has free.
    """
    with file.open("rb") as stream:
        key = hashlib.file_digest(stream, "sha256").hexdigest()[:24]
    place = kept_dir() / "unpacked" / key
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    try:
        _unpack(file, beside)
        beside.replace(place)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        if place.is_dir():  # another process was faster
            return place
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        said = "it is damaged, or of another kind" if "\n" in said else said
        raise UserError(f"The archive {str(file)!r} cannot be unpacked ({said}): unpack it first.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def _unpack(file: Path, place: Path) -> None:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as zipped:
            _check(file, ((one.filename, one.file_size) for one in zipped.infolist()), place)
            if any(one.flag_bits & 1 for one in zipped.infolist()):
                raise UserError(f"The archive {str(file)!r} has a password: unpack it first.")
            zipped.extractall(place)  # a link in a zip becomes a small file that holds its target's name
        return
    with tarfile.open(file) as tarred:
        _check(file, ((one.name, one.size) for one in tarred), place)
        tarred.extractall(place, filter="data")  # no device, no link that leads out, no owner


def _check(file: Path, members: Iterator[tuple[str, int]], place: Path) -> None:
    total, free, seen = 0, shutil.disk_usage(place).free, set[str]()
    for count, (name, size) in enumerate(members, 1):
        if size and name in seen:
            raise UserError(f"The archive {str(file)!r} holds {name!r} twice: unpack it first, and keep the right one.")
        seen.add(name)
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
            raise UserError(
                f"The archive {str(file)!r} holds {name!r}, a path that leads out of it: it is not unpacked."
            )
        total += size
        if total > MOST_BYTES or count > MOST_FILES:
            raise UserError(
                f"The archive {str(file)!r} unpacks to more than {MOST_BYTES / 1e9:.0f} GB or {MOST_FILES:,} files: "
                "unpack it first, if you trust it."
            )
        if total > free:
            raise UserError(f"The archive {str(file)!r} unpacks to more than is free on the disk: free some space.")
