"""A saved model as one ONNX file that runs without PyTorch, checked against PyTorch before it is kept.

The same from a shell: ``transferlib export report/model --onnx model.onnx``.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.texts import TextBackbone
from transferlib.backbones.word_counts import HashedWords
from transferlib.datasets.named import load
from transferlib.errors import UserError, needs
from transferlib.own_data.saved import SavedModel, load_model
from transferlib.runs.files import write
from transferlib.tuning.strategies import Classifier

OPSET = 18
LARGEST = 1e-4  # the largest difference in a probability that is let through
CHECKED = 16  # random inputs, and as many real ones


class Answering(nn.Module):
    """probabilities = softmax(head(backbone(x)) · factor): (N, …) → (N, C)."""

    def __init__(self, model: Classifier, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        """What the backbone eats, pictures as uint8 or token ids (N, L) → probabilities (N, C)."""
        return (self.model.head(self._seen(x)) * self.factor).softmax(1)

    def _seen(self, x: Tensor) -> Tensor:
        backbone = self.model.backbone
        if not isinstance(backbone, TextBackbone):
            return backbone(x)
        # As TextBackbone.forward without its cut to the longest text: a graph has no size that data decide on.
        mask = x != backbone.tokenizer.pad_token_id  # (N, L)
        tokens = backbone.body(input_ids=x, attention_mask=mask.long()).last_hidden_state  # (N, L, D)
        weight = mask.unsqueeze(-1).to(tokens.dtype)  # (N, L, 1)
        return F.normalize((tokens * weight).sum(1) / weight.sum(1), dim=-1)


def export(folder: str | Path, out: str | Path) -> str:
    """Write the saved model in ``folder`` to the ONNX file ``out``; returns what it reads and how close it is.

    Pictures: uint8 (N, 3, size, size); the division by 255 and the normalisation are inside. Texts: token ids (N, L)
    of the model's tokenizer. The output: probabilities (N, C). Metadata hold classes, input, pre-processing, opset.

    Raises ``UserError`` for what :func:`transferlib.own_data.saved.load_model` refuses, a model of counted words, a
    library that is missing, a file that cannot be written, and where ONNX Runtime's probabilities are further than 1e-4
    from PyTorch's on random or real inputs: then nothing is written.
    """
    needs("onnx", "onnx", "An export")
    needs("onnxscript", "onnx", "An export")
    needs("onnxruntime", "onnx", "An export")
    import onnx

    saved = load_model(folder)
    if isinstance(saved.model.backbone, HashedWords):
        raise UserError(
            f"{str(folder)!r} counts words, which are found and hashed before any network: ONNX has no step for that. "
            "Use transferlib predict or transferlib serve."
        )
    name, said = _described(saved)
    net = Answering(saved.model, saved.about["temperature"]).eval()
    random, real = _inputs(saved)
    sizes = {0: torch.export.Dim("N"), **({1: torch.export.Dim("L")} if name == "ids" else {})}
    program = torch.onnx.export(net, (real,), dynamo=True, opset_version=OPSET, input_names=[name],
                                output_names=["probabilities"], dynamic_shapes=(sizes,), verbose=False)  # fmt: skip
    assert program is not None
    proto = program.model_proto
    about = {"classes": json.dumps(saved.about["classes"], ensure_ascii=False), "input": said, "opset": str(OPSET),
             "sha256 of the weights": saved.about["sha256"]}  # fmt: skip
    onnx.helper.set_model_props(proto, about)
    onnx.checker.check_model(proto)
    graph = proto.SerializeToString()
    far = max(difference(graph, net, x) for x in (random, real))
    if not far <= LARGEST:
        raise UserError(
            f"The exported model's probabilities are up to {far:.1g} from PyTorch's, and {LARGEST:g} is the most that "
            "is let through: nothing was written. Use transferlib predict or transferlib serve."
        )
    try:
        write(Path(out), graph)
    except OSError as error:
        raise UserError(f"{str(out)!r} cannot be written ({error.strerror}): choose another file.") from None
    return f"{said} Opset {OPSET}. At most {far:.1g} from PyTorch on {2 * CHECKED} inputs, random and real."


@torch.inference_mode()
def difference(graph: bytes, net: nn.Module, x: Tensor) -> float:
    """The largest absolute difference between ONNX Runtime's answers and PyTorch's; all at once, and one alone."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return max(float(np.abs(session.run(None, {name: part.numpy()})[0] - net(part).numpy()).max())
               for part in (x, x[:1]))  # fmt: skip


def _described(saved: SavedModel) -> tuple[str, str]:
    size, backbone = saved.about["size"], saved.about["backbone"]
    if saved.about["kind"] == "images":
        return "pictures", (
            f"Input 'pictures': uint8 (N, 3, {size}, {size}), red, green, blue from 0 to 255, upright, cut to a square "
            f"in the middle and scaled to {size} pixels; the division by 255 and the normalisation are inside."
        )
    return "ids", (
        f"Input 'ids': int64 (N, L), the tokens of {backbone}'s tokenizer, at most {size} a text, padded with "
        f"{saved.model.backbone.tokenizer.pad_token_id}; the mask is made inside."  # type: ignore[union-attr]
    )


def _inputs(saved: SavedModel) -> tuple[Tensor, Tensor]:
    """Random inputs, and real ones from the data that the package carries."""
    g, size, backbone = torch.Generator().manual_seed(0), saved.about["size"], saved.model.backbone
    if saved.about["kind"] == "images":
        photos: Any = load("fashion-mnist", "test").x  # (N, 1, 28, 28)
        photos = photos[:CHECKED].expand(-1, 3, -1, -1).float()
        real = F.interpolate(photos, (size, size), mode="bilinear").to(torch.uint8)
        return torch.randint(0, 256, (CHECKED, 3, size, size), dtype=torch.uint8, generator=g), real.contiguous()
    tokenizer: Any = backbone.tokenizer
    random = torch.randint(0, len(tokenizer), (CHECKED, 12), generator=g)
    random[random == tokenizer.pad_token_id] = tokenizer.unk_token_id
    return random, saved.model.encode(list(load("sentiment", "test").x[:CHECKED]))
