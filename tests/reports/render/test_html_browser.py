"""HTML in a real browser: sorting and filtering by click and by keyboard, widths, and no complaint on the console."""

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from semibench.reports import compare, page
from semibench.reports.render import html
from semibench.reports.store import Collection

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
ENTER, SPACE = "\ue007", " "
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium and its driver are not installed")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1280,900", "--force-prefers-reduced-motion",
)  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key under which WebDriver hands out elements


class Browser:
    """As much of WebDriver as these tests need."""

    def __init__(self, port: int, profile: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        opened = self.call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.address += f"/session/{opened['sessionId']}"

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, {"Content-Type": "application/json"}, method=verb)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.call("POST", "/execute/sync", {"script": f"return {script}", "args": list(arguments)})

    def element(self, selector: str) -> str:
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        return f"/element/{found}"

    def click(self, selector: str) -> None:
        self.call("POST", f"{self.element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self.call("POST", f"{self.element(selector)}/value", {"text": text})

    def open(self, path: Path) -> None:
        self.call("POST", "/url", {"url": path.as_uri()})

    def emulate(self, command: str, **parameters: Any) -> None:
        self.call("POST", "/goog/cdp/execute", {"cmd": f"Emulation.{command}", "params": parameters})


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    log = tmp_path_factory.mktemp("driver") / "log"
    with subprocess.Popen([DRIVER, "--port=0", f"--log-path={log}"], stdout=subprocess.PIPE, text=True) as driver:
        port = next(
            int(line.rsplit(" ", 1)[1].rstrip(".\n")) for line in driver.stdout if "started successfully on port" in line
        )
        opened = Browser(port, tmp_path_factory.mktemp("profile"))
        yield opened
        opened.call("DELETE", "")
        driver.terminate()


@pytest.fixture
def opened(browser, make_result, tmp_path):
    """The browser on a page of two protocols, the first with a hostile method and one without speed."""
    results = [
        make_result(method="zebra", confusion=((4, 0), (0, 4)), images_per_second=90.0),
        make_result(method="<img src=x onerror=alert(1)>", confusion=((4, 0), (1, 3)), images_per_second=None),
        make_result(method="ape", division="published", images_per_second=100.0),
        make_result(method="ape", protocol="voc-183"),
    ]
    collection = Collection(tuple(results))
    comparison = compare.build(collection, compare.Selection())
    file = tmp_path / "page.html"
    file.write_text(html.render_page(page.build(comparison, {}, "miou", tmp_path)))
    browser.call("POST", "/se/log", {"type": "browser"})
    browser.open(file)
    yield browser
    assert browser.call("POST", "/se/log", {"type": "browser"}) == []  # whatever a test does, the console stays empty


def _methods(browser):
    rows = "#voc-92 table.results tbody tr:not([hidden]) th"
    return browser.run(f"[...document.querySelectorAll('{rows}')].map((cell) => cell.textContent)")


def _heading(number):
    return f"#voc-92 table.results thead th:nth-child({number}) button"


def _sorted(browser):
    found = "[...document.querySelectorAll('#voc-92 [aria-sort]')].map((one) => [one.textContent, one.ariaSort])"
    return browser.run(found)


HOSTILE = "<img src=x onerror=alert(1)>"


def test_a_click_sorts_numbers_by_value_and_a_second_one_turns_them_round(opened):
    speed = "#voc-92 table.results thead th:last-child button"
    opened.click(speed)
    assert _methods(opened) == ["ape", "zebra", HOSTILE]
    assert _sorted(opened) == [["Images/s", "descending"]]
    opened.click(speed)
    assert _methods(opened) == ["zebra", "ape", HOSTILE]  # what has no value stands last
    assert opened.run("document.getElementById('status').textContent") == "Sorted by Images/s, ascending."


@pytest.mark.parametrize("key", [ENTER, SPACE], ids=["enter", "space"])
def test_a_key_sorts_as_a_click_does_and_the_focus_is_seen(opened, key):
    opened.type(_heading(2), key)
    assert _methods(opened) == [HOSTILE, "ape", "zebra"]
    assert _sorted(opened) == [["Method", "ascending"]]
    assert opened.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_rows_are_filtered_by_text_protocol_and_division(opened):
    opened.type("[name=text]", "APE")
    assert _methods(opened) == ["ape"]
    assert opened.run("document.getElementById('count').textContent") == "2 of 4 rows"
    opened.type("[name=division]", "published")
    assert opened.run("document.getElementById('voc-183').hidden") is True
    assert opened.run("document.querySelectorAll('#voc-92 .heat tbody tr:not([hidden])').length") == 1
    opened.click("#filter button")
    time.sleep(0.2)
    assert len(_methods(opened)) == 3
    opened.type("[name=protocol]", "voc-183")
    assert opened.run("document.getElementById('voc-92').hidden") is True


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_is_never_wider_than_the_screen(opened, width):
    opened.emulate("setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
    assert opened.run("document.documentElement.scrollWidth") <= width
    opened.emulate("clearDeviceMetricsOverride")


def test_dark_mode_and_print_have_their_own_colors(opened):
    def paper():
        return opened.run("getComputedStyle(document.body).backgroundColor")

    light = paper()
    opened.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = paper()
    opened.emulate("setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert opened.run("getComputedStyle(document.getElementById('filter')).display") == "none"
    opened.emulate("setEmulatedMedia", media="", features=[])
    assert light == paper() != dark


def test_without_a_script_the_tables_are_whole_and_nothing_is_offered_that_does_nothing(opened, tmp_path):
    opened.emulate("setScriptExecutionDisabled", value=True)
    opened.open(tmp_path / "page.html")
    opened.emulate("setScriptExecutionDisabled", value=False)
    assert len(_methods(opened)) == 3
    assert opened.run("document.querySelectorAll('th button').length") == 0
    assert opened.run("getComputedStyle(document.getElementById('filter')).display") == "none"
