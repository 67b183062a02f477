"""One journey in a real browser against a real server: open, upload a photo, read the answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import Select

from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from tests.browser import follow, needs_chromium, start, text_of, wait_for_heading, waiting
from tests.conftest import DEFAULT_MODEL, SHIPPED_MODELS

pytestmark = [pytest.mark.browser, needs_chromium]

# What a browser does when a file is dropped or pasted; the file is made from its bytes.
HAND_OVER = """
const [kind, ...files] = arguments;
const data = new DataTransfer();
for (const encoded of files) {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  data.items.add(new File([bytes], "photo.jpg", {type: "image/jpeg"}));
}
const event = kind === "drop"
  ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
  : new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def browser(request: pytest.FixtureRequest) -> Iterator[WebDriver]:
    driver = start(javascript=request.param)
    driver.has_scripts = request.param  # type: ignore[attr-defined]
    yield driver
    complaints = [entry["message"] for entry in driver.get_log("browser")]  # type: ignore[no-untyped-call]
    driver.quit()
    assert complaints == [], "the browser's console is silent"


@pytest.fixture(scope="session")
def photo(test_images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A photo of 800x800 pixels with what the network that answers made of it at 32x32."""
    stored = read_bundle(SHIPPED_MODELS / DEFAULT_MODEL).predictions
    # One that is surely answered alike after having been enlarged and compressed.
    number = int(np.argmax(stored.test.max(axis=1)))
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    image = Image.fromarray(test_images.images[number])
    image.resize((800, 800), Image.Resampling.BICUBIC).save(path, quality=92)
    return path, CLASSES[int(stored.test[number].argmax())]


def wait_for_answer(driver: WebDriver) -> str:
    return text_of(driver, ".answer-label").rstrip(".")


def test_open_upload_read(browser: WebDriver, address: str, photo: tuple[Path, str]) -> None:
    path, expected = photo
    browser.get(address)
    assert browser.title == "What is in your photo? · Ten Classes"
    browser.find_element(By.NAME, "image").send_keys(str(path))
    if not browser.has_scripts:  # type: ignore[attr-defined]
        follow(browser, browser.find_element(By.CSS_SELECTOR, "button[type=submit]"))
    assert wait_for_answer(browser).split()[-1] == expected
    bars = browser.find_elements(By.CSS_SELECTOR, ".bars li")
    assert len(bars) == 11, "ten classes, and something else"
    assert bars[0].text.startswith(expected)
    shown = browser.find_element(By.CSS_SELECTOR, ".look-photo img")
    assert shown.get_property("naturalWidth") == 640 and shown.is_displayed()
    views = browser.find_elements(By.CSS_SELECTOR, ".look-saw img")
    assert not views[0].is_displayed()
    browser.find_element(By.CSS_SELECTOR, "[for=look-saw]").click()
    assert views[0].is_displayed() and not shown.is_displayed()
    size = read_bundle(SHIPPED_MODELS / DEFAULT_MODEL).card.input_size
    assert [view.get_property("naturalWidth") for view in views] == [size] * 2

    follow(browser, browser.find_element(By.LINK_TEXT, "Gallery"))
    assert len(browser.find_elements(By.CSS_SELECTOR, ".cell")) == 100
    follow(browser, browser.find_element(By.LINK_TEXT, "Models"))
    follow(browser, browser.find_element(By.LINK_TEXT, "Custom CNN"))
    assert "Confusion matrix" in browser.page_source


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_can_be_dropped_and_pasted(
    kind: str, address: str, photo: tuple[Path, str]
) -> None:
    path, expected = photo
    driver = start(javascript=True)
    try:
        driver.get(address)
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
        driver.execute_script(HAND_OVER, kind, encoded)
        assert wait_for_answer(driver).split()[-1] == expected
    finally:
        driver.quit()


def test_a_photo_is_answered_flagged_and_taken_back(
    browser: WebDriver, address: str, photo: tuple[Path, str]
) -> None:
    path, expected = photo
    browser.get(address)
    if browser.has_scripts:  # type: ignore[attr-defined]
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
        browser.execute_script(HAND_OVER, "drop", encoded)
    else:
        browser.find_element(By.NAME, "image").send_keys(str(path))
        follow(browser, browser.find_element(By.CSS_SELECTOR, ".drop-send"))
    assert wait_for_answer(browser).split()[-1] == expected
    right = next(name for name in CLASSES if name != expected)
    browser.find_element(By.CSS_SELECTOR, ".flag summary").click()
    Select(browser.find_element(By.NAME, "right")).select_by_visible_text(right)
    browser.find_element(By.CSS_SELECTOR, ".flag-send").click()
    # Without consent the browser itself does not send it.
    assert browser.find_elements(By.CSS_SELECTOR, ".answer-label")
    browser.find_element(By.NAME, "consent").click()
    follow(browser, browser.find_element(By.CSS_SELECTOR, ".flag-send"))
    wait_for_heading(browser, "Thank you")
    link = text_of(browser, ".kept-link")
    follow(browser, browser.find_element(By.CSS_SELECTOR, ".kept-link"))
    if not browser.has_scripts:  # type: ignore[attr-defined]
        browser.find_element(By.ID, "code").send_keys(link)
        follow(browser, browser.find_element(By.XPATH, "//button[text()='Show it']"))
    wait_for_heading(browser, "What is kept")
    assert f"shows {'an' if right[0] in 'aeiou' else 'a'} {right}" in browser.page_source.replace(
        "<b>", ""
    )
    follow(browser, browser.find_element(By.XPATH, "//button[text()='Delete it']"))
    wait_for_heading(browser, "Photo deleted")


def test_several_are_dropped_and_back_leads_to_their_answers(
    address: str, photo: tuple[Path, str]
) -> None:
    path, expected = photo
    driver = start(javascript=True)
    try:
        driver.get(address)
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
        driver.execute_script(HAND_OVER, "drop", encoded, encoded)
        waiting(driver).until(lambda d: d.find_element(By.CSS_SELECTOR, ".answers-one"))
        said = [
            h2.text.rstrip(".") for h2 in driver.find_elements(By.CSS_SELECTOR, ".answers-one h2")
        ]
        assert [words.split()[-1] for words in said] == [expected] * 2
        assert driver.title == "2 photos answered · Ten Classes"
        # The page of answers has a form like the first one, that works as well.
        driver.execute_script(HAND_OVER, "drop", encoded)
        assert wait_for_answer(driver).split()[-1] == expected
        driver.back()
        waiting(driver).until(lambda d: d.title == "2 photos answered · Ten Classes")
        assert len(driver.find_elements(By.CSS_SELECTOR, ".answers-one")) == 2
    finally:
        driver.quit()


def test_answers_last_in_their_tab(address: str, photo: tuple[Path, str]) -> None:
    path, expected = photo
    driver = start(javascript=True)

    def shown() -> tuple[str, bool]:
        tally = driver.find_elements(By.CSS_SELECTOR, ".opinions-tally")
        return wait_for_answer(driver).split()[-1], bool(tally)

    def go(move: Callable[[], None], hash: str) -> None:
        move()
        waiting(driver).until(lambda d: d.current_url.endswith(hash))
        # The page that comes in its place is another one.
        waiting(driver).until(
            lambda d: d.execute_script("return document.readyState") == "complete"
        )

    try:
        driver.get(address)
        driver.find_element(By.NAME, "image").send_keys(str(path))
        assert shown() == (expected, False)
        waiting(driver).until(lambda d: d.current_url.endswith("/#kept-1"))
        # Sent by the form itself and not by a script: the page has an address all the same.
        follow(driver, driver.find_element(By.CSS_SELECTOR, "button[name=all]"))
        waiting(driver).until(lambda d: d.current_url.endswith("/#kept-2"))
        assert shown() == (expected, True)

        def shows(asked: bool) -> None:
            waiting(driver).until(lambda _: shown() == (expected, asked))

        for move, hash, asked in (
            (driver.refresh, "#kept-2", True),
            (driver.back, "#kept-1", False),
            (driver.refresh, "#kept-1", False),
            (driver.forward, "#kept-2", True),
        ):
            go(move, hash)
            shows(asked)
        strip = driver.find_elements(By.CSS_SELECTOR, ".kept-strip a")
        assert [link.text.split()[-1] for link in strip] == [expected], "one photo, once"
        driver.execute_script(
            "arguments[0].click()", driver.find_element(By.XPATH, "//button[text()='Forget them']")
        )
        driver.refresh()
        gone = text_of(driver, ".problem")
        assert "no longer here" in gone and "choose the photo again" in gone
    finally:
        driver.quit()


def test_an_upload_on_its_way_shows_how_far_it_is_and_can_be_stopped(
    address: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(19 * 1024 * 1024))
    driver = start(javascript=True)
    try:
        driver.get(address)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", slow | {"uploadThroughput": 1024 * 1024}
        )
        driver.find_element(By.NAME, "image").send_keys(str(path))
        bar = driver.find_element(By.CSS_SELECTOR, ".drop-progress progress")
        waiting(driver).until(lambda _: 0 < float(str(bar.get_property("value"))) < 1)
        driver.find_element(By.CSS_SELECTOR, ".drop-stop").click()
        status = driver.find_element(By.CSS_SELECTOR, ".drop-status")
        assert status.text == "Stopped. Nothing was kept."
        assert not bar.is_displayed()
        assert driver.current_url == f"{address}/"
    finally:
        driver.quit()


def test_a_file_over_the_limit_is_refused_before_it_is_sent(address: str, tmp_path: Path) -> None:
    path = tmp_path / "big.jpg"
    path.write_bytes(bytes(21 * 1024 * 1024))
    driver = start(javascript=True)
    try:
        driver.get(address)
        driver.find_element(By.NAME, "image").send_keys(str(path))
        assert "20 MB is the most" in driver.find_element(By.CSS_SELECTOR, ".drop-status").text
        assert driver.current_url == f"{address}/"
    finally:
        driver.quit()


def test_nothing_is_wider_than_a_phone(address: str) -> None:
    driver = start(javascript=True)
    try:
        phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        for path in (
            "/",
            "/?example=3",
            "/gallery/",
            "/gallery/3",
            "/models/",
            "/models/custom-cnn",
        ):
            driver.get(address + path)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= 360, path
    finally:
        driver.quit()


def test_an_example_answers_without_a_photo(browser: WebDriver, address: str) -> None:
    browser.get(address)
    follow(browser, browser.find_element(By.CSS_SELECTOR, ".photos a"))
    assert wait_for_answer(browser)
    browser.get(address)
    follow(browser, browser.find_element(By.CSS_SELECTOR, ".strip a"))
    assert wait_for_answer(browser)


def test_the_keyboard_reaches_the_photo_field_and_the_examples(
    browser: WebDriver, address: str
) -> None:
    browser.get(address)
    reached = []
    for _ in range(24):
        # Not to the element: keys that are sent to a file field are taken for a path.
        ActionChains(browser).send_keys(Keys.TAB).perform()
        focused = browser.switch_to.active_element
        reached.append(focused.get_attribute("name") or focused.text)
    assert reached[0] == "Skip to the content"
    assert "image" in reached
    assert any("airplane" in str(name) for name in reached)
