"""What the Hugging Face hub has of a model, and what it says when it has not, through huggingface_hub."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Mapping
from types import ModuleType

from specviz.models.folders import group_parts


class DownloadError(RuntimeError):
    """A download failed; the message says why, in one sentence without full stop."""


def choose_files(sizes: Mapping[str, int], wanted: str | None, repo: str) -> list[str]:
    """Return the files of the model that `wanted` means among those of a repository, parts in order.

    Raises
    ------
    DownloadError
        If there is none, several, or a part is missing; the message names those that there are.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for file in sizes:
        folder, slash, name = file.rpartition("/")
        if name.lower().endswith(".gguf") and "mmproj" not in name.lower():
            folders[folder + slash].append(name)
    models: dict[str, tuple[list[str], str]] = {}
    for folder, names in folders.items():
        for _, parts, damaged in group_parts(names):
            models[folder + parts[0]] = [folder + name for name in parts], damaged
    if not models:
        raise DownloadError(f"{repo} holds no GGUF model")
    found = [first for first, (files, _) in models.items() if wanted in files]
    if not found:
        found = [first for first in models if (wanted or "").lower() in first.lower()]
    if len(found) == 1:
        files, damaged = models[found[0]]
        if damaged:
            raise DownloadError(f"{found[0]} of {repo} {damaged}")
        return files
    listed = ", ".join(sorted(found or models))
    if not found:
        raise DownloadError(f"{repo} has no file {wanted!r}; there are: {listed}")
    if wanted is None:
        raise DownloadError(f"{repo} holds several models, name one: {listed}")
    raise DownloadError(f"{wanted!r} may mean several files of {repo}: {listed}")


def import_hub() -> ModuleType:
    """Import huggingface_hub.

    Raises
    ------
    DownloadError
        If it is not installed, or too old to stream (before 1.0).
    """
    try:
        import huggingface_hub
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ImportError:
        raise DownloadError('downloads need huggingface_hub: pip install "specviz-lab[hub]"') from None
    if not hasattr(huggingface_hub.utils, "http_stream_backoff"):
        raise DownloadError(
            f"downloads need huggingface_hub 1.0 or newer, {huggingface_hub.__version__} is installed: "
            'pip install --upgrade "specviz-lab[hub]"'
        )
    return huggingface_hub


def may_pass(error: Exception) -> bool:
    """Whether it is worth another try: trouble of the connection or of the server, not of the request or the disk."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status >= 500 or status == 429)
    return not isinstance(error, DownloadError | OSError)


def sentence(error: Exception, repo: str) -> str:
    """Say in one sentence what went wrong."""
    if isinstance(error, DownloadError):
        return str(error)
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return f"{repo!r} is no repository id: it must look like owner/name"
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: its terms have to be accepted on the hub, with an account"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no repository {repo} on the hub, or it is private"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no such revision"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{repo} has no such file"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "downloads are switched off: HF_HUB_OFFLINE is set"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        return f"the hub refused access to {repo}" if status in (401, 403) else f"the hub answers with status {status}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk of the Hugging Face cache is full: free some space, then go on with the same download"
    if isinstance(error, OSError) and error.errno:
        return f"the file cannot be written: {error.strerror}"
    return (
        f"the hub cannot be reached ({type(error).__name__}): check the connection, then go on with the same download"
    )
