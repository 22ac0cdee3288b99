"""Whatever our own description of the API allows or forbids, no answer is a server's error."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from tests.server.conftest import DRAFT, MAIN

EXAMPLES = 25
OPERATIONS = [
    ("get", "/health"),
    ("get", "/metrics"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{id}"),
    ("post", "/v1/chat/completions"),
    ("post", "/v1/completions"),
    ("get", "/api/v0/models"),
    ("get", "/api/v0/models/{id}"),
    ("post", "/api/v0/chat/completions"),
    ("post", "/api/v0/completions"),
]


@pytest.fixture(scope="module")
def short(start):
    """A server whose answers are short, so that many can be asked for."""
    return start(time_limit=30.0, n_ctx=64)


@pytest.fixture(scope="module")
def described(short):
    return schemathesis.openapi.from_url(f"{short.url}/openapi.json")


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
    + [(*operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation[0] == "post"],
)
def test_no_request_makes_the_server_fail(described, method, path, mode):
    operation = described[path][method]
    statuses = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES if method == "post" else 10,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case):
        reply = case.call(timeout=60)
        case.validate_response(reply, checks=[not_a_server_error])
        if reply.status_code >= 400:
            assert reply.json()["error"]["message"]
        statuses.add(reply.status_code)

    call()
    if mode is GenerationMode.NEGATIVE:
        assert 400 in statuses


def test_all_of_it_is_described_and_nothing_else(short):
    described = httpx.get(f"{short.url}/openapi.json").json()
    assert {(method, path) for path, methods in described["paths"].items() for method in methods} == set(OPERATIONS)
    text = str(described)
    assert "422" not in text and str(MAIN.path.parent) not in text and str(DRAFT.path.parent) not in text
