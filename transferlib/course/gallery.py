"""See the data: a few real examples side by side, with what each is called."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from PIL import Image
from torch import Tensor

from transferlib.errors import needs


def gallery(examples: Tensor | Sequence[str], captions: Sequence[str], size: int = 72) -> Any:
    """Pictures (N, C, H, W) of uint8, or texts, each with its caption, as HTML that needs no other file.

    >>> "a coat" in gallery(["warm and grey"], ["a coat"]).data
    True
    """
    needs("IPython", "book", "A gallery")
    from IPython.display import HTML

    parts = []
    for example, caption in zip(examples, captions, strict=True):
        body = f"<q>{escape(str(example))}</q>"
        if isinstance(example, Tensor):
            pixels = example.expand(3, -1, -1).permute(1, 2, 0).numpy()  # (C, H, W) → (H, W, 3)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            data = base64.b64encode(buffer.getvalue()).decode()
            name = escape(caption, quote=True)
            body = f'<img src="data:image/png;base64,{data}" alt="{name}" width="{size}" height="{size}">'
        parts.append(f"<figure>{body}<figcaption>{escape(caption)}</figcaption></figure>")
    kind = "images" if isinstance(examples, Tensor) else "texts"
    return HTML(f'<div class="hs-gallery hs-gallery--{kind}">{"".join(parts)}</div>')
