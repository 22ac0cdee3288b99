"""Servers that cannot run here, as their documentation describes them: enough of each to be attached to.

LM Studio: REST API v0 (docs, "REST API v0"): `stats` with LM Studio's keys in the last chunk of a stream.
vLLM: OpenAI-compatible server; `/version`; `/metrics` with the counters of vllm/v1/spec_decode/metrics.py.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

PIECES = ["Hello", " there", ", how", " are you", "?"]


class Recorded(BaseHTTPRequestHandler):
    """Answers GETs from `pages` and streams `PIECES` to every POST; `asked` keeps the bodies."""

    pages: ClassVar[dict[str, Any]] = {}
    last: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    breaks_off = False
    slow: threading.Event | None = None

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        page = page(self) if callable(page) else page
        body = b"" if page is None else page.encode() if isinstance(page, str) else json.dumps(page).encode()
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        chat = "chat" in self.path
        for i, piece in enumerate(PIECES):
            if self.breaks_off and i == 2:
                self._event({"error": {"message": "the model was unloaded"}})
                return
            said = {"delta": {"content": piece}} if chat else {"text": piece}
            self._event(
                {"model": body.get("model", "default"), "choices": [{"index": 0, **said, "finish_reason": None}]}
            )
            if self.slow is not None:
                self.slow.wait(10)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **self.last})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, event: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()


@contextmanager
def server(**attributes: Any):
    """Run one on a free loopback port; yields its URL and its handler class."""
    handler = type("Handler", (Recorded,), {"asked": []} | attributes)
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}", handler
    finally:
        http.shutdown()
        http.server_close()


LM_STUDIO = {
    "pages": {
        "/api/v0/models": {
            "object": "list",
            "data": [
                {"id": "text-embedding", "object": "model", "type": "embeddings", "state": "loaded"},
                {"id": "small", "object": "model", "type": "llm", "state": "not-loaded"},
                {"id": "big", "object": "model", "type": "llm", "state": "loaded"},
            ],
        }
    },
    "last": {
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
        "stats": {
            "tokens_per_second": 41.5,
            "time_to_first_token": 0.1,
            "generation_time": 0.29,
            "stop_reason": "eosFound",
            "draft_model": "small",
            "total_draft_tokens_count": 10,
            "accepted_draft_tokens_count": 6,
            "rejected_draft_tokens_count": 3,
            "ignored_draft_tokens_count": 1,
        },
    },
}


def vllm_metrics(handler: Recorded) -> str:
    """The counters: they rise with every request, and other engines of the same server have their own."""
    n = len(handler.asked)
    return (
        "# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.\n"
        f'vllm:spec_decode_num_drafts_total{{engine="0",model_name="big"}} {7 + 3 * n}.0\n'
        f'vllm:spec_decode_num_draft_tokens_total{{engine="0",model_name="big"}} {70 + 12 * n}.0\n'
        f'vllm:spec_decode_num_accepted_tokens_total{{engine="0",model_name="big"}} {40 + 8 * n}.0\n'
        'vllm:spec_decode_num_draft_tokens_total{engine="1",model_name="big"} 1.0e+02\n'
        f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",position="0"}} {3 * n}.0\n'
    )


VLLM = {
    "pages": {
        "/version": {"version": "0.11.0"},
        "/v1/models": {"object": "list", "data": [{"id": "big", "object": "model", "owned_by": "vllm"}]},
        "/metrics": vllm_metrics,
    },
    "last": {"usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}},
}
