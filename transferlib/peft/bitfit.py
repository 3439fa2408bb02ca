"""BitFit: learn the biases, and nothing else.

Ben Zaken et al., "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models", 2022,
arXiv:2106.10199.
"""

from torch import nn

from transferlib.backbones.freezing import freeze
from transferlib.backbones.modules import heads_of
from transferlib.errors import UserError


def bitfit(model: nn.Module) -> nn.Module:
    """Freeze everything but the biases and the model's classification head, in place.

    A bias is a parameter called ``bias``, or ``…_bias`` or ``bias_…`` as in PyTorch's attention and recurrent layers.

    >>> net = bitfit(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)))
    >>> [name for name, p in net.named_parameters() if p.requires_grad]
    ['0.bias', '1.bias']

    Raises:
        UserError: the model has no biases.
    """
    last = {name: name.rpartition(".")[2] for name, _ in model.named_parameters()}
    biases = [p for n, p in model.named_parameters() if last[n].startswith("bias") or last[n].endswith("_bias")]
    if not biases:
        raise UserError(f"This {type(model).__name__} has no biases to train: use another method, such as LoRA.")
    freeze(model, but=heads_of(model))
    for bias in biases:
        bias.requires_grad_(True)
    return model
