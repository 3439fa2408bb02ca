"""One way from a name to a backbone, whatever it reads."""

from pathlib import Path

from torch import nn

from transferlib.backbones.images import image_backbone, is_image_name
from transferlib.backbones.weights import MANIFEST


def named_backbone(name: str, pretrained: bool, size: int, max_length: int) -> nn.Module:
    """A backbone of images (``size`` in pixels) or of texts (``max_length`` in tokens), whichever ``name`` is.

    A known name means the known model, also beside a folder that is called so: write ``./name`` for the folder.

    >>> named_backbone("small-cnn", pretrained=False, size=16, max_length=32).out_features
    512
    """
    kind = MANIFEST[name]["kind"] if name in MANIFEST else ""
    if kind == "text" or (not kind and Path(name).is_dir() and not is_image_name(name)):
        from transferlib.backbones.texts import text_backbone  # transformers is slow to import

        return text_backbone(name, pretrained, max_length)
    return image_backbone(name, pretrained, size)
