"""The app in a real browser: what a reader sees, in both languages, with a bill dropped on it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENT_MS = 90_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("app"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # playwright's event loop is closed by its own process
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "burstline"), "app", "--port", str(port), "--headless"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address: str) -> Iterator[object]:
    page = browser.new_page(viewport={"width": 1440, "height": 1800})
    page.set_default_timeout(PATIENT_MS)
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    yield page
    page.close()


def test_the_cost_curve_is_drawn_and_nothing_fails(page) -> None:
    assert page.get_by_text("Private nodes to build").is_visible()
    assert page.get_by_text("53 working nodes and 2 spare make 55").is_visible()
    assert page.locator("[data-testid=stException]").count() == 0
    assert len(page.screenshot()) > 50_000


def test_korean_is_one_click_away(page) -> None:
    page.get_by_text("한국어").click()
    page.get_by_text("구축할 사설 노드").wait_for()
    page.get_by_text("손익분기").first.wait_for()
    english = page.get_by_text("Private nodes to build")
    for _ in range(4):  # a click during a run of the page may meet a widget about to go
        page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
        if english.count():
            break
        page.get_by_role("radiogroup", name="언어").get_by_text("English").click()
        page.wait_for_timeout(3000)
    english.wait_for()
    assert page.get_by_text("구축할 사설 노드").count() == 0


def test_a_dropped_bill_is_reconciled_and_planned(page, tmp_path: Path) -> None:
    from simulator.ingest.synthetic.company import Company
    from simulator.ingest.synthetic.files import write_company

    write_company(tmp_path / "sample", Company(seed=1, hours=24 * 30))
    (bill,) = (tmp_path / "sample" / "bill" / "cur2").rglob("*2025-01*/**/*.parquet")
    page.locator("input[type=file]").set_input_files(str(bill))
    page.get_by_text("assumed for the simulation").first.wait_for()
    assert page.locator("[data-testid=stException]").count() == 0
