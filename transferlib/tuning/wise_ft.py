"""Weight interpolation: walk in a straight line from the pretrained weights to the fine-tuned ones.

    θ(share) = (1 − share) · θ_pretrained + share · θ_fine-tuned

Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), 2022, arXiv:2109.01903.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from transferlib.errors import UserError


def interpolate(pretrained: Mapping[str, Tensor], fine_tuned: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The state dict ``share`` of the way from ``pretrained`` (share 0, bit by bit) to ``fine_tuned`` (share 1).

    Running statistics of BatchNorm are averaged like weights; whole numbers, such as its batch counter, are taken
    from ``fine_tuned``. Both need a head for the same classes, or none.

    Raises:
        UserError: ``share`` outside 0..1, two models with other names or shapes, or one model's memory given twice:
            ``model.state_dict()`` follows the model, so copy it before you fine-tune.

    >>> interpolate({"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 4.0])}, share=0.5)
    {'w': tensor([0.5000, 3.0000])}
    """
    if not 0 <= share <= 1:
        raise UserError(f"share = {share} is not between the two models: use 0 (pretrained) to 1 (fine-tuned).")
    if odd := sorted(set(pretrained) ^ set(fine_tuned)):
        raise UserError(f"Only one of the two models has {odd[0]!r}: interpolate models of one architecture and head.")
    floats = [name for name, t in fine_tuned.items() if t.is_floating_point() and t.numel()]
    if floats and all(pretrained[name].data_ptr() == fine_tuned[name].data_ptr() for name in floats):
        raise UserError(
            "Both models are the same tensors, so there is no line between them: keep a copy of the state dict, "
            "copy.deepcopy(model.state_dict()), before you fine-tune."
        )
    mixed = {}
    for name, end in fine_tuned.items():
        start = pretrained[name]
        if start.shape != end.shape:
            raise UserError(
                f"{name!r} is {tuple(start.shape)} in one model and {tuple(end.shape)} in the other: "
                "interpolate models of one architecture and head."
            )
        if not end.is_floating_point() or share == 1:
            mixed[name] = end.clone()
        else:
            mixed[name] = start.clone() if share == 0 else torch.lerp(start, end.to(start), share)
    return mixed
