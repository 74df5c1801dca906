"""GraphiQL in Chromium, on the real product: signed in by the link, it asks, enqueues and watches."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.chromium import NoChromium, browser, executable
from tests.system.product import ROOT, Product

# Where there is no Chromium, the first test installs it.
pytestmark = pytest.mark.timeout(600)

READY_MS = 30_000
"""For what waits for processes or for the first paint; everything else has Playwright's own deadline."""
SHOWN = "__MONACO.editor.getModels().find((model) => model.uri.path.endsWith('response.json')).getValue()"
"""The text of the result pane. Monaco draws only the lines that are in sight."""


class Window:
    """A tab with GraphiQL that remembers what it asked for and what it complained about."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.addresses: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.on("websocket", lambda socket: self.addresses.append(socket.url))
        self.page.on("worker", lambda worker: self.addresses.append(worker.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )

    def open(self, url: str) -> None:
        self.page.goto(url)
        expect(self.page.locator(".graphiql-query-editor .view-line").first).to_be_visible(timeout=READY_MS)

    def run(self, operation: str) -> None:
        """Choose one of the operations of the tab at the button, as a user does."""
        self.page.get_by_role("button", name="Execute query").click()
        self.page.get_by_role("menuitem", name=operation, exact=True).click()

    def until_shown(self, condition: str) -> Any:
        """Wait until the result pane shows JSON, `shown`, for which the condition holds; return it."""
        script = f"() => {{ try {{ const shown = JSON.parse({SHOWN}); return {condition} }} catch {{ return false }} }}"
        self.page.wait_for_function(script, timeout=READY_MS)
        return json.loads(self.page.evaluate(SHOWN))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("graphiql"), tasks="jobs.tasks.demo") as running:
        yield running


@pytest.fixture(scope="module")
def chromium(pytestconfig: pytest.Config) -> Iterator[Browser]:
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(sentence: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\n{sentence}\n")

    try:
        path = executable(say)
    except NoChromium as missing:
        pytest.fail(str(missing), pytrace=False)
    with browser(path) as running:
        yield running


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    yield context
    context.close()


def test_the_first_tab_lists_enqueues_and_watches(product: Product, context: BrowserContext) -> None:
    link = product.process.find(r"Sign in\s+(http://\S+)")
    watcher, actor = Window(context), Window(context)
    watcher.open(link)
    assert urlsplit(watcher.page.url)[2:] == ("/graphql", "", "")
    watcher.run("Watch")
    expect(watcher.page.get_by_role("button", name="Stop query")).to_be_visible()

    actor.open(f"{product.url}/graphql")
    actor.run("Tasks")
    tasks = actor.until_shown("shown.data.tasks")
    assert "demo_countdown" in {task["name"] for task in tasks["data"]["tasks"]["nodes"]}
    actor.run("Enqueue")
    enqueued = actor.until_shown("shown.data.jobEnqueue")["data"]["jobEnqueue"]
    assert enqueued["userErrors"] == []

    watcher.until_shown("JSON.stringify(shown).includes('JobCompleted')")
    batches = json.loads(watcher.page.evaluate(SHOWN))
    events = [event for batch in reversed(batches) for event in batch["data"]["jobEvents"]["events"]]
    assert {event["jobId"] for event in events} == {enqueued["job"]["id"]}
    kinds = [event["__typename"] for event in events]
    assert kinds[:2] == ["JobEnqueued", "JobStarted"]
    assert kinds[-1] == "JobCompleted"
    percentages = [event["progress"]["percentage"] for event in events if "progress" in event]
    assert percentages[-1] == 100

    assert watcher.complaints + actor.complaints == []
    hosts = {urlsplit(address).netloc for address in watcher.addresses + actor.addresses}
    assert hosts == {urlsplit(product.url).netloc}
    assert any(address.startswith("ws://") for address in watcher.addresses)
    assert any(".worker-" in address for address in watcher.addresses)


def test_without_a_session_it_says_how_to_sign_in(product: Product, context: BrowserContext) -> None:
    window = Window(context)
    window.open(f"{product.url}/graphql")
    expect(window.page.locator(".notice")).to_have_text(
        "You are not signed in: open the sign-in link that ./run prints when it starts, in this browser."
    )
    window.run("Watch")
    assert "You are not signed in" in json.dumps(window.until_shown("shown.errors"))


def test_the_page_has_a_strict_policy(product: Product, context: BrowserContext) -> None:
    response = context.new_page().goto(f"{product.url}/graphql")
    assert response
    readme = (ROOT / "api/dashboard/README.md").read_text(encoding="utf-8")
    assert f"\n{response.headers['content-security-policy']}\n" in readme
