"""What adapters and (IA)³ share: a module that stands around a frozen layer and is still read as that layer."""

from torch import Tensor, nn

from transferlib.backbones.modules import called


class Around(nn.Module):
    """A module with the frozen layer ``base`` inside, whose ``weight`` and ``bias`` it shows as its own.

    >>> around = Around(nn.Linear(3, 2))
    >>> around.weight is around.base.weight, around.bias is around.base.bias
    (True, True)
    """

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        # PyTorch's encoder layers skip their parts' forward where nothing hooks into it, and what stands around them.
        self.register_forward_pre_hook(called)

    @property
    def weight(self) -> Tensor:
        """The frozen layer's own weight, for code that looks up its type."""
        return self.base.weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor | None:
        """The frozen layer's own bias."""
        return self.base.bias  # type: ignore[return-value]
