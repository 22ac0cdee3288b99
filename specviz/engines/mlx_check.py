"""Whether MLX is installed here and loads."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from specviz.engines.report import EngineReport

NAME = "MLX"
MODULES = {"mlx": "mlx.core", "mlx-lm": "mlx_lm"}
"""What is imported of each package."""


def check() -> EngineReport:
    """Import MLX and mlx-lm."""
    install = "pip install mlx-lm" if sys.platform == "darwin" else 'pip install "mlx-lm[cpu]"'
    versions = []
    for package, module in MODULES.items():
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if error.name in (module, module.partition(".")[0]):
                return EngineReport(
                    name=NAME, state="not installed", reason=f"MLX models need mlx and mlx-lm: {install}"
                )
            return _broken(package, error, install)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            return _broken(package, error, install)
        versions.append(f"{package} {_version(package)}".strip())
    return EngineReport(
        name=NAME,
        state="too old",
        version=", ".join(versions),
        reason="MLX is installed, but this specviz does not run MLX models yet: take GGUF copies of them",
    )


def _broken(package: str, error: Exception, install: str) -> EngineReport:
    return EngineReport(
        name=NAME,
        state="broken",
        version=f"{package} {_version(package)}".strip(),
        reason=f"{package} is installed, but does not load: {error}: {install} --force-reinstall",
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
