"""A saved model's answers for whole folders and tables: a row in a CSV file for each item, the unreadable included."""

import csv
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from transferlib.backbones.folding import folded
from transferlib.backbones.images import ImageBackbone
from transferlib.datasets.pictures import read, regular
from transferlib.datasets.rows import named
from transferlib.datasets.walk import files_below
from transferlib.errors import UserError
from transferlib.own_data.item_tables import holding, whole
from transferlib.own_data.saved import SavedModel
from transferlib.own_data.window import cut

HEAD = ("file", "label", "probability", "problem")
BATCH = 16  # files that a thread reads and judges at a time


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answering_threads() -> ThreadPoolExecutor:
    """A thread for each core that reads and judges on it alone: nobody waits for another one's part of a layer."""
    return ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,))


def answering(saved: SavedModel) -> Callable[[Any], tuple[Tensor, list[str]]]:
    """A function from pictures, uint8 (N, 3, size, size), or texts to probabilities (N, C), as the model's own.

    Beside them it gives what is to be said of each input: that a text is longer than the model reads, or nothing.
    BatchNorm is folded into the convolutions, which moves a probability by about 1e-6 and takes a quarter of the time.
    """
    model, factor, backbone = saved.model, saved.about["temperature"], saved.model.backbone
    net: Any = folded(model, backbone.example(4)) if isinstance(backbone, ImageBackbone) else model

    lock = threading.Lock()  # a tokenizer serves one thread at a time

    @torch.inference_mode()
    def answer(x: Any) -> tuple[Tensor, list[str]]:
        with lock:
            data = model.encode(x)
            said = [cut(backbone, one, saved.about["size"]) if isinstance(one, str) else "" for one in x]
        return (net(data).float() * factor).softmax(1), said

    return answer


def opened(file: Path, about: Mapping[str, Any]) -> Tensor | str:
    """A picture, or the text of a file, as the saved model that ``about`` describes reads it.

    Raises ``ValueError`` with the reason in a few words.
    """
    try:
        if about["kind"] == "images":
            return read(file, about["size"], tuple(about["span"]) if about.get("span") else None)
        text = regular(file).read_text(encoding="utf-8").strip()
    except MemoryError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        large = isinstance(error, Image.DecompressionBombError)
        raise ValueError("far too many pixels" if large else "no picture in a format that is read here") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(words or type(error).__name__) from None
    if not text:
        raise ValueError("an empty file")
    return text


def judged(saved: SavedModel, files: Sequence[Path | str], progress: bool = False) -> Iterator[tuple[str, str, str]]:
    """(label, probability, problem) of each file or text in order; the first two empty where it cannot be read.

    A text that is longer than the model reads has an answer, and a problem beside it.
    """
    answer, kind = answering(saved), saved.about["kind"]

    def judge(part: Sequence[Path | str]) -> list[tuple[str, str, str]]:
        read = [tried(file, saved.about) for file in part]
        good: list[Any] = [x for x in read if not isinstance(x, ValueError)]
        answers = zip(*answer(torch.stack(good) if kind == "images" else good), strict=True) if good else iter(())
        rows = []
        for x in read:
            if isinstance(x, ValueError):
                rows.append(("", "", str(x)))
            else:
                p, said = next(answers)
                rows.append((saved.about["classes"][int(p.argmax())], f"{float(p.max()):.4f}", said))
        return rows

    parts, running = iter([files[i : i + BATCH] for i in range(0, len(files), BATCH)]), deque[Future[Any]]()
    with (
        answering_threads() as pool,
        tqdm(total=len(files), desc="predict", disable=not progress, mininterval=1) as bar,
    ):
        running.extend(pool.submit(judge, part) for part in islice(parts, 2 * cores()))
        while running:
            done = running.popleft().result()
            running.extend(pool.submit(judge, part) for part in islice(parts, 1))
            yield from done
            bar.update(len(done))


def tried(item: Path | str, about: Mapping[str, Any]) -> Tensor | str | ValueError:
    """What the model reads of a file or a text, or why there is nothing to read."""
    if isinstance(item, str):
        return item if item.strip() else ValueError("an empty text" if about["kind"] == "texts" else "no file is named")
    try:
        return opened(item, about)
    except ValueError as error:
        return error


def write_answers(
    saved: SavedModel, source: str | Path, out: str | Path, progress: bool = False, column: str = "", encoding: str = ""
) -> tuple[int, int, int]:
    """Judge every file of a folder, or row of a table, and write the CSV file ``out``.

    Returns how many items there were, how many could not be read, and how many were longer than the model reads.
    ``source``: a folder of pictures, or of UTF-8 text files for a model of texts; or a table whose ``column`` holds
    the texts, or the pictures' files as named from the table's folder. Columns: ``file`` or ``text``, ``label``,
    ``probability``, ``problem``; of a table a row for each row, the blank ones too. Hidden files of a folder, and
    ``out`` itself, are not looked at. ``encoding``: of a table that is not UTF-8. An interrupted run leaves no half a
    file.

    Raises ``UserError`` for no folder or table, nothing in it, and a file that cannot be written.
    """
    place, target = Path(source), Path(out)
    kind = saved.about["kind"]
    names, items = _in_folder(place, target) if place.is_dir() else _in_table(place, kind, column, encoding)
    if not items:
        raise UserError(f"{str(source)!r} holds no files or rows: give the folder or table with what to predict.")
    head = ("text", *HEAD[1:]) if kind == "texts" and not place.is_dir() else HEAD
    beside, bad, cut = target.with_name(f".{target.name}.part"), 0, 0
    try:
        with beside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(head)
            for name, said in zip(names, judged(saved, items, progress), strict=True):
                rows.writerow([name, *said])
                bad += not said[0]
                cut += bool(said[0] and said[2])
        beside.replace(target)
    except OSError as error:
        raise UserError(f"{str(out)!r} cannot be written ({error.strerror}): choose another file.") from None
    finally:
        beside.unlink(missing_ok=True)
    return len(items), bad, cut


def _in_folder(place: Path, target: Path) -> tuple[list[str], list[Path | str]]:
    """Names below the folder, and the files."""
    files = sorted(file for file in files_below(place, []) if file.resolve() != target.resolve())
    return [str(file.relative_to(place)) for file in files], list(files)


def _in_table(path: Path, kind: str, column: str, encoding: str) -> tuple[list[str], list[Path | str]]:
    """Cells of the column, and the texts, or the files that they name from the table's folder."""
    table, root = whole(path, encoding)
    cells = table[holding(path, table, kind, column)].tolist()
    if kind == "texts":
        return cells, list(cells)
    return cells, [root / named(root, cell.strip()) if cell.strip() else "" for cell in cells]
