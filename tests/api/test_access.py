"""Who gets in, and who does not: tokens, sessions, other sites, other names of the host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.auth import Hosts
from jobs.settings import Settings
from jobs.store import TokenKind
from jobs.viewer import Role
from tests.api.caller import Caller, Socket
from tests.api.clock import ShiftedClock
from tests.factories import make_settings

QUERY = {"query": "{viewer {name role}}"}
ENQUEUE = 'mutation {jobEnqueue(input: {task: "noop"}) {job {id} userErrors {code message}}}'

Issue = Callable[..., Awaitable[str]]


@pytest.fixture
async def browser(address: str, issue: Issue) -> AsyncIterator[Caller]:
    """A browser that opened the sign-in link."""
    async with Caller(address) as caller:
        code = await issue(kind=TokenKind.CODE, ttl_s=60)
        answer = await caller.request("GET", f"/signin?code={code}")
        assert (answer.status, answer.headers["location"]) == (303, "/graphql")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        yield caller


async def test_nobody_gets_in_without_a_token(anonymous: Caller) -> None:
    for answer in (await anonymous.request("POST", json=QUERY), await anonymous.request("GET", params=QUERY)):
        assert (answer.status, answer.media_type) == (401, "application/problem+json")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json["code"] == "UNAUTHENTICATED"


async def test_a_wrong_token_is_none(anonymous: Caller) -> None:
    for header in ("Bearer nope", "Bearer ", "Basic YTpi", "nope", "Bearer qq_1_2"):
        answer = await anonymous.request("POST", headers={"authorization": header}, json=QUERY)
        assert answer.status == 401


async def test_a_token_in_the_address_is_none(api: Caller, anonymous: Caller) -> None:
    for name in ("token", "access_token", "authorization"):
        assert (await anonymous.request("POST", f"/graphql?{name}={api.token}", json=QUERY)).status == 401


async def test_the_body_of_somebody_unknown_is_not_read(anonymous: Caller) -> None:
    answer = await anonymous.request("POST", headers={"content-type": "application/json"}, data=b"{" * 300_000)
    assert answer.status == 401


async def test_a_viewer_reads_and_does_not_change(reader: Caller) -> None:
    assert (await reader.data("{viewer {name role}}"))["viewer"] == {"name": "test VIEWER", "role": "VIEWER"}
    payload = (await reader.data(ENQUEUE))["jobEnqueue"]
    assert (payload["job"], payload["userErrors"][0]["code"]) == (None, "FORBIDDEN")
    assert (await reader.data("{jobs {nodes {id}}}"))["jobs"]["nodes"] == []


async def test_the_link_signs_a_browser_in(browser: Caller) -> None:
    answer = await browser.request("POST", json=QUERY)
    assert answer.json == {"data": {"viewer": {"name": answer.json["data"]["viewer"]["name"], "role": "ADMIN"}}}


async def test_the_link_works_once(address: str, issue: Issue) -> None:
    code = await issue(kind=TokenKind.CODE, ttl_s=60)
    for expected in (303, 401):
        async with Caller(address) as caller:
            assert (await caller.request("GET", f"/signin?code={code}")).status == expected


async def test_a_wrong_link_does_not_work(anonymous: Caller) -> None:
    for query in ("", "?code=", "?code=nope", "?code=qq_1_2"):
        answer = await anonymous.request("GET", f"/signin{query}")
        assert (answer.status, answer.json["code"]) == (401, "LINK_SPENT")


async def test_a_code_is_no_token(address: str, issue: Issue) -> None:
    async with Caller(address, await issue(kind=TokenKind.CODE, ttl_s=60)) as caller:
        assert (await caller.request("POST", json=QUERY)).status == 401


async def test_another_site_cannot_use_the_session(browser: Caller) -> None:
    forged = [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ]
    for headers in forged:
        answer = await browser.request("POST", headers=headers, json={"query": ENQUEUE})
        assert (answer.status, answer.json["code"]) == (403, "CSRF"), headers


async def test_a_form_cannot_use_the_session(browser: Caller) -> None:
    answer = await browser.request("GET", params={"query": "{viewer {name}}"})
    assert (answer.status, answer.json["code"]) == (403, "CSRF")
    as_script = await browser.request("GET", headers={"x-queueql": "1"}, params={"query": "{viewer {name}}"})
    assert as_script.status == 200
    form = await browser.request("POST", headers={"content-type": "text/plain"}, data=b'{"query": "{__typename}"}')
    assert form.status == 415


async def test_the_page_of_the_host_itself_may_use_the_session(browser: Caller, address: str) -> None:
    headers = {"origin": f"http://{address}", "sec-fetch-site": "same-origin"}
    assert (await browser.request("POST", headers=headers, json=QUERY)).status == 200


async def test_a_token_needs_no_origin(api: Caller) -> None:
    headers = {"origin": "https://front.example", "sec-fetch-site": "cross-site"}
    assert (await api.request("POST", headers=headers, json=QUERY)).status == 200


async def test_another_name_of_the_host_is_refused(api: Caller) -> None:
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "a@127.0.0.1", "[", "127.0.0.1/x"):
        answer = await api.request("POST", headers={"host": host}, json=QUERY)
        assert (answer.status, answer.json["code"]) == (421, "WRONG_HOST"), host


async def test_the_right_names_of_the_host(api: Caller) -> None:
    for host in ("localhost", "127.0.0.1:9", "[::1]:8000", "LOCALHOST:1", "10.0.0.7"):
        assert (await api.request("POST", headers={"host": host}, json=QUERY)).status == 200


def test_names_can_be_allowed() -> None:
    hosts = Hosts(make_settings(host="queue.internal", allowed_hosts="jobs.example, api"))
    assert [hosts.allow(name) for name in ("jobs.example", "api:8000", "queue.internal", "evil.example")] == [
        True,
        True,
        True,
        False,
    ]
    assert isinstance(make_settings(), Settings)


async def test_sockets_sign_in_with_the_first_message(api: Caller) -> None:
    async with api.socket() as socket:
        await socket.subscribe("1", "{viewer {name}}")
        assert (await socket.next("1"))["data"]["viewer"]["name"] == "test ADMIN"


async def test_sockets_sign_in_by_header_or_session(api: Caller, browser: Caller, address: str) -> None:
    cookies = browser.cookies()
    ways: list[dict[str, str]] = [
        {"authorization": f"Bearer {api.token}"},
        {"cookie": cookies, "origin": f"http://{address}"},
    ]
    for headers in ways:
        origin = headers.pop("origin", None)
        async with api.raw_socket(additional_headers=headers, origin=origin) as raw:
            socket = Socket(raw)
            await socket.send(type="connection_init")
            assert await socket.receive() == {"type": "connection_ack"}


async def test_sockets_of_nobody_are_closed(anonymous: Caller) -> None:
    for payload in (None, {}, {"Authorization": "Bearer nope"}, {"Authorization": 5}):
        async with anonymous.raw_socket() as raw:
            await Socket(raw).send(type="connection_init", payload=payload)
            with pytest.raises(ConnectionClosed):
                await raw.recv()
            assert raw.close_code == 4403


async def test_sockets_of_other_sites_are_refused(browser: Caller) -> None:
    for headers, origin in (({}, "http://evil.example"), ({"host": "evil.example"}, None)):
        given = {"cookie": browser.cookies(), **headers}
        with pytest.raises(InvalidStatus) as refused:
            async with browser.raw_socket(additional_headers=given, origin=origin):
                pass
        assert refused.value.response.status_code == 403


async def test_streams_end_when_the_access_does(address: str, issue: Issue, clock: ShiftedClock) -> None:
    token = await issue(Role.VIEWER, ttl_s=3_600)
    subscription = "subscription {jobEvents {endCursor}}"
    async with Caller(address, token) as caller, caller.socket() as socket, caller.events(subscription) as events:
        await socket.subscribe("1", subscription)
        assert (await socket.next("1"))["data"] == (await events.next())[1]["data"]
        clock.advance_s = 3_601
        with pytest.raises(ConnectionClosed):
            await socket.receive()
        assert socket.raw.close_code == 4403
        assert await events.next() == ("", None)
        assert (await caller.request("POST", json=QUERY)).status == 401
