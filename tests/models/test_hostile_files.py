"""Whatever a model file holds, reading it ends at once, in little memory, with a card or a plain reason.

SPECVIZ_FUZZ_CASES sets how many cases of each kind are tried (1,000 by default here: a few seconds).
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings

from specviz.models.card import DamagedModelError
from specviz.models.gguf_metadata import gguf_card
from specviz.models.mlx_metadata import mlx_card, read_safetensors
from tests.models.attacks import (
    GGUF,
    WEIGHTS,
    boundaries,
    hostile_ggufs,
    hostile_mlx_folders,
    hostile_safetensors,
)
from tests.models.files import write_mlx

CASES = int(os.environ.get("SPECVIZ_FUZZ_CASES", "1000"))
SECONDS, BYTES = 1.0, 16 << 20
QUIET = {"suppress_health_check": list(HealthCheck), "deadline": None, "database": None}


class Tally:
    """What became of the cases, and the worst of them."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.seconds = self.bytes = 0.0

    @contextmanager
    def case(self):
        """Hold one case against the caps; a reason counts as read."""
        tracemalloc.start()
        start = time.perf_counter()
        try:
            yield
            self.cases["read"] += 1
        except DamagedModelError as error:
            self.cases["damaged"] += 1
            assert 3 < len(str(error)) < 500 and str(error).isprintable()
        finally:
            seconds, size = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        self.seconds, self.bytes = max(self.seconds, seconds), max(self.bytes, size)
        assert seconds < SECONDS
        assert size < BYTES


@pytest.fixture
def tally():
    tally = Tally()
    yield tally
    print(f"{dict(tally.cases)}, slowest {1e3 * tally.seconds:.0f} ms, most memory {tally.bytes / 1e6:.1f} MB")
    assert tally.cases["damaged"] > tally.cases.total() / 10, "the attacks no longer hit"
    assert tally.cases["read"], "nothing is left that can be read"


def test_the_files_before_they_are_attacked_are_good(tmp_path):
    path = tmp_path / "good.gguf"
    path.write_bytes(GGUF.data)
    card, vocabulary = gguf_card("it", "folder", [path])
    assert (card.n_params, card.n_vocab, card.quantization, card.n_ctx) == (1632, 25, "F32", 128)
    assert vocabulary.texts()[:3] == [b"<unk>", b"<s>", b"</s>"]
    assert len(GGUF.fields) > 150


def test_hostile_ggufs(tmp_path, tally):
    path = tmp_path / "it.gguf"

    @settings(max_examples=CASES, **QUIET)
    @given(hostile_ggufs())
    def attack(data):
        path.write_bytes(data)
        with tally.case():
            card, vocabulary = gguf_card("it", "folder", [path])
            assert card.n_vocab == (vocabulary.n_tokens if vocabulary and card.tokenizer else card.n_vocab)
            assert vocabulary is None or len(vocabulary.texts()) == vocabulary.n_tokens

    attack()


def test_ggufs_cut_off_at_every_field(tmp_path, tally):
    path = tmp_path / "it.gguf"
    path.write_bytes(GGUF.data)
    with tally.case():
        gguf_card("it", "folder", [path])
    for n in boundaries():
        path.write_bytes(GGUF.data[:n])
        with tally.case():
            gguf_card("it", "folder", [path])
            raise AssertionError(f"cut off after {n} bytes, and nobody noticed")


def test_hostile_safetensors(tmp_path, tally):
    path = tmp_path / "it.safetensors"

    @settings(max_examples=CASES, **QUIET)
    @given(hostile_safetensors())
    def attack(data):
        path.write_bytes(data)
        with tally.case():
            read_safetensors(path)

    attack()


def test_safetensors_cut_off_anywhere(tmp_path, tally):
    path = tmp_path / "it.safetensors"
    path.write_bytes(WEIGHTS)
    with tally.case():
        read_safetensors(path)
    for n in range(len(WEIGHTS)):
        path.write_bytes(WEIGHTS[:n])
        with tally.case():
            read_safetensors(path)
            raise AssertionError(f"cut off after {n} bytes, and nobody noticed")


def test_hostile_mlx_folders(tmp_path, tally):
    folder = write_mlx(tmp_path / "it")

    @settings(max_examples=CASES, **QUIET)
    @given(hostile_mlx_folders())
    def attack(files):
        for name, data in files.items():
            (folder / name).write_bytes(data)
        with tally.case():
            card, vocabulary = mlx_card("it", "folder", folder, [folder / "model.safetensors"])
            assert card.n_params >= 0 and (vocabulary is None or card.n_vocab == vocabulary.n_tokens)

    attack()
