"""A hub on loopback that answers as the Hugging Face hub does, as far as downloads ask it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 1 << 16


class Hub:
    """Serves files; counts what it sends.

    Attributes
    ----------
    files
        Content by (repository, path).
    gated
        Repositories that want an account.
    pause
        Seconds between pieces of 64 KiB.
    drop_after
        Bytes of content after which the next responses break off, one after the other.
    status
        Instead of content.
    ranges
        Whether a part of a file can be asked for.
    sent
        Bytes of content that each response sent.
    """

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.gated: set[str] = set()
        self.pause = 0.0
        self.drop_after: list[int] = []
        self.status = 0
        self.ranges = True
        self.sent: list[int] = []
        self.asked: list[str] = []
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, repo: str, path: str, size: int) -> bytes:
        """Put a file of `size` bytes, no two alike, into a repository."""
        seed = hashlib.sha256(f"{repo}/{path}".encode()).digest()
        self.files[repo, path] = (seed * (size // len(seed) + 1))[:size]
        return self.files[repo, path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if "Authorization" in self.headers:
            return self._say(400, {"X-Error-Message": "nobody asked for a token"})
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._list("/".join(parts[2:4]), *parts[5:6])
        if parts[2:4] == ["resolve", "main"]:
            return self._resolve("/".join(parts[:2]), "/".join(parts[4:]))
        if parts[0] == "cdn":
            return self._content(parts[1])
        return self._say(404)

    def _list(self, repo: str, revision: str = "main") -> None:
        files = {path: data for (owner, path), data in self.hub.files.items() if owner == repo}
        if not files:
            return self._say(401, {"X-Error-Code": "RepoNotFound"})
        if revision != "main":
            return self._say(404, {"X-Error-Code": "RevisionNotFound"})
        siblings = [
            {
                "rfilename": path,
                "size": len(data),
                "blobId": "0" * 40,
                "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130},
            }
            for path, data in files.items()
        ]
        return self._say(
            200,
            {"Content-Type": "application/json"},
            json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode(),
        )

    def _resolve(self, repo: str, path: str) -> None:
        if repo in self.hub.gated:
            return self._say(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        data = self.hub.files.get((repo, path))
        if data is None:
            return self._say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        digest = hashlib.sha256(data).hexdigest()
        headers = {
            "Location": f"http://localhost:{self.hub.port}/cdn/{digest}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(len(data)),
            "X-Linked-Etag": f'"{digest}"',
        }
        return self._say(302, headers)

    def _content(self, digest: str) -> None:
        hub = self.hub
        if hub.status:
            return self._say(hub.status)
        (data,) = [one for one in hub.files.values() if hashlib.sha256(one).hexdigest() == digest]
        start, wanted = 0, self.headers.get("Range")
        if wanted and hub.ranges:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        hub.sent.append(0)
        mine = len(hub.sent) - 1
        end = start + hub.drop_after.pop(0) if hub.drop_after else len(data)
        for at in range(start, end, PIECE):
            piece = data[at : min(at + PIECE, end)]
            try:
                self.wfile.write(piece)
            except OSError:
                return
            hub.sent[mine] += len(piece)
            time.sleep(hub.pause)
        if end < len(data):
            self.close_connection = True

    def _say(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
