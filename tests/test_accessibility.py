"""Every page, wide and narrow, in light and dark, under axe-core: nothing to complain of."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from model_training.bundles.bundle import Bundle
from model_training.datasets.folders.review import review, write_review
from tests.browser import (
    FAKE_CAMERA,
    follow,
    needs_chromium,
    start,
    text_of,
    wait_for_heading,
    waiting,
)
from tests.conftest import SHIPPED_DATA, make_site
from tests.live import serving
from tests.studies import make_study
from tests.test_review import opener, picture, put
from webapp.library import load_library


def find_axe() -> Path | None:
    """axe-core's script, which the package of its makers' Playwright binding carries."""
    # The package itself is never imported: it would ask for Playwright.
    package = importlib.util.find_spec("axe_playwright_python")
    folders = package.submodule_search_locations if package else None
    return Path(folders[0]) / "axe.min.js" if folders else None


AXE = find_axe()
pytestmark = [
    pytest.mark.browser,
    needs_chromium,
    pytest.mark.skipif(
        AXE is None and "CI" not in os.environ, reason="axe-core is not installed (make .venv/dev)"
    ),
]
SETTINGS = {"wide and light": (1280, "light"), "narrow and dark": (390, "dark")}
"""Each page twice, in settings that differ in everything."""
PAGES = (
    "/",
    "/?example=3",
    "/?example=3&all=1",
    "/#kept-1",
    "/?photo=chelsea",
    "/?example=nothing",
    "/gallery/",
    "/gallery/?true=cat&low=100&outcome=wrong",
    "/gallery/3",
    "/models/",
    "/models/?show=training&kind=transfer",
    "/models/?data=nothing",
    "/models/tiny",
    "/models/resnet50-224",
    "/models/compare",
    "/studies/",
    "/studies/some",
    "/gallery/?data=garden&true=moss",
    "/models/?data=garden",
    "/dataset/",
    "/dataset/cifar10",
    "/dataset/garden",
    "/dataset/pets",
    "/about",
    "/nowhere",
)
# A grid of a hundred images is twenty times the same five.
RUN = """
const [done] = arguments;
const alike = {exclude: [[".cell:nth-child(n+21)"], [".samples tr:nth-child(n+3)"]]};
axe.run(alike, {resultTypes: ["violations"]}).then((found) => done(
  found.violations.map((one) => `${one.impact} ${one.id}: ${one.nodes.length} times, first `
    + one.nodes[0].html.slice(0, 200))
));
"""


@pytest.fixture(scope="module")
def site_address(
    tiny_bundle: Bundle, garden_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A site with two data sets, a model of each and a reviewed folder, answering here."""
    folder, models = tmp_path_factory.mktemp("accessible"), tmp_path_factory.mktemp("models")
    (folder / "cifar10").symlink_to(SHIPPED_DATA / "cifar10")
    (folder / "garden").symlink_to(garden_home / "data" / "garden")
    for path in (tiny_bundle.path, garden_home / "models" / "sprout"):
        (models / path.name).symlink_to(path)
    put(folder / "pets" / "cat", a_jpg=picture(90, 60), b_jpg=picture(90, 60), c_jpg=b"no")
    put(folder / "pets" / "dog", d_png=picture(30, 60, "PNG", seed=1))
    found = review(folder / "pets", "pets", opener, lambda *_: None)
    write_review(folder / "pets-review.json", found)
    instance = tmp_path_factory.mktemp("instance")
    make_study(instance / "studies", "some", 12)
    app: Flask = make_site(
        instance,
        MODELS_FOLDER=models,
        DATA_FOLDER=folder,
        TESTING=False,
    )
    load_library(app)
    with serving(app) as host:
        yield f"http://{host}"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """One browser for all pages; axe-core is in each before its own scripts."""
    assert AXE is not None, "make .venv/dev installs axe-core"
    driver = start(javascript=True, options=FAKE_CAMERA)
    source = AXE.read_text(encoding="utf-8")
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    yield driver
    driver.quit()


def complaints(driver: webdriver.Chrome, setting: str) -> list[str]:
    width, theme = SETTINGS[setting]
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": theme}]},
    )
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    return [f"{setting}: {one}" for one in driver.execute_async_script(RUN)]


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(path: str, browser: webdriver.Chrome, site_address: str) -> None:
    browser.get(site_address + path)
    assert [one for setting in SETTINGS for one in complaints(browser, setting)] == []


def test_axe_finds_nothing_on_the_way_of_a_photo(
    browser: webdriver.Chrome, site_address: str, tmp_path: Path
) -> None:
    (tmp_path / "good.jpg").write_bytes(picture(90, 60))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    found = []
    for names in (["good.jpg", "bad.jpg"], ["good.jpg"]):
        browser.get(site_address)
        files = "\n".join(str(tmp_path / name) for name in names)
        browser.find_element(By.NAME, "image").send_keys(files)
        waiting(browser).until(lambda d: d.find_element(By.CSS_SELECTOR, ".flag summary")).click()
        found += [one for setting in SETTINGS for one in complaints(browser, setting)]
    Select(browser.find_element(By.NAME, "right")).select_by_value("none-of-these")
    browser.find_element(By.NAME, "consent").click()
    follow(browser, browser.find_element(By.CSS_SELECTOR, ".flag-send"))
    wait_for_heading(browser, "Thank you")
    found += [one for setting in SETTINGS for one in complaints(browser, setting)]
    assert found == []


def test_axe_finds_nothing_on_the_photo_form_in_use(
    browser: webdriver.Chrome, site_address: str, tmp_path: Path
) -> None:
    (tmp_path / "good.jpg").write_bytes(picture(90, 60))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    browser.get(site_address)
    browser.find_element(By.ID, "image").send_keys(str(tmp_path / "bad.jpg"))
    assert text_of(browser, "#problem")
    found = [one for setting in SETTINGS for one in complaints(browser, setting)]
    browser.get(site_address)
    browser.find_element(By.CSS_SELECTOR, ".drop-watch").click()
    waiting(browser).until(lambda d: d.find_element(By.CSS_SELECTOR, ".drop-seen b").text)
    found += [one for setting in SETTINGS for one in complaints(browser, setting)]
    browser.get(site_address)
    browser.find_element(By.ID, "crop-first").click()
    browser.find_element(By.ID, "image").send_keys(str(tmp_path / "good.jpg"))
    assert "Drag over" in text_of(browser, ".drop-status")
    found += [one for setting in SETTINGS for one in complaints(browser, setting)]
    assert found == []


def test_axe_is_really_asked(browser: webdriver.Chrome, site_address: str) -> None:
    browser.get(site_address + "/dataset/")
    browser.execute_script("document.querySelector('h1').style.color = '#ddd'")
    browser.execute_script("document.documentElement.removeAttribute('lang')")
    found = " ".join(complaints(browser, "wide and light"))
    assert "color-contrast" in found and "html-has-lang" in found
