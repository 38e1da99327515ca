"""The page in a real browser: it answers to pointer and keyboard, and asks the network nothing."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from caffe_transfer import paths
from caffe_transfer.report.contents import Report
from caffe_transfer.report.page.curves import Curves
from caffe_transfer.report.page.data import Published, Run
from caffe_transfer.report.page.render import render
from caffe_transfer.report.results import Row, collect
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from tests.test_results import log, network

SCORES = {
    "half0A": 0.55,
    "half0B": 0.5,
    "transfer0A0B_1_1": 0.48,
    "transfer0A0B_1_2": 0.45,
    "transfer-ft0A0B_1_2": 0.6,
    "transfer-ft0B0B_1_2": 0.65,
    "nolearn_1_1": 0.3,
    "netbase": 0.4,
}
LIMIT = 2_000_000  # bytes of a page


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromium-driver here; as root `make browser` installs them")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def logged(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """What was logged since the last call."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


@pytest.fixture(autouse=True)
def quiet(browser: webdriver.Chrome) -> Iterator[None]:
    """After each test: nothing on the console, and no request but for the page's own file."""
    logged(browser, "performance")
    yield
    assert logged(browser, "browser") == []
    messages = [json.loads(each["message"])["message"] for each in logged(browser, "performance")]
    asked = [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "about"}
    assert len({url for url in asked if url.startswith("file:")}) == 1


def read_run(folder: Path, shift: float = 0.0) -> Run:
    """A run whose networks were restarted once, and whose figures the page draws itself."""
    for name, score in SCORES.items():
        path = network(folder, name, log([3, 2], [score + shift - 0.1, score + shift]))
        (path / "restarted.log").write_text(log([2.5, 1.5], [score + shift]))
    curves = Curves()
    rows = collect(folder, on_logs=curves.add).rows
    made = Report.of(paths.ReportFolder(folder), rows, ("figure2", "figure3"))
    return Run(folder.name, made, curves.tries)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run's page against published results, and the page of two runs."""
    root = tmp_path_factory.mktemp("pages")
    first, second = read_run(root / "first"), read_run(root / "second", 0.02)
    published = Published(second.report.rows, second.tries)
    written = {"one": render([first], published), "both": render([first, second])}
    for name, text in written.items():
        (root / f"{name}.html").write_text(text)
    return {name: root / f"{name}.html" for name in written}


def show(
    browser: webdriver.Chrome, page: Path, width: int = 1280, theme: str = "light"
) -> dict[str, Any]:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    theme_is = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme_is]})
    browser.get(page.as_uri())
    found: dict[str, Any] = browser.execute_script(
        "return {wide: document.documentElement.scrollWidth,"
        " color: getComputedStyle(document.body).backgroundColor}"
    )
    return found


def mark(browser: webdriver.Chrome, name: str) -> WebElement:
    """A chart's mark by the start of its label."""
    return browser.find_element(By.CSS_SELECTOR, f".mark[aria-label^='{name},']")


def tip(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.ID, "tip").text


def title(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.ID, "curves-title").text


def shown(browser: webdriver.Chrome) -> list[str]:
    """The names in the table of networks, from above."""
    rows = browser.find_elements(By.CSS_SELECTOR, "#networks tbody tr:not([hidden])")
    return [str(row.get_attribute("data-name")) for row in rows]


def test_the_pointer_finds_a_network_and_its_curves(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages["one"])
    at = mark(browser, "A2B · transfer0A0B_1_2")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", at)
    ActionChains(browser).move_to_element_with_offset(at, 6, 6).perform()  # near is enough
    assert tip(browser).splitlines()[:2] == ["A2B · transfer0A0B_1_2", "transfer AnB, n = 2"]
    assert tip(browser).endswith("45.00 %")
    ActionChains(browser).click().perform()
    assert title(browser) == "A2B · transfer0A0B_1_2"
    assert tip(browser) == ""
    charts = browser.find_elements(By.CSS_SELECTOR, "#curves .charts svg")
    assert len(charts) == 2
    # Each try of the network, and of the published one.
    key = [each.text for each in legend(browser)]
    assert len(key) == 4
    assert [text.startswith("published") for text in key] == [False, False, True, True]
    lines = browser.find_elements(By.CSS_SELECTOR, "#curves .charts svg [aria-label=line] path")
    assert len(lines) == 2 * 4  # accuracy and training loss


def test_the_keyboard_goes_from_mark_to_mark(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages["one"])
    chart = browser.find_element(By.CSS_SELECTOR, ".panel svg")
    assert len(chart.find_elements(By.CSS_SELECTOR, ".mark[tabindex='0']")) == 1
    chart.find_element(By.CSS_SELECTOR, ".mark[tabindex='0']").send_keys(Keys.END)
    last = browser.switch_to.active_element
    assert "n = 2" in str(last.get_attribute("aria-label"))
    last.send_keys(Keys.HOME)
    first = browser.switch_to.active_element
    assert "half0B" in tip(browser)
    first.send_keys(Keys.ARROW_UP)
    assert browser.switch_to.active_element != first
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    before = tip(browser).splitlines()[0]
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert title(browser) == before
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "curves").is_displayed()
    assert "mark" in str(browser.switch_to.active_element.get_attribute("class"))


def legend(browser: webdriver.Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#curves .legend span")


def open_curves(browser: webdriver.Chrome) -> tuple[WebElement, WebElement]:
    """The charts of accuracy and loss, once they have the width that scroll bars leave."""
    mark(browser, "A2B · transfer0A0B_1_2").send_keys(Keys.ENTER)
    frames = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
    browser.execute_async_script(frames)
    accuracy, loss = browser.find_elements(By.CSS_SELECTOR, "#curves .charts svg")
    return accuracy, loss


def said(chart: WebElement) -> list[str]:
    """The lines about a chart's point, if one is shown."""
    return chart.find_element(By.XPATH, "following-sibling::*").text.splitlines()


def test_curves_answer_to_the_keyboard(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["one"])
    accuracy, loss = open_curves(browser)
    assert said(accuracy) == []

    def press(key: str) -> list[str]:
        ActionChains(browser).send_keys(key).perform()
        return said(accuracy)

    first = press(Keys.TAB)
    assert browser.switch_to.active_element == accuracy
    assert accuracy.value_of_css_property("outline-style") == "solid"
    assert first[1:] == ["validation accuracy 35.00 %", "iteration 0"]
    assert press(Keys.ARROW_LEFT) == first  # there is none before
    second = press(Keys.ARROW_RIGHT)
    assert second[1:] == ["validation accuracy 45.00 %", "iteration 20"]
    assert accuracy.get_attribute("aria-valuetext") == ", ".join(second)
    assert press(Keys.HOME) == first
    assert press(Keys.END) == second
    # Up to the highest of the curves, and down to the lowest, past each.
    for key in (Keys.ARROW_UP, Keys.ARROW_DOWN):
        labels = [said(accuracy)[0], *(press(key)[0] for _ in range(4))]
    assert set(labels) == {each.text for each in legend(browser)}
    press(Keys.TAB)
    assert browser.switch_to.active_element == loss
    assert said(accuracy) == []
    assert said(loss)[1:] == ["training loss 3.000", "iteration 0"]
    press(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "curves").is_displayed()
    assert browser.switch_to.active_element == mark(browser, "A2B · transfer0A0B_1_2")


def test_the_pointer_finds_points_of_curves(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages["one"])
    accuracy, _ = open_curves(browser)
    line = accuracy.find_element(By.CSS_SELECTOR, "[aria-label=line] path")  # rises to the right
    across, down = line.size["width"] // 2, line.size["height"] // 2
    for offset, lines in (
        ((-across, down), ["validation accuracy 35.00 %", "iteration 0"]),
        ((across, -down), ["validation accuracy 45.00 %", "iteration 20"]),
        ((0, 0), []),
    ):
        ActionChains(browser).move_to_element_with_offset(line, *offset).perform()
        assert said(accuracy)[1:] == lines


def test_the_legend_hides_and_shows(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["one"])
    (button,) = (
        each
        for each in browser.find_elements(By.CSS_SELECTOR, ".chart .legend button")
        if each.text == "transfer AnB⁺"
    )
    for pressed in ("false", "true"):
        button.click()
        assert button.get_attribute("aria-pressed") == pressed
        there = browser.find_elements(By.CSS_SELECTOR, ".mark[aria-label^='A2B⁺']")
        assert bool(there) is (pressed == "true")


def test_intervals_can_be_hidden(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rows = [
        Row(Network.parse(name), 20, top1=score, valid_images=500) for name, score in SCORES.items()
    ]
    made = Report.of(paths.ReportFolder(tmp_path), rows, ("figure2",))
    selector = ".panel .interval line"
    for bare in (False, True):
        made.folder.page.write_text(render([Run("", made)], bare=bare))
        show(browser, made.folder.page)
        (button,) = (
            each
            for each in browser.find_elements(By.CSS_SELECTOR, ".legend button")
            if each.text == "95 % intervals"
        )
        for shown_now in (not bare, bare):
            assert button.get_attribute("aria-pressed") == str(shown_now).lower()
            assert bool(browser.find_elements(By.CSS_SELECTOR, selector)) is shown_now
            button.click()


def test_the_table_sorts_and_filters(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["one"])
    heads = browser.find_elements(By.CSS_SELECTOR, "#networks th")
    (top1,) = (head for head in heads if head.text.startswith("top-1"))
    order = sorted(SCORES, key=SCORES.__getitem__)
    for expected, direction in ((order, "ascending"), (order[::-1], "descending")):
        top1.find_element(By.TAG_NAME, "button").click()
        assert top1.get_attribute("aria-sort") == direction
        assert shown(browser) == expected
    browser.find_element(By.NAME, "text").send_keys("0B_1")
    assert sorted(shown(browser)) == sorted(name for name in SCORES if "0B_1" in name)
    Select(browser.find_element(By.NAME, "kind")).select_by_visible_text("transfer")
    assert sorted(shown(browser)) == ["transfer0A0B_1_1", "transfer0A0B_1_2"]
    Select(browser.find_element(By.NAME, "n")).select_by_visible_text("2")
    assert shown(browser) == ["transfer0A0B_1_2"]
    assert browser.find_element(By.ID, "shown").text == f"1 of {len(SCORES)}"
    browser.find_element(By.CSS_SELECTOR, "#networks tbody tr:not([hidden]) td button").click()
    assert title(browser) == "transfer0A0B_1_2"


def test_several_runs_stand_side_by_side(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["both"])
    panels = browser.find_elements(By.CSS_SELECTOR, ".chart .panel")
    heads = [panel.find_element(By.TAG_NAME, "h4").text for panel in panels]
    assert heads[:2] == ["first: Every network", "second: Every network"]
    assert panels[0].location["y"] == panels[1].location["y"]
    ticks = (
        "return [...arguments[0].querySelectorAll('[aria-label=\"y-axis tick label\"] text')]"
        ".map((tick) => tick.textContent)"
    )
    left, right = (browser.execute_script(ticks, panel) for panel in panels[:2])
    assert left
    assert left == right
    Select(browser.find_element(By.NAME, "run")).select_by_visible_text("second")
    assert sorted(shown(browser)) == sorted(SCORES)


@pytest.mark.parametrize("width", [1280, 390])
def test_light_and_dark_wide_and_narrow(
    browser: webdriver.Chrome, pages: dict[str, Path], width: int
) -> None:
    light, dark = (show(browser, pages["both"], width, theme) for theme in ("light", "dark"))
    assert light["color"] != dark["color"]
    assert max(light["wide"], dark["wide"]) <= width  # nothing to scroll sideways
    browser.find_element(By.ID, "theme").click()
    color = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    assert color.replace("a(", "(").replace(", 1)", ")") == light["color"]


def test_paper_is_light_and_without_controls(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    light = show(browser, pages["one"])["color"]
    show(browser, pages["one"], width=794, theme="dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    color = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(color) == light
    assert not browser.find_element(By.ID, "filters").is_displayed()
    assert not browser.find_element(By.ID, "theme").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, ".mark").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_170_networks_with_their_curves_stay_small(
    browser: webdriver.Chrome, authors: Path, tmp_path: Path
) -> None:
    """The paper's networks, each with the results and curves of a network of the authors."""
    curves = Curves()
    given = collect(authors, on_logs=curves.add).rows
    names = [each.name for each in load_study("paper").networks]
    assert len(names) == 170
    rows = [
        replace(given[number % len(given)], network=Network.parse(name))
        for number, name in enumerate(names)
    ]
    tries = {
        row.network.name: curves.tries[given[number % len(given)].network.name]
        for number, row in enumerate(rows)
    }
    made = Report.of(paths.ReportFolder(tmp_path), rows, ("figure2", "figure3"))
    made.folder.page.write_text(render([Run("", made, tries)]))
    assert LIMIT / 2 < made.folder.page.stat().st_size < LIMIT
    show(browser, made.folder.page)
    assert len(shown(browser)) == 170
    assert len(browser.find_elements(By.CSS_SELECTOR, ".panel")) == 5
