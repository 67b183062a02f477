"""Pages about results, on phones too: every figure is seen, and letters have one size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from model_training.bundles.bundle import Bundle
from tests.browser import needs_chromium, start
from tests.live import serving
from tests.shelf import make_shelf

pytestmark = [pytest.mark.browser, needs_chromium]

PAGES = (
    "/models/",
    "/models/?show=training",
    "/models/?show=cost",
    "/models/?show=figures&data=cifar10",
    "/models/tiny",
    "/models/plain-3",
    "/models/resnet50-224",
    "/models/compare",
    "/gallery/?outcome=wrong",
    "/gallery/3",
    "/dataset/",
    "/dataset/cifar10",
)
FIGURES_OUT_OF_SIGHT = """
const figures = [...document.querySelectorAll("main td, main th, main dd, main figure li")];
return figures.filter((one) => {
  const box = one.getBoundingClientRect();
  return /[0-9]/.test(one.textContent) && box.width > 0
    && (box.left < -1 || box.right > window.innerWidth + 1
      || one.scrollWidth > one.clientWidth + 1);
}).map((one) => one.textContent.trim());
"""
SIZES_OF_LETTERS = """
return [...document.querySelectorAll("figure text")]
  .map((one) => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a);
"""
LOW_LINKS = """
return [...document.querySelectorAll(".compare thead a, .choice a, .sections a")]
  .filter((one) => one.getBoundingClientRect().height < 43)
  .map((one) => one.textContent.trim());
"""


@pytest.fixture(scope="module")
def address(
    tiny_bundle: Bundle, garden_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A site with thirty models, answering here."""
    app = make_shelf(tiny_bundle, garden_home, tmp_path_factory.mktemp("phone"))
    with serving(app) as host:
        yield f"http://{host}"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    driver = start(javascript=True)
    yield driver
    driver.quit()


def open_page(browser: webdriver.Chrome, address: str, width: int) -> None:
    screen = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(address)


@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("path", PAGES)
def test_every_figure_is_seen(
    path: str, width: int, browser: webdriver.Chrome, address: str
) -> None:
    open_page(browser, address + path, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(FIGURES_OUT_OF_SIGHT) == []
    assert set(browser.execute_script(SIZES_OF_LETTERS)) <= {12}
    assert browser.execute_script(LOW_LINKS) == []


def test_a_report_keeps_its_sections_in_sight_and_its_layers_folded(
    browser: webdriver.Chrome, address: str
) -> None:
    open_page(browser, address + "/models/tiny", 390)
    table = browser.find_element(By.CSS_SELECTOR, "#layers ~ details table")
    assert not table.is_displayed()
    browser.get(address + "/models/tiny#layers")
    strip = browser.find_element(By.CSS_SELECTOR, ".sections")
    heading = browser.find_element(By.ID, "layers")
    top, below = (
        browser.execute_script("return arguments[0].getBoundingClientRect().top", one)
        for one in (strip, heading)
    )
    assert top == 0, "the strip stays"
    assert strip.size["height"] <= below < 300, "and does not hide the heading"
    browser.find_element(By.CSS_SELECTOR, "#layers ~ details summary").click()
    assert browser.find_element(By.CSS_SELECTOR, "#layers ~ details table").is_displayed()
