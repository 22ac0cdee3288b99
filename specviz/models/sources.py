"""Where models are kept on this machine. Every source is optional and local: nothing is downloaded, nothing is asked.

demo            the pair that comes with specviz
hugging face    the cache of huggingface_hub
lm studio       its models folders
ollama          its store of manifests and blobs
llama.cpp       its cache of downloads
folder          what the user names: an argument, SPECVIZ_MODELS, `model_folders` in the settings file
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from specviz.models.convert import mlx_copy
from specviz.models.demo import demo_drafts, demo_mains
from specviz.models.folders import Found, find_in_folder, is_file, printable
from specviz.models.library import ModelNotFoundError

FOLDERS_VARIABLE = "SPECVIZ_MODELS"
MAX_JSON = 4 << 20


class Source(Protocol):
    """A keeper of models."""

    name: str

    def find(self) -> Iterator[Found]:
        """Yield its models, unread; nothing where the keeper is not on this machine.

        Raises
        ------
        SourceError
            If it is there but cannot be searched; the message says what to do.
        """
        ...


class SourceError(RuntimeError):
    """A source is on this machine but cannot be searched."""


class DemoSource:
    """The demo pair and its further drafts."""

    name = "demo"

    def find(self) -> Iterator[Found]:
        """Yield the models that exist; copies, in 16 bit and for MLX, are made on first use."""
        try:
            mains = demo_mains()
        except ModelNotFoundError:
            mains = []
        for model in (*mains, *demo_drafts()):
            if model.exists:
                path = str(model.path)
                yield Found(name=model.name, path=path, files=(path,), format="gguf", source=self.name)
            yield from find_in_folder(mlx_copy(model).path, self.name)


class FolderSource:
    """Folders with models, searched with all that is in them."""

    def __init__(self, folders: Iterable[str | Path], name: str = "folder") -> None:
        self.name = name
        self.folders = tuple(os.path.abspath(os.path.expanduser(folder)) for folder in folders)

    def find(self) -> Iterator[Found]:
        """Yield the models of all folders that exist."""
        for folder in self.folders:
            yield from find_in_folder(folder, self.name)


class HuggingFaceSource:
    """The cache of huggingface_hub, which knows where it is and how it is laid out.

    Parameters
    ----------
    cache
        Its folder; None: as `HF_HUB_CACHE`, `HF_HOME` and the platform say.
    """

    name = "hugging face"

    def __init__(self, cache: str | Path | None = None) -> None:
        self.cache = cache

    def find(self) -> Iterator[Found]:
        """Yield the models of every snapshot, the newest first."""
        try:
            from huggingface_hub import CacheNotFound, scan_cache_dir
        except ImportError:
            if self._probable().is_dir():
                raise SourceError(
                    'there is a Hugging Face cache; to search it: pip install "specviz-lab[hub]"'
                ) from None
            return
        try:
            scan = scan_cache_dir(self.cache)
        except CacheNotFound:
            return
        except (OSError, ValueError) as error:
            raise SourceError(f"the Hugging Face cache cannot be searched: {error}") from None
        for repo in sorted(scan.repos, key=lambda repo: repo.repo_id):
            if repo.repo_type != "model":
                continue
            for revision in sorted(repo.revisions, key=lambda revision: revision.last_modified, reverse=True):
                for found in find_in_folder(revision.snapshot_path, self.name):
                    if found.format == "mlx" and found.path == str(revision.snapshot_path):
                        yield _renamed(found, repo.repo_id.rpartition("/")[2])
                    else:
                        yield found

    def _probable(self) -> Path:
        return Path(self.cache or "~/.cache/huggingface/hub").expanduser()


class LMStudioSource(FolderSource):
    """LM Studio's models folders: today's, that of old versions, and the one its settings name.

    The home is ~/.lmstudio, or what ~/.lmstudio-home-pointer says; `downloadsFolder` in its settings.json moves the
    models elsewhere.
    """

    def __init__(self, home: str | Path | None = None) -> None:
        user = Path(home or Path.home())
        homes = [user / ".lmstudio", user / ".cache" / "lm-studio"]
        pointed = _text(user / ".lmstudio-home-pointer").strip()
        if pointed:
            homes.insert(0, Path(pointed))
        folders = []
        for place in homes:
            downloads = _json(place / "settings.json").get("downloadsFolder")
            if isinstance(downloads, str) and downloads:
                folders.append(Path(downloads))
            folders.append(place / "models")
        super().__init__(dict.fromkeys(folders), "lm studio")


class OllamaSource:
    """Ollama's store: manifests name the blobs (which have no ending) that make a model.

    Parameters
    ----------
    store
        Its folder; None: as `OLLAMA_MODELS` says, else where a user's Ollama and a Linux service keep it.
    """

    name = "ollama"
    MODEL = "application/vnd.ollama.image.model"
    DEFAULT_NAMESPACE = "library"
    SERVICE_STORE = "/usr/share/ollama/.ollama/models"

    def __init__(self, store: str | Path | None = None) -> None:
        stores = [store or os.environ.get("OLLAMA_MODELS")]
        if stores == [None] or stores == [""]:
            stores = ["~/.ollama/models", self.SERVICE_STORE]
        self.stores = [Path(place).expanduser() for place in stores if place]

    def find(self) -> Iterator[Found]:
        """Yield the model of every manifest (`<host>/<namespace>/<model>/<tag>`)."""
        for store in self.stores:
            manifests = store / "manifests"
            for manifest in sorted(_files(manifests, depth=4)):
                _host, namespace, model, tag = manifest.relative_to(manifests).parts
                name = f"{model}:{tag}" if namespace == self.DEFAULT_NAMESPACE else f"{namespace}/{model}:{tag}"
                blobs = [
                    store / "blobs" / digest.replace(":", "-", 1)
                    for digest in _layers(_json(manifest), self.MODEL)
                    if "/" not in digest and "\\" not in digest
                ]
                if not blobs:
                    continue
                paths = tuple(str(blob) for blob in blobs)
                missing = next((blob.name for blob in blobs if not is_file(blob)), "")
                yield Found(
                    name=printable(name),
                    path=printable(paths[0]),
                    files=tuple(map(printable, paths)),
                    format="gguf",
                    source=self.name,
                    damaged=f"lacks its file {missing}: pull it again" if missing else "",
                )


def _layers(manifest: Mapping[str, Any], media_type: str) -> list[str]:
    layers = manifest.get("layers")
    return [
        layer["digest"]
        for layer in (layers if isinstance(layers, list) else [])
        if isinstance(layer, dict) and layer.get("mediaType") == media_type and isinstance(layer.get("digest"), str)
    ]


def llamacpp_cache() -> Path | None:
    """Return where llama.cpp keeps downloads (common/common.cpp, `fs_get_cache_directory`)."""
    if said := os.environ.get("LLAMA_CACHE"):
        return Path(said)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) / "llama.cpp" if local else None
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llama.cpp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llama.cpp"


def settings_file() -> Path:
    """Return the user's settings file (JSON)."""
    return platformdirs.user_config_path("specviz") / "settings.json"


def user_folders(settings: Path | None = None) -> list[str]:
    """Return the folders that the user named in `SPECVIZ_MODELS` and in the settings file."""
    named = [part for part in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if part]
    listed = _json(settings or settings_file()).get("model_folders")
    return named + [folder for folder in (listed if isinstance(listed, list) else []) if isinstance(folder, str)]


def default_sources(folders: Iterable[str | Path] = ()) -> list[Source]:
    """Return all sources, the user's `folders` among them."""
    cache = llamacpp_cache()
    return [
        DemoSource(),
        FolderSource([*folders, *user_folders()]),
        LMStudioSource(),
        HuggingFaceSource(),
        OllamaSource(),
        FolderSource([cache] if cache else [], "llama.cpp"),
    ]


def discover(sources: Iterable[Source]) -> tuple[list[Found], dict[str, str]]:
    """Search all sources.

    Returns
    -------
    The models, each file of the machine once, under the source that comes first; and for each source that could not be
    searched, why.
    """
    models: dict[str, Found] = {}
    problems: dict[str, str] = {}
    for source in sources:
        try:
            for found in source.find():
                models.setdefault(os.path.realpath(found.path), found)
        except (SourceError, OSError) as error:
            problems[source.name] = str(error)
    return list(models.values()), problems


def _renamed(found: Found, name: str) -> Found:
    return Found(
        name=name,
        path=found.path,
        files=found.files,
        format=found.format,
        source=found.source,
        damaged=found.damaged,
    )


def _text(path: Path) -> str:
    """Return a small text file's content; empty if it cannot be had."""
    if not is_file(path):
        return ""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_JSON).decode("utf-8", "replace")
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    """Return the object in a small JSON file; empty if there is none."""
    try:
        data = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the files exactly `depth` levels below a folder."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if depth == 1 and is_file(entry.path):
            yield Path(entry.path)
        elif depth > 1 and entry.is_dir():
            yield from _files(Path(entry.path), depth - 1)
