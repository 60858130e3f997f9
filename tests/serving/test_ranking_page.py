"""The page at / in a real browser: a person types a user and candidates, and sees them ranked."""

import itertools
import json
import math
import os
import re
import shutil
import subprocess
import urllib.request

import pytest

from infra.settings.tokens import ApiToken

pytestmark = [pytest.mark.tf, pytest.mark.browser]
SECONDS = 30


class Page:
    """One page of a Chromium, driven by its DevTools protocol as a person would by keyboard.

    faults: what the browser complained of.
    """

    def __init__(self, socket):
        self.socket, self.numbers, self.faults = socket, itertools.count(1), []
        for domain in ("Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=SECONDS))
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.faults.append(message["params"])
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def ask(self, script):
        """The value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def type(self, field, text):
        self.ask(f"document.getElementById({field!r}).select()")
        self.send("Input.insertText", text=text)

    def press_enter(self, field):
        self.ask(f"document.getElementById({field!r}).focus()")
        self.send("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    def said(self):
        return self.ask("document.getElementById('said').textContent")

    def value(self, field):
        return self.ask(f"document.getElementById({field!r})?.value")

    def sees(self, field):
        return bool(self.ask(f"document.getElementById({field!r})?.getClientRects().length"))

    def table(self):
        return self.ask("[...document.querySelectorAll('#ranked tbody tr')].map(r => [...r.cells].map(c => c.innerText))")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """browser(url) -> a Page of it, in a Chromium of its own profile."""
    from websockets.sync.client import connect

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no browser is here, so the page was not tested: install chromium (apt-get install chromium)")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
               f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1200,900", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        address = next(filter(None, (re.search(r"DevTools listening on ws://([^/]+)/", line) for line in process.stderr)))[1]
        opened = []

        def open_page(url):
            new = urllib.request.Request(f"http://{address}/json/new?{url}", method="PUT")
            with urllib.request.urlopen(new, timeout=SECONDS) as answer:
                socket = connect(json.load(answer)["webSocketDebuggerUrl"], open_timeout=SECONDS, max_size=None)
            opened.append(socket)
            return Page(socket)

        yield open_page
        for socket in opened:
            socket.close()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_typed_user_and_candidates_are_shown_ranked_with_titles_maturity_and_gate(
    browser, serve_api, store, wait_until,
):
    import requests

    with serve_api(store) as address:
        page = browser(address)
        wait_until(lambda: page.value("user") == "u0")  # the example of the API
        page.type("user", "u3")
        page.type("candidates", "i30, i2\ni7 i30")
        page.press_enter("user")
        wait_until(lambda: len(page.table()) == 3)
        asked = {"user_id": "u3", "candidates": ["i30", "i2", "i7"]}
        reply = requests.post(f"{address}/v1/rank", json=asked, timeout=10).json()
        for place, (row, item) in enumerate(zip(page.table(), reply["items"], strict=True), 1):
            assert row[0] == str(place)
            assert row[1].splitlines()[:2] == [item["title"], item["item_id"]]
            assert row[2] == f"{item['ctr']:.4f}"
            assert row[3].split() == ["content", f"{item['semantic_weight']:.2f}", "behaviour"]
            assert row[4:7] == [str(item[name]) for name in ("online_days", "exposure_7d", "click_7d")]
            assert row[7] == "-".join(map(str, item["sid"]))
        drawn = page.ask("[...document.querySelectorAll('.gate')].map("
                         "g => g.firstChild.getBoundingClientRect().width / g.getBoundingClientRect().width)")
        assert drawn == pytest.approx([item["semantic_weight"] for item in reply["items"]], abs=0.01)
        maturity = page.ask("[...document.querySelectorAll('.seen')].map("
                            "g => g.firstChild.getBoundingClientRect().width / g.getBoundingClientRect().width)")
        assert maturity == pytest.approx([math.log10(1 + item["exposure_7d"]) / 4 for item in reply["items"]], abs=0.02)
        assert not page.sees("token")
        assert page.said().startswith("tiny 2026010101, codebook cb-2026-01-01")
        assert page.faults == []


def test_title_that_is_markup_is_shown_as_text(browser, serve_api, store, wait_until):
    title = "<img src=x onerror=document.title='owned'><b>Oats</b>"
    store.items["i1"]["title"] = title
    with serve_api(store) as address:
        page = browser(address)
        wait_until(lambda: page.value("user") == "u0")
        page.type("candidates", "i1")
        page.press_enter("user")
        wait_until(lambda: page.table())
        assert page.table()[0][1].splitlines()[0] == title
        assert page.ask("document.title") == "gatesid: ranking"


def test_unknown_items_and_refusals_are_said(browser, serve_api, store, wait_until):
    with serve_api(store, max_in_flight=8) as address:
        page = browser(address)
        wait_until(lambda: page.value("user") == "u0")
        page.type("user", "nobody")
        page.type("candidates", "nothing")
        page.press_enter("user")
        wait_until(lambda: page.table())
        assert "defaults: " in page.table()[0][1]
        assert "item_row:unknown" in page.table()[0][1]
        assert page.table()[0][7] == "none"
        assert "user: user_row:unknown, history_rows:empty" in page.said()
        page.type("candidates", " ".join(f"i{n}" for n in range(1_001)))
        page.press_enter("user")
        wait_until(lambda: "candidates: expected array of length <= 1000" in page.said())
        assert not page.sees("ranked")


def test_token_is_asked_for_where_one_is_configured(browser, serve_api, store, wait_until):
    with serve_api(store, tokens=[ApiToken("s3cret")]) as address:
        page = browser(address)
        wait_until(lambda: page.sees("token"))
        page.type("token", "s3cret")
        page.type("user", "u0")
        page.type("candidates", "i1 i2")
        page.press_enter("token")
        wait_until(lambda: len(page.table()) == 2)
        assert page.sees("ranked")
