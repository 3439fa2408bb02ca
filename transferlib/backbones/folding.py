"""BatchNorm folded into the convolution before it: a network that only predicts computes one layer instead of two.

In eval mode BatchNorm is a fixed line for each channel, y = γ (x − μ) / √(σ² + ε) + β, and a convolution is linear. So

    W' = W · γ / √(σ² + ε)        b' = (b − μ) · γ / √(σ² + ε) + β

gives the same numbers up to rounding. In a depthwise network BatchNorm takes a quarter of the time.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from transferlib.backbones.modules import replace_module

TOLERANCE = 1e-4  # of the largest output; folding moves it by about 1e-5


@torch.no_grad()
def folded(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy of ``model`` for prediction with every BatchNorm that follows a convolution folded into it.

    ``x`` a batch that the model eats: it is run once to see which BatchNorm gets which convolution's output, and once
    to see that the copy computes the same. ``model`` itself is returned when nothing can be folded or when the copy
    computes something else, as where a convolution's output is read twice. ``model`` does not change.

    The numbers move in the fifth digit, which training that goes on from them can turn into another result.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        return model
    smaller = copy.deepcopy(model).eval()
    pairs, wanted = _pairs(smaller, x)
    for conv, norm in pairs:
        left, right = smaller.get_submodule(conv), smaller.get_submodule(norm)
        fused = fuse_conv_bn_eval(left, right)  # type: ignore[type-var, arg-type]
        left.weight, left.bias = fused.weight, fused.bias  # in place: the layer keeps its class and its padding
        replace_module(smaller, norm, _rest(right))
    same = pairs and (smaller(x) - wanted).abs().max() <= TOLERANCE * wanted.abs().max()
    return smaller if same else model


def _pairs(model: nn.Module, x: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """(convolution, BatchNorm) by name where the one eats what the other made, both run once; and the output."""
    names = {module: name for name, module in model.named_modules()}
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensors are kept: no number may be handed out twice
    runs: dict[nn.Module, int] = {}
    found: list[tuple[nn.Module, nn.Module]] = []
    own = {module: module.weight for module in names if isinstance(module, nn.Conv2d)}

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        runs[module] = runs.get(module, 0) + 1
        if isinstance(module, nn.Conv2d) and module.weight is own[module]:  # LoRA lends it another one
            made[id(output)] = (module, output)
        elif id(inputs[0]) in made and getattr(module, "running_var", None) is not None:
            found.append((made[id(inputs[0])][0], module))

    watched = [m for m in names if isinstance(m, (nn.Conv2d, nn.modules.batchnorm._BatchNorm))]
    hooks = [module.register_forward_hook(after) for module in watched]
    try:
        output = model(x)
    finally:
        for hook in hooks:
            hook.remove()
    once = [(c, n) for c, n in found if runs[c] == runs[n] == 1]
    return [(names[c], names[n]) for c, n in once], output


def _rest(norm: nn.Module) -> nn.Module:
    """What a folded BatchNorm still does: timm's carry their dropout and activation along."""
    after = [part for name in ("drop", "act") if isinstance(part := getattr(norm, name, None), nn.Module)]
    return nn.Sequential(*after)
