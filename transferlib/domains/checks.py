"""What every method that crosses a domain gap asks of its input, each failure one sentence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import several


def check_features(name: str, x: Tensor, rows: int = 2) -> Tensor:
    """Return ``x`` when it is a finite, non-constant feature matrix.

    Args:
        name: what the sentence calls it, as in ``"source"``.
        x: features (N, D).
        rows: the fewest examples that make sense.

    Raises:
        UserError: not a matrix, whole numbers, fewer than ``rows`` examples, NaN or infinite values, or every feature
            constant.

    >>> check_features("source", torch.tensor([[1.0, 2.0], [3.0, 4.0]])).shape
    torch.Size([2, 2])
    """
    if x.ndim != 2:
        raise UserError(f"The {name} features have shape {tuple(x.shape)}: a matrix (examples, features) is needed.")
    if not x.is_floating_point():
        raise UserError(f"The {name} features are {x.dtype}: real numbers are needed; pass x.float().")
    if len(x) < rows:
        raise UserError(f"The {name} features hold {len(x)} example(s): at least {rows} are needed.")
    bad = int((~torch.isfinite(x)).any(1).sum())
    if bad:
        raise UserError(f"The {name} features hold NaN or infinite values in {bad} of {len(x)} rows: drop these rows.")
    if bool((x == x[:1]).all()):
        raise UserError(
            f"The {name} features are constant: all {len(x)} examples have the same vector; check the encoder's input."
        )
    return x


def check_domains(source: Tensor, target: Tensor, rows: int = 2) -> None:
    """Check two feature matrices (Ns, D) and (Nt, D) that shall be compared.

    Raises:
        UserError: see :func:`check_features`, or the widths differ.
    """
    check_features("source", source, rows)
    check_features("target", target, rows)
    if source.shape[1] != target.shape[1]:
        raise UserError(
            f"The source has {source.shape[1]} features and the target {target.shape[1]}: use one encoder for both."
        )


def check_labels(source: Sequence[str], target: Sequence[str], y: Tensor | None = None) -> None:
    """Check that source and target mean the same thing by each label number.

    Args:
        source: class names of the source, in label order.
        target: class names of the target, in label order.
        y: the target's labels (N,), when it has some: each class must occur, or its recall is undefined.

    Raises:
        UserError: the label sets or their order differ, or a class has no example in the target.

    >>> check_labels(["cat", "dog"], ["cat", "dog"], torch.tensor([0, 1, 1]))
    """
    source, target = several("source's classes", source), several("target's classes", target)
    missing, extra = [c for c in source if c not in target], [c for c in target if c not in source]
    if missing or extra:
        raise UserError(
            f"Source and target have different labels: only in the source {missing or 'none'}, only in the target "
            f"{extra or 'none'}; keep the classes that both have."
        )
    if list(source) != list(target):
        raise UserError(
            f"Source and target number their classes differently ({list(source)[:3]}… and {list(target)[:3]}…): "
            "sort both by name."
        )
    absent = [] if y is None else [c for i, c in enumerate(target) if not bool((y == i).any())]
    if absent:
        raise UserError(
            f"The target has no example of {', '.join(map(repr, absent))}: leave the class out of the source too, "
            "or alignment pulls other classes onto it."
        )
