"""Downloads from the Hugging Face hub into its cache, where the library of models looks (`HuggingFaceSource`).

Listing, metadata, errors and the layout of the cache are huggingface_hub's. The bytes are fetched here, over plain
HTTP, because its own transfers cannot be cancelled and throw a partial file away. A partial file stays beside the blobs
as `<etag>.incomplete` and is continued by the next download of the same content. Nothing is sent that names the user.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Literal

from msgspec import Struct

from specviz.models.folders import SPLIT
from specviz.models.hub import DownloadError, choose_files, import_hub, may_pass, sentence

PROGRESS_SECONDS = 0.1
TRIES = 5
"""Times that a broken connection is opened again with no byte received in between."""
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0
"""Of waiting for the hub to answer or to send more."""


class _Cancelled(Exception):
    """`Download.cancel` was called."""


class Suggestion(Struct, frozen=True, kw_only=True):
    """A pair worth downloading."""

    label: str
    main_repo: str
    main_file: str
    draft_repo: str
    draft_file: str
    size_bytes: int | None = None
    """Of both files; None: the hub says, once the download has begun."""


def _suggestion(label: str, main: str, draft: str, draft_type: str) -> Suggestion:
    """A pair of one publisher, who names repository and files after the model: the main model in about 4.8 bits."""
    return Suggestion(
        label=label,
        main_repo=f"bartowski/{main}-GGUF",
        main_file=f"{main}-Q4_K_M.gguf",
        draft_repo=f"bartowski/{draft}-GGUF",
        draft_file=f"{draft}-{draft_type}.gguf",
    )


SUGGESTIONS = (
    _suggestion("Llama 3.2 3B + 1B", "Llama-3.2-3B-Instruct", "Llama-3.2-1B-Instruct", "Q4_K_M"),
    _suggestion("Llama 3.1 8B + Llama 3.2 1B", "Meta-Llama-3.1-8B-Instruct", "Llama-3.2-1B-Instruct", "Q4_K_M"),
    _suggestion("Qwen2.5 14B + 0.5B", "Qwen2.5-14B-Instruct", "Qwen2.5-0.5B-Instruct", "Q8_0"),
    _suggestion(
        "DeepSeek R1 Distill Qwen 32B + 1.5B", "DeepSeek-R1-Distill-Qwen-32B", "DeepSeek-R1-Distill-Qwen-1.5B", "Q8_0"
    ),
)
"""Pairs whose vocabularies agree, the smallest first."""

State = Literal["waiting", "downloading", "done", "cancelled", "failed"]


class Download:
    """One model on its way from the hub: a GGUF file, or all parts of a split one.

    Parameters
    ----------
    repo
        Id of a repository on the hub, such as `bartowski/Llama-3.2-1B-Instruct-GGUF`.
    file
        A GGUF file of it (of a split model its first part), or a part of a name that only one has, such as `Q4_K_M`;
        None: the only one.
    revision
        Branch, tag or commit; None: the main branch.
    on_progress
        Called with this object when its state or its count of bytes has changed, ten times a second at most, in the
        thread that downloads.

    Attributes
    ----------
    state : str
        `waiting`, `downloading`, `done`, `cancelled` or `failed`.
    done_bytes, total_bytes : int
        How far it is; the total is 0 until the hub has told.
    path : Path or None
        The file (of a split model its first part), when it is done.
    error : str
        Why it failed.
    """

    def __init__(
        self,
        repo: str,
        file: str | None = None,
        *,
        revision: str | None = None,
        on_progress: Callable[[Download], None] | None = None,
    ) -> None:
        self.repo, self.file, self.revision = repo.strip(), file, revision
        self.state: State = "waiting"
        self.done_bytes = self.total_bytes = 0
        self.path: Path | None = None
        self.error = ""
        self._on_progress = on_progress
        self._told = 0.0
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Download in the background."""

        def run() -> None:
            with suppress(DownloadError):
                self.run()

        self._thread = threading.Thread(target=run, name="specviz-download", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop it, within some seconds where the hub is silent. What has come is kept for the next time."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; return whether it has, within `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self.state not in ("waiting", "downloading")

    def run(self) -> Path | None:
        """Download in this thread; return the file, None if it was cancelled.

        Raises
        ------
        DownloadError
            If there is no such repository or file, access is refused, the hub cannot be reached or the disk is full.
        """
        self._set("downloading")
        try:
            self.path = self._fetch(import_hub())
        except _Cancelled:
            self._set("cancelled")
            return None
        except KeyboardInterrupt:
            self._set("cancelled")
            raise
        except Exception as error:  # also those of the HTTP library, whichever huggingface_hub uses
            self.error = sentence(error, self.repo)
            self._set("failed")
            raise DownloadError(self.error) from error
        self._set("done")
        return self.path

    def _set(self, state: State) -> None:
        self.state = state
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        if self._on_progress is not None:
            self._on_progress(self)

    def _fetch(self, hub: ModuleType) -> Path:
        if (cached := self._cached(hub)) is not None:
            return cached
        info = hub.HfApi(token=False).model_info(
            self.repo, revision=self.revision, timeout=TIMEOUT_SECONDS, files_metadata=True
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        files = choose_files(sizes, self.file, self.repo)
        self.total_bytes = sum(sizes[file] for file in files)
        self._tell()
        paths = [self._fetch_file(hub, file, sizes[file]) for file in files]
        return paths[0]

    def _cached(self, hub: ModuleType) -> Path | None:
        """Return a single file that is in the cache already: the hub is not asked."""
        if self.file is None or SPLIT.match(self.file.removesuffix(".gguf")):
            return None
        path = hub.try_to_load_from_cache(self.repo, self.file, revision=self.revision)
        if not isinstance(path, str):
            return None
        self.done_bytes = self.total_bytes = os.path.getsize(path)
        return Path(path)

    def _fetch_file(self, hub: ModuleType, file: str, size: int) -> Path:
        """Put a file's content among the blobs, then have huggingface_hub link it into its snapshot."""
        before = self.done_bytes
        url = hub.hf_hub_url(self.repo, file, revision=self.revision)
        etag = hub.get_hf_file_metadata(url, token=False, timeout=TIMEOUT_SECONDS).etag
        cache = Path(hub.constants.HF_HUB_CACHE)
        folder = hub.file_download.repo_folder_name(repo_id=self.repo, repo_type="model")
        blob, lock = cache / folder / "blobs" / etag, cache / ".locks" / folder / f"{etag}.lock"
        for needed in (blob, lock):
            needed.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(hub, lock):
            if not blob.exists():
                partial = blob.with_name(f"{etag}.incomplete")
                self._fetch_bytes(hub, url, partial, size, before)
                os.replace(partial, blob)
        self.done_bytes = before + size
        self._tell()
        return Path(hub.hf_hub_download(self.repo, file, revision=self.revision, token=False))

    @contextmanager
    def _locked(self, hub: ModuleType, path: Path) -> Iterator[None]:
        """Hold the lock that huggingface_hub takes for this file; another download of it is waited for."""
        from filelock import Timeout

        while True:
            self._check_cancelled()
            with suppress(Timeout), hub.utils.WeakFileLock(path, timeout=0.5):
                yield
                return

    def _fetch_bytes(self, hub: ModuleType, url: str, partial: Path, size: int, before: int) -> None:
        """Append what is missing of a file, over as many connections as it takes."""
        failures = 0
        partial.touch()
        while (have := partial.stat().st_size) < size:
            self._check_cancelled()
            self.done_bytes = before + have
            if shutil.disk_usage(partial.parent).free < size - have:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                self._append(hub, url, partial, have)
                if partial.stat().st_size <= have:
                    raise DownloadError("the hub sends nothing more of the file: try again later")
            except Exception as error:
                failures = failures + 1 if partial.stat().st_size <= have else 0
                if isinstance(error, _Cancelled) or not may_pass(error) or failures == TRIES:
                    raise
                if self._cancelled.wait(RETRY_SECONDS):
                    raise _Cancelled from None
        if have > size:
            partial.unlink()
            raise DownloadError(f"the hub sent more than the {size:,} bytes of the file: try again")

    def _append(self, hub: ModuleType, url: str, partial: Path, have: int) -> None:
        """Read one response to its end."""
        headers = hub.utils.build_hf_headers(token=False) | {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = hub.utils.http_stream_backoff(
            "GET",
            url,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=True,
            max_retries=0,
            retry_on_exceptions=(),
            retry_on_status_codes=(),
        )
        with request as response:
            hub.utils.hf_raise_for_status(response)
            resumed = response.status_code == 206
            with open(partial, "ab" if resumed else "wb") as file:
                self.done_bytes -= 0 if resumed else have
                for chunk in response.iter_raw():
                    file.write(chunk)
                    self.done_bytes += len(chunk)
                    if time.monotonic() - self._told >= PROGRESS_SECONDS:
                        self._tell()
                    self._check_cancelled()

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _Cancelled


def download(repo: str, file: str | None = None, *, revision: str | None = None) -> Path:
    """Download a model from the Hugging Face hub, with a progress bar in a terminal or a notebook.

    An interrupt stops it; what has come is kept, and the next call goes on from there. Needs no account; repositories
    that want one are refused.

    Parameters
    ----------
    repo, file, revision
        As of `Download`.

    Returns
    -------
    The GGUF file in the Hugging Face cache (of a split model its first part).

    Raises
    ------
    DownloadError
        In one sentence: no such repository or file, several files fit, access is refused, the hub cannot be reached,
        the disk is full, or huggingface_hub is not installed.
    """
    import_hub()
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    with tqdm(unit="B", unit_scale=True, unit_divisor=1000, desc=repo.rpartition("/")[2]) as bar:

        def show(state: Download) -> None:
            if bar.total != state.total_bytes and state.total_bytes:
                bar.reset(state.total_bytes)
            bar.n = state.done_bytes
            bar.refresh()

        path = Download(repo, file, revision=revision, on_progress=show).run()
    assert path is not None, "nobody else can cancel it"
    return path
