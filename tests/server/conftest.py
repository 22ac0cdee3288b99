"""A real server on a free loopback port, with the quick pair: the 22m draft as main model, the 12m one as its draft."""

from __future__ import annotations

import httpx
import openai
import pytest

import specviz as sv
from specviz.models import demo_drafts

MAIN = next(model for model in demo_drafts() if "22m" in model.name)
DRAFT = next(model for model in demo_drafts() if "12m" in model.name)
OTHER = next(model for model in demo_drafts() if "17m" in model.name)
CHAT = {"messages": [{"role": "user", "content": "Tell me a story"}]}


@pytest.fixture(scope="session")
def start():
    """Start servers that are stopped in the end."""
    servers = []

    def start(**settings):
        server = sv.serve(MAIN.path, DRAFT.path, port=0, **settings)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(grace=0)


@pytest.fixture(scope="session")
def server(start):
    return start()


@pytest.fixture(scope="session")
def http(server):
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client
