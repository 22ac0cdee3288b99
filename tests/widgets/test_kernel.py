"""A feed in a real kernel, spoken to as JupyterLab does: through subshells that come and go with pages."""

import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel

from benchmarks.stage import cells

CONTROL = "control"


class Page:
    """A page's side of a kernel: sends comm messages through a subshell, and keeps what comes."""

    def __init__(self, client):
        self.client = client

    def subshell(self):
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        return self.client.get_control_msg(timeout=10)["content"]["subshell_id"]

    def end(self, subshell):
        self.client.control_channel.send(self.client.session.msg("delete_subshell_request", {"subshell_id": subshell}))
        assert self.client.get_control_msg(timeout=10)["content"]["status"] == "ok"

    def say(self, subshell, comm, data, kind="comm_msg", **content):
        message = self.client.session.msg(kind, {"comm_id": comm, "data": data} | content)
        message["header"]["subshell_id"] = subshell
        message["metadata"]["version"] = "1.0.0"
        self.client.shell_channel.send(message)

    def hears(self, wanted, seconds=10.0):
        """Wait for a comm message's data."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            assert message["msg_type"] != "error", message["content"]
            if message["msg_type"] == "comm_msg" and wanted(message["content"]["data"]):
                return message["content"]["data"]
        raise TimeoutError("nothing of the kind was said")


@pytest.fixture
def client():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_page_that_comes_in_mid_stream_is_heard(client):
    show, follow = cells(40_000, 2000)
    told = []
    client.execute_interactive(f"{show}; print(feed.model_id)", output_hook=told.append, timeout=60)
    feed = next(one["content"]["text"].strip() for one in told if one["msg_type"] == "stream")
    client.execute_interactive(follow, output_hook=lambda message: None, timeout=60)
    page = Page(client)
    first = page.subshell()
    page.say(first, CONTROL, {}, kind="comm_open", target_name="jupyter.widget.control")
    page.say(first, CONTROL, {"method": "request_states"})
    page.hears(lambda data: data.get("method") == "update_states")
    page.hears(lambda data: data.get("content", {}).get("type") == "batch")
    page.end(first)
    page.say(page.subshell(), feed, {"method": "custom", "content": {"type": "resync"}})
    page.hears(lambda data: data.get("content", {}).get("type") == "snapshot")
    page.say(page.subshell(), feed, {"method": "custom", "content": {"type": "stop"}})
    page.hears(lambda data: data.get("content", {}).get("state", {}).get("phase") == "stopped")
