"""One way from a name to a backbone, whatever it reads."""

from pathlib import Path

from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.backbones.weights import MANIFEST


def named_backbone(name: str, pretrained: bool, size: int, max_length: int) -> nn.Module:
    """A backbone of images (``size`` in pixels) or of texts (``max_length`` in tokens), whichever ``name`` is."""
    if MANIFEST.get(name, {}).get("kind") == "text" or Path(name).is_dir():
        from transferlib.backbones.texts import text_backbone  # transformers is slow to import

        return text_backbone(name, pretrained, max_length)
    return image_backbone(name, pretrained, size)
