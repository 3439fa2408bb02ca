"""Zero-shot by name: a linear map from what a class is called to the classifier weights that would recognise it.

    W ≈ T M + b,  fitted by ridge on classes whose name and weight vector are both known
    score(image, new class) = cos(features(image) − f̄,  t(new name) M + b − w̄)

Elhoseiny et al., 2013, predict a classifier from a description of its class; Romera-Paredes & Torr, 2015, have a
closed form much like this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.errors import UserError
from transferlib.tensors import at_least_single, several

TEMPLATES = ("a photo of a {}", "a picture of a {}", "a drawing of a {}", "{}", "an image showing a {}")


def imagenet_names() -> list[str]:
    """The 1,000 ImageNet class names in the order of every ImageNet classifier: the words of each WordNet synset.

    >>> imagenet_names()[281]
    'tabby, tabby cat'
    """
    from timm.data import ImageNetInfo  # slow to import, needed only here

    info = ImageNetInfo()
    return [info.index_to_description(i) for i in range(info.num_classes())]


def name_vectors(text: nn.Module, names: Sequence[str], templates: Sequence[str] = ("{}",)) -> Tensor:
    """One unit vector a name (C, D): the mean over templates of the sentence vectors.

    ``text`` has ``encode(list of str)`` and maps ids to sentence vectors, as
    :func:`transferlib.backbones.texts.text_backbone` does.

    Raises:
        UserError: no names, no templates, one string instead of a list, or a template without ``{}``.

    >>> class Lengths(nn.Module):  # a text encoder that sees how long a text is
    ...     def encode(self, texts):
    ...         return torch.tensor([[float(len(t)), 4.0] for t in texts])
    ...     def forward(self, ids):
    ...         return ids
    >>> name_vectors(Lengths(), ["cat"], ["{}", "{}!"]).norm().item()
    1.0
    """
    names, templates = several("names", names), several("templates", templates)
    if not names or not templates:
        raise UserError(f"Got {len(names)} names and {len(templates)} templates: give at least one of each.")
    if bad := [template for template in templates if template.count("{}") != 1]:
        raise UserError(f"The template {bad[0]!r} must hold {{}} once, where the name goes.")
    device = next((p.device for p in text.parameters()), None)
    with modes_kept(text), torch.no_grad():
        text.eval()
        ids = [text.encode([t.replace("{}", n) for n in names]) for t in templates]  # type: ignore[operator]
        parts = [text(i.to(device)) for i in ids]
    return F.normalize(torch.stack(parts).mean(0), dim=-1)  # (templates, C, D) → (C, D)


@dataclass(frozen=True)
class NameMap:
    """The fitted map: ``matrix`` (D, F), the mean name vector (D,), the mean weight vector (F,), and the λ used."""

    matrix: Tensor
    name_mean: Tensor
    weight_mean: Tensor
    lam: float

    def weights(self, names: Tensor) -> Tensor:
        """Name vectors (C, D) → predicted classifier weights around their mean (C, F)."""
        return (names - self.name_mean).to(self.matrix) @ self.matrix

    def scores(self, features: Tensor, names: Tensor, mean: Tensor | None = None) -> Tensor:
        """Cosine between each image's features around ``mean`` (F,) and each class: (N, F), (C, D) → (N, C).

        ``mean`` defaults to the mean of ``features``: it needs pictures, not labels.
        """
        centred = features - (features.mean(0) if mean is None else mean)
        return F.normalize(centred.to(self.matrix), dim=-1) @ F.normalize(self.weights(names), dim=-1).T


def fit_name_map(
    names: Tensor, weights: Tensor, lams: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
) -> NameMap:
    """Ridge regression from name vectors (C, D) to classifier weights (C, F); λ by exact leave-one-class-out.

    The λ whose prediction of each left-out class's weights, made without that class, has the smallest squared error.

    Raises:
        UserError: fewer than three classes, unlike numbers of names and weights, NaN, or a λ that is not above 0.

    >>> names = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    >>> fitted = fit_name_map(names, names @ torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]) + 5)
    >>> fitted.scores(names[:1] @ fitted.matrix, names[:3], mean=torch.zeros(2)).argmax().item()
    0
    """
    if len(names) != len(weights) or len(names) < 3:
        raise UserError(f"The map needs a name for each weight vector, 3 or more: got {len(names)} and {len(weights)}.")
    names, weights = at_least_single(names), at_least_single(weights)
    for what, table in (("name vectors", names), ("weight vectors", weights)):
        if table.ndim != 2 or not bool(torch.isfinite(table).all()):
            raise UserError(f"The {what} {tuple(table.shape)} must be a matrix without NaN or infinite values.")
    if not lams or not min(lams) > 0:
        raise UserError(f"λ must be above 0, got {list(lams)}.")
    t, w = (names - names.mean(0)).double(), (weights - weights.mean(0)).double()
    u, s, vt = torch.linalg.svd(t, full_matrices=False)  # t = u s vᵀ
    target = u.T @ w  # (k, F)
    best = (float("inf"), 0.0)
    for lam in lams:
        shrink = s**2 / (s**2 + lam)
        # Leverage: what a class decides of its own prediction, 1/C of it through the means.
        leverage = (u**2 * shrink).sum(1) + 1 / len(t)
        left_out = (w - u @ (shrink[:, None] * target)) / (1 - leverage)[:, None]
        best = min(best, (float(left_out.square().sum()), lam))
    matrix = vt.T @ ((s / (s**2 + best[1]))[:, None] * target)  # (D, F)
    return NameMap(matrix.to(weights), names.mean(0), weights.mean(0), best[1])
