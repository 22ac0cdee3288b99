"""Models of a few dozen tokens, real GGUF files, made by the tests: small enough to enumerate what they say."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, HEADS, LAYERS, FEED_FORWARD = 32, 2, 2, 64
STATE, CONVOLVED = 8, 4
SPECIAL = ["<unk>", "<s>", "</s>"]
LETTERS = [chr(ord("a") + i) for i in range(26)]
N_VOCAB = len(SPECIAL) + 1 + len(LETTERS)


def write_model(
    path: Path, seed: int, *, like: int | None = None, mix: float = 0.0, peak: float = 6.0, n_vocab: int = N_VOCAB
) -> Path:
    """Write a llama model of random weights.

    With `like` the weights are (1 - mix) times those of that seed plus mix times its own: a draft that resembles its
    main model. `peak` scales the logits. `n_vocab` cuts the vocabulary short or adds tokens to it.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    weights = {}
    for name, shape in _shapes(n_vocab).items():
        own = _weights(seed, name, shape)
        mixed = own if like is None else (1 - mix) * _weights(like, name, shape) + mix * own
        weights[name] = mixed * np.float32(peak if name == "output.weight" else 1)
    return _write(writer, path, weights, n_vocab)


def write_recurrent(path: Path, seed: int) -> Path:
    """Write a Mamba model of random weights, over the same vocabulary."""
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(CONVOLVED)
    writer.add_ssm_inner_size(2 * WIDTH)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(2)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (N_VOCAB, WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {
            f"blk.{i}.attn_norm.weight": (WIDTH,),
            f"blk.{i}.ssm_in.weight": (4 * WIDTH, WIDTH),
            f"blk.{i}.ssm_conv1d.weight": (2 * WIDTH, CONVOLVED),
            f"blk.{i}.ssm_conv1d.bias": (2 * WIDTH,),
            f"blk.{i}.ssm_x.weight": (2 + 2 * STATE, 2 * WIDTH),
            f"blk.{i}.ssm_dt.weight": (2 * WIDTH, 2),
            f"blk.{i}.ssm_dt.bias": (2 * WIDTH,),
            f"blk.{i}.ssm_d": (2 * WIDTH,),
            f"blk.{i}.ssm_out.weight": (WIDTH, 2 * WIDTH),
        }
    weights = {name: _weights(seed, name, shape) for name, shape in shapes.items()}
    weights |= {f"blk.{i}.ssm_a": -np.ones((2 * WIDTH, STATE), np.float32) for i in range(LAYERS)}
    return _write(writer, path, weights, N_VOCAB)


def _write(writer: gguf.GGUFWriter, path: Path, weights: dict[str, np.ndarray], n_vocab: int) -> Path:
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    more = [f"<{i}>" for i in range(N_VOCAB, n_vocab)]
    writer.add_token_list([*SPECIAL, "\u2581", *LETTERS, *more][:n_vocab])
    writer.add_token_scores([0.0] * n_vocab)
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (n_vocab - len(kinds)))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, one in weights.items():
        writer.add_tensor(name, one)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(n_vocab: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (n_vocab, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (n_vocab, WIDTH),
    }
    for i in range(LAYERS):
        shapes |= {
            f"blk.{i}.attn_norm.weight": (WIDTH,),
            **{f"blk.{i}.attn_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")},
            f"blk.{i}.ffn_norm.weight": (WIDTH,),
            f"blk.{i}.ffn_gate.weight": (FEED_FORWARD, WIDTH),
            f"blk.{i}.ffn_up.weight": (FEED_FORWARD, WIDTH),
            f"blk.{i}.ffn_down.weight": (WIDTH, FEED_FORWARD),
        }
    return shapes


def _weights(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    rng = np.random.default_rng([seed, sum(name.encode())])
    return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
