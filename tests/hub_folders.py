"""Small folders in the hub's own format: a CLIP, a SigLIP, a ViT, a DINOv2, a ResNet, a BERT and a GPT."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIDE = {**SMALL, "image_size": 32, "patch_size": 8}
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "photo", "of", "dog", "cat", "boot"]
TEXT = {**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 12, "pad_token_id": 0}


def tokenizer(**special: str) -> tf.PreTrainedTokenizerFast:
    """A tokenizer of ten words that ends a text with [SEP]."""
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tf.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", eos_token="[SEP]", **special)


def two_sides(kind: str) -> Any:
    ends = {"bos_token_id": 1, "eos_token_id": 2, "projection_dim": 8}
    if kind == "clip":
        return tf.CLIPModel(tf.CLIPConfig(text_config={**TEXT, **ends}, vision_config=SIDE, projection_dim=8))
    return tf.SiglipModel(tf.SiglipConfig(text_config={**TEXT, **ends}, vision_config=SIDE))


MODELS: dict[str, Callable[[], Any]] = {
    "clip": lambda: two_sides("clip"),
    "siglip": lambda: two_sides("siglip"),
    "vit": lambda: tf.ViTModel(tf.ViTConfig(**SIDE)),
    "dinov2": lambda: tf.Dinov2Model(tf.Dinov2Config(**SIDE)),
    "resnet": lambda: tf.ResNetModel(tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
    "bert": lambda: tf.BertModel(tf.BertConfig(**TEXT)),
    "gpt2": lambda: tf.GPT2Model(tf.GPT2Config(vocab_size=len(WORDS), n_positions=12, n_embd=16, n_layer=2, n_head=2)),
}
PICTURES, TEXTS = ("clip", "siglip", "vit", "dinov2", "resnet"), ("clip", "siglip", "bert", "gpt2")


def made(kind: str, folder: Path) -> str:
    """A folder as the hub has it: configuration, safetensors, and how pictures and texts are prepared."""
    torch.manual_seed(0)
    MODELS[kind]().eval().save_pretrained(folder)
    looks = {"size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]}
    words = tokenizer(**({} if kind == "gpt2" else {"pad_token": "[PAD]"}))
    if kind == "clip":  # one file for both sides, as its folder on the hub
        pictures = tf.CLIPImageProcessor(crop_size=looks["size"], **looks)
        tf.CLIPProcessor(image_processor=pictures, tokenizer=words).save_pretrained(folder)
    elif kind in PICTURES:
        tf.ViTImageProcessor(**looks).save_pretrained(folder)
    if kind in TEXTS:
        words.save_pretrained(folder)
    return str(folder)
