"""What every function asks of the labels, names and features it is given, each failure one sentence."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from transferlib.errors import UserError

T = TypeVar("T")
HALF = (torch.float16, torch.bfloat16)


def class_numbers(y: Tensor, n: int | None = None, classes: int | None = None, what: str = "labels") -> Tensor:
    """Labels as cross-entropy wants them: int64 (N,), counted from 0. Smaller whole numbers and bools are converted.

    Arguments: ``n`` how many there must be; ``classes`` how many outputs the model has.

    Raises:
        UserError: another shape or number, fractions, a label below 0 or beyond the last output.

    >>> class_numbers(torch.tensor([True, False]))
    tensor([1, 0])
    """
    y = y if isinstance(y, Tensor) else torch.as_tensor(y, device="cpu")
    if y.ndim != 1:
        fix = "squeeze(1)" if y.ndim == 2 and y.shape[1] == 1 else "argmax(1)"
        raise UserError(f"The {what} have shape {tuple(y.shape)}: one class number each (N,) is needed; try y.{fix}.")
    if n is not None and len(y) != n:
        raise UserError(f"There must be one label an example: got {n} examples and {len(y)} {what}.")
    if y.is_floating_point() or y.is_complex():
        raise UserError(f"The {what} are {y.dtype}: classes are whole numbers from 0; pass y.long() if they are whole.")
    y = y.long()
    if len(y) == 0:
        return y
    low, high = int(y.min()), int(y.max())
    if low < 0 or (classes is not None and high >= classes):
        top = f"{classes - 1}, one for each of the model's {classes} outputs" if classes is not None else "C − 1"
        fix = "subtract 1" if low == 1 and high == classes else "number them anew"
        raise UserError(f"The {what} run from {low} to {high}, but classes count from 0 to {top}: {fix}.")
    return y


def at_least_single(x: Tensor) -> Tensor:
    """``x``, and float16 or bfloat16 as float32: sums of squares leave the range of the one, the digits of the other.

    Raises ``UserError`` for whole numbers.

    >>> at_least_single(torch.ones(2, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    if not x.is_floating_point():
        raise UserError(f"The features are {x.dtype}: real numbers are needed; pass x.float().")
    return x.float() if x.dtype in HALF else x


def trainable_in(parameters: Iterable[Tensor]) -> list[Tensor]:
    """``parameters`` as a list, unless Adam would divide by the zero that its ε = 1e-8 is in float16.

    >>> len(trainable_in([torch.ones(2), torch.ones(3, dtype=torch.bfloat16)]))
    2
    """
    moving = list(parameters)
    if any(p.dtype == torch.float16 for p in moving):
        raise UserError("The weights are torch.float16, in which Adam divides by 0: train them in float32.")
    return moving


def several(what: str, items: Sequence[T] | Iterable[T]) -> list[T]:
    """``items`` as a list, unless it is one string, whose letters would be taken for items.

    >>> several("texts", ("good", "bad"))
    ['good', 'bad']
    """
    if isinstance(items, (str, bytes)):
        raise UserError(f"The {what} are the single string {items!r}: give a list, as in [{items!r}].")
    return list(items)
