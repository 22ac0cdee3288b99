from __future__ import annotations

import pytest

from tests.models.files import join_gemma


@pytest.fixture(scope="session")
def gemma(tmp_path_factory):
    """Gemma 3 270M, a GGUF file."""
    return join_gemma(tmp_path_factory.mktemp("gemma") / "gemma-3-270m-Q4_K_M.gguf")


@pytest.fixture(autouse=True)
def no_other_models(monkeypatch, tmp_path_factory):
    """Keep the models of whoever runs the tests out of them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("SPECVIZ_MODELS", "OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home / name))
    return home
