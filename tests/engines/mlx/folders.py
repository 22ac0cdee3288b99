"""MLX models of a few dozen tokens, in folders: small enough to enumerate what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

WIDTH, HEADS, LAYERS = 32, 1, 2
LETTERS = [chr(ord("a") + i) for i in range(26)]
TOKENS = ["<unk>", "<s>", "</s>", "Ġ", *LETTERS]
N_VOCAB = len(TOKENS)
END = 2
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "intermediate_size": 2 * WIDTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "head_dim": WIDTH,
    "rms_norm_eps": 1e-5,
    "vocab_size": N_VOCAB,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": END,
}
WINDOW = 16
SLIDING = LLAMA | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
"""One layer sees the last 16 tokens only; mlx-lm gives it a rotating cache."""
RECURRENT: dict[str, Any] = {
    "model_type": "mamba",
    "vocab_size": N_VOCAB,
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "state_size": 8,
    "num_hidden_layers": LAYERS,
    "conv_kernel": 4,
    "use_bias": False,
    "use_conv_bias": True,
    "time_step_rank": 4,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": END,
}


def write_model(
    folder: Path,
    seed: int,
    *,
    config: dict[str, Any] = LLAMA,
    like: int | None = None,
    mix: float = 0.0,
    peak: float = 6.0,
) -> Path:
    """Write a model of random weights.

    With `like` the weights are (1 - mix) times those of that seed plus mix times its own: a draft that resembles its
    main model. `peak` scales the logits.
    """
    folder.mkdir(parents=True)
    arrays = {}
    for name, shape in _shapes(config).items():
        own = _random(seed, name, shape)
        arrays[name] = own if like is None else (1 - mix) * _random(like, name, shape) + mix * own
        if name in ("lm_head.weight", "backbone.embeddings.weight"):
            arrays[name] = arrays[name] * np.float32(peak)
    save_file(arrays, folder / "model.safetensors", metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    return folder


def _shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    from importlib import import_module

    from mlx.utils import tree_flatten

    module = import_module(f"mlx_lm.models.{config['model_type']}")
    net = module.Model(module.ModelArgs.from_dict(config))
    return {name: array.shape for name, array in tree_flatten(net.parameters())}


def _random(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 1 and name.endswith("weight"):
        return np.ones(shape, np.float32)
    rng = np.random.default_rng([seed, sum(name.encode())])
    return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def _tokenizer() -> dict[str, Any]:
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": id, "content": TOKENS[id], "special": True, "normalized": False, "lstrip": False, "rstrip": False,
             "single_word": False}
            for id in range(3)
        ],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {text: id for id, text in enumerate(TOKENS)}, "merges": []},
    }  # fmt: skip
