"""Who may ask."""

import socket

import httpx
import pytest

import specviz as sv
from specviz.server.guard import is_loopback
from tests.server.conftest import CHAT

KEY = "s3cret-key"
ASKED = {**CHAT, "max_tokens": 2}


@pytest.fixture(scope="module")
def locked(start):
    return start(api_key=KEY, cors=["https://page.example"])


def test_another_address_needs_a_key():
    with pytest.raises(ValueError, match=r"at 0\.0\.0\.0 other machines can reach the server: give it an api_key"):
        sv.serve(host="0.0.0.0", port=0)
    with pytest.raises(ValueError, match="api_key"):
        sv.serve(host="::", port=0, api_key="")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.9.9.9", "[::1]", "::1"])
def test_what_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example"])
def test_what_is_not(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("path", ["/v1/models", "/api/v0/models", "/metrics", "/openapi.json", "/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
def test_without_the_key_there_is_nothing(locked, path, headers):
    reply = httpx.get(locked.url + path, headers=headers)
    assert reply.status_code == 401 and reply.json()["error"]["code"] == "invalid_api_key"
    assert reply.headers["www-authenticate"] == "Bearer"


def test_with_the_key_all_is_there(locked):
    with httpx.Client(base_url=locked.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        assert client.post("/v1/chat/completions", json=ASKED).status_code == 200
        assert client.get("/v1/models").status_code == client.get("/metrics").status_code == 200
    assert httpx.get(f"{locked.url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:1234", "127.0.0.1.evil.example", "10.1.2.3", "", "[::2]:80"]
)
def test_a_request_that_names_another_host_is_refused(http, host):
    for path in ("/v1/models", "/health", "/metrics"):
        reply = http.get(path, headers={"Host": host})
        assert reply.status_code == 403 and reply.json()["error"]["code"] == "host_not_allowed"
    assert http.post("/v1/chat/completions", json=ASKED, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1:99", "[::1]:1234", "LocalHost"])
def test_the_names_of_this_machine_are_taken(http, host):
    assert http.get("/health", headers={"Host": host}).status_code == 200


def test_cors_is_off(http):
    origin = {"Origin": "https://page.example"}
    reply = http.post("/v1/chat/completions", json=ASKED, headers=origin)
    assert not any(name.startswith("access-control") for name in reply.headers)
    asking = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    reply = http.options("/v1/chat/completions", headers=asking)
    assert reply.status_code == 405 and not any(name.startswith("access-control") for name in reply.headers)


def test_cors_for_the_origins_that_are_named(locked):
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    reply = httpx.options(f"{locked.url}/v1/chat/completions", headers=asking | {"Origin": "https://page.example"})
    assert reply.status_code == 200 and reply.headers["access-control-allow-origin"] == "https://page.example"
    reply = httpx.options(f"{locked.url}/v1/chat/completions", headers=asking | {"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in reply.headers


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match=r"cannot listen at 127\.0\.0\.1, port \d+"):
            sv.serve(port=taken.getsockname()[1])


@pytest.mark.parametrize("wrong", [{"ttl": -1}, {"queue": 0}, {"time_limit": 0}, {"max_body": 0}, {"n_ctx": 0}])
def test_a_limit_that_may_not_be(wrong):
    from tests.server.conftest import MAIN

    with pytest.raises(ValueError, match=next(iter(wrong))):
        sv.serve(MAIN.path, None, port=0, **wrong)


def test_a_body_that_does_not_come_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr("specviz.server.guard.BODY_SECONDS", 0.2)
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head + b"{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
