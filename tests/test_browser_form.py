"""The photo form in a real browser: the photo that coarsens as it is sent, a part that is chosen
first, and the live camera."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser import FAKE_CAMERA, needs_chromium, start, text_of, waiting
from tests.live import serving
from tests.pictures import not_an_image

pytestmark = [pytest.mark.browser, needs_chromium]

SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
FAST = SLOW | {"uploadThroughput": -1}
OFFLINE = SLOW | {"offline": True}
# Notes each number of columns in which the photo is drawn, with the share that was sent by then,
# and at the end how many colours there are at most in one square of the grid.
WATCH_COLUMNS = """
const canvas = document.querySelector(".drop-canvas");
const bar = document.querySelector(".drop-progress progress");
window.levels = [];
new MutationObserver(() => {
  window.levels.push([canvas.dataset.columns, bar.value]);
  if (canvas.dataset.columns !== "32") return;
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  const squares = new Map();
  const side = canvas.width / 32;
  pixels.forEach((colour, place) => {
    const [x, y] = [place % canvas.width, Math.floor(place / canvas.width)];
    const square = `${Math.floor(x / side)} ${Math.floor(y / side)}`;
    squares.set(square, (squares.get(square) ?? new Set()).add(colour));
  });
  window.colours = Math.max(...[...squares.values()].map((found) => found.size));
}).observe(canvas, {attributeFilter: ["data-columns"]});
"""


@pytest.fixture(scope="module")
def site_address(site: Flask) -> Iterator[str]:
    with serving(site) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    driver = start(javascript=True, options=FAKE_CAMERA)
    driver.execute_cdp_cmd("Network.enable", {})
    yield driver
    driver.quit()


@pytest.fixture
def home(browser: webdriver.Chrome, site_address: str) -> Iterator[webdriver.Chrome]:
    """The home page; nothing may be complained of in the console while it is used."""
    network(browser, FAST)
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(site_address)
    yield browser
    network(browser, FAST)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    said = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    # The browser itself notes requests that fail, which is what some tests are about.
    assert [words for words in said if "Failed to load resource" not in words] == []


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 kB: red in its left half, and noise in its right."""
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    pixels[:, :320] = (200, 20, 20)
    path = tmp_path_factory.mktemp("photo") / "half red.png"
    Image.fromarray(pixels).save(path)
    return path


def network(driver: webdriver.Chrome, conditions: dict[str, Any]) -> None:
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


def find(driver: webdriver.Chrome, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)


def wait(driver: webdriver.Chrome, condition: Callable[[webdriver.Chrome], object]) -> None:
    waiting(driver).until(lambda _driver: condition(driver))


def choose(driver: webdriver.Chrome, *paths: Path) -> None:
    # As a press on the field does; ChromeDriver would add to what is chosen.
    driver.execute_script("document.querySelector('#image').value = ''")
    find(driver, "#image").send_keys("\n".join(map(str, paths)))


def columns(driver: webdriver.Chrome) -> str | None:
    return find(driver, ".drop-canvas").get_attribute("data-columns")


def levels_of(driver: webdriver.Chrome, photo: Path) -> list[tuple[str, float]]:
    """Send `photo` slowly; return each number of columns it was drawn in, and the share sent."""
    network(driver, SLOW)
    driver.execute_script(WATCH_COLUMNS)
    choose(driver, photo)
    assert text_of(driver, ".answer-label")
    return list(driver.execute_script("return window.levels"))


def answered_size(driver: webdriver.Chrome) -> list[int]:
    """The width and height that the page of an answer states of the photo."""
    stated = re.search(r"Your photo,\s*<[^>]+>(\d+)×(\d+)<", driver.page_source)
    assert stated
    return [int(side) for side in stated.groups()]


def test_a_photo_shows_at_once_and_coarsens_into_the_grid_as_it_is_sent(
    home: webdriver.Chrome, photo: Path
) -> None:
    levels = levels_of(home, photo)
    assert [columns for columns, _ in levels] == ["all", "256", "128", "64", "32"]
    sent = [share for _, share in levels]
    # On a busy machine the first picture is drawn when some of it has been sent already.
    assert sent == sorted(sent) and sent[0] < 0.5 and sent[-1] == 1, "no coarser than what is sent"
    assert home.execute_script("return window.colours") == 1, "one in each square of the grid"
    assert home.find_elements(By.CSS_SELECTOR, "img[alt='Your photo']")


def test_whoever_wants_less_motion_sees_the_photo_and_then_the_grid(
    home: webdriver.Chrome, photo: Path
) -> None:
    reduced = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    home.execute_cdp_cmd("Emulation.setEmulatedMedia", reduced)
    assert [columns for columns, _ in levels_of(home, photo)] == ["all", "32"]


def test_a_lost_connection_leaves_the_photo_chosen_and_says_what_to_do(
    home: webdriver.Chrome, photo: Path
) -> None:
    network(home, OFFLINE)
    choose(home, photo)
    assert "half red.png did not arrive: the connection was lost." in text_of(home, "#problem")
    assert "still chosen: try again" in text_of(home, ".drop-status")
    assert columns(home) == "all", "the photo is shown whole again"
    assert home.execute_script("return document.querySelector('#image').files[0].name") == (
        "half red.png"
    )
    network(home, FAST)
    find(home, ".drop-send").click()
    assert text_of(home, ".answer-label")


def test_what_the_server_refuses_is_said_beside_the_photo(
    home: webdriver.Chrome, tmp_path: Path, photo: Path
) -> None:
    (tmp_path / "diary.jpg").write_bytes(not_an_image())
    choose(home, tmp_path / "diary.jpg")
    assert "not a picture this site can open" in text_of(home, "#problem")
    assert not find(home, ".drop-send").is_displayed(), "the same file would be refused again"
    # The next photo makes a fresh start.
    choose(home, photo)
    assert text_of(home, ".answer-label")
    assert home.find_elements(By.CSS_SELECTOR, "#problem") == []


def test_a_form_that_was_open_for_too_long_is_sent_again_with_one_press(
    browser: webdriver.Chrome, tiny_site: Callable[..., Flask], photo: Path
) -> None:
    with serving(tiny_site(WTF_CSRF_ENABLED=True)) as host:
        address = f"http://{host}"
        browser.get(address)
        browser.execute_script("document.querySelector('[name=csrf_token]').value = 'old'")
        choose(browser, photo)
        assert "could not be checked" in text_of(browser, "#problem")
        find(browser, ".drop-send").click()
        assert text_of(browser, ".answer-label")


def test_a_part_is_dragged_out_of_the_photo_before_it_is_sent(
    home: webdriver.Chrome, photo: Path
) -> None:
    find(home, "#crop-first").click()
    choose(home, photo)
    assert "Drag over the part" in text_of(home, ".drop-status")
    canvas = find(home, ".drop-canvas")
    width, height = canvas.size["width"], canvas.size["height"]
    # A new part, from the upper left corner to the middle of the lower edge: the red half.
    move = ActionChains(home)
    move.move_to_element_with_offset(canvas, int(-width / 2) + 2, int(-height / 2) + 2)
    move.click_and_hold().move_by_offset(int(width / 2) - 2, height - 4).release().perform()
    find(home, ".drop-send").click()
    assert text_of(home, ".answer-label")
    assert answered_size(home) == pytest.approx([320, 480], abs=8)
    seen = home.execute_script(
        "const canvas = document.createElement('canvas');"
        "const context = canvas.getContext('2d');"
        "context.drawImage(document.querySelector('img[alt^=Your]'), 0, 0, 1, 1);"
        "return [...context.getImageData(0, 0, 1, 1).data];"
    )
    assert seen[:3] == pytest.approx([200, 20, 20], abs=25)


def test_a_part_is_chosen_by_the_keyboard_and_again_after_the_answer(
    home: webdriver.Chrome, photo: Path
) -> None:
    find(home, "#crop-first").click()
    choose(home, photo)
    assert "Arrow keys" in text_of(home, ".drop-status")
    keys = ActionChains(home)
    for _ in range(20):
        keys.send_keys(Keys.ARROW_LEFT)
    for _ in range(40):
        keys.key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT)
    keys.perform()
    assert text_of(home, ".drop-status") == "From 0% to 6% across, 15% to 85% down."
    ActionChains(home).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert text_of(home, ".answer-label")
    assert answered_size(home) == [38, 336]
    find(home, ".told-part").click()
    find(home, ".drop-other").click()
    wait(home, lambda driver: answered_size(driver) == [640, 480])


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_choosing_a_part_can_be_given_up(how: str, home: webdriver.Chrome, photo: Path) -> None:
    def give_up() -> None:
        if how == "button":
            find(home, ".drop-cancel").click()
        else:
            ActionChains(home).send_keys(Keys.ESCAPE).perform()

    find(home, "#crop-first").click()
    choose(home, photo)
    assert "Drag over the part" in text_of(home, ".drop-status")
    give_up()
    assert not find(home, ".drop-canvas").is_displayed()
    assert not find(home, ".drop-cancel").is_displayed()
    find(home, "#crop-first").click()
    choose(home, photo)
    answered = text_of(home, ".answer-label")
    find(home, ".told-part").click()
    wait(home, lambda driver: find(driver, ".drop-cancel").is_displayed())
    give_up()
    # The answer is as it was, and the part can be asked about again.
    assert text_of(home, ".answer-label") == answered
    assert not find(home, ".drop-canvas").is_displayed()
    assert find(home, ".told-part").is_displayed()


def test_the_live_camera_answers_until_it_is_stopped_and_its_picture_can_be_kept(
    home: webdriver.Chrome, site: Flask
) -> None:
    assert home.execute_script("return document.querySelector('video').srcObject") is None
    find(home, ".drop-watch").click()
    assert text_of(home, ".drop-seen b")
    spoken = find(home, ".drop-status").get_attribute("textContent")
    assert spoken and spoken.startswith("The camera sees: ")
    find(home, ".drop-watch").click()
    assert not find(home, ".drop-video").is_displayed()
    assert find(home, ".drop-watch").text == "Live camera"
    find(home, ".drop-watch").click()
    wait(home, lambda driver: find(driver, ".drop-seen b").text)
    find(home, ".drop-send").click()
    assert text_of(home, ".answer-label")


@pytest.mark.parametrize(
    ("verdict", "seen"), [("known", "cat 40%"), ("unsure", "perhaps cat 40%")], ids=str
)
def test_the_live_camera_is_as_sure_as_a_page_would_be(
    verdict: str, seen: str, home: webdriver.Chrome
) -> None:
    answer = {"label": "cat", "known": True, "verdict": verdict}
    answer |= {"familiarity": 0.5, "probabilities": {"cat": 0.8, "dog": 0.2}}
    home.execute_script("const [said] = arguments; fetch = async () => Response.json(said)", answer)
    find(home, ".drop-watch").click()
    wait(home, lambda driver: " ".join(find(driver, ".drop-seen").text.split()) == seen)
    spoken = find(home, ".drop-status").get_attribute("textContent")
    assert spoken == f"The camera sees: {seen.removesuffix(' 40%')}."


def test_a_picture_of_the_camera_can_be_sent_once_there_is_one(home: webdriver.Chrome) -> None:
    home.execute_script("""
        const asked = new Promise((_, reject) => { window.refuse = reject; });
        navigator.mediaDevices.getUserMedia = () => { window.asked = true; return asked; };
    """)
    find(home, ".drop-watch").click()
    wait(home, lambda driver: driver.execute_script("return window.asked"))
    assert not find(home, ".drop-send").is_displayed()
    home.execute_script("document.querySelector('form.drop').requestSubmit()")
    home.execute_script("refuse(new DOMException('no', 'NotAllowedError'))")
    wait(home, lambda driver: "not allowed" in find(driver, ".drop-status").text)
    assert find(home, ".drop-watch").text == "Live camera"


def test_the_camera_stops_when_nobody_looks(home: webdriver.Chrome) -> None:
    find(home, ".drop-watch").click()
    wait(home, lambda driver: find(driver, ".drop-video").is_displayed())
    home.execute_script("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    tab = home.current_window_handle
    home.switch_to.new_window("tab")
    home.close()
    home.switch_to.window(tab)
    wait(home, lambda driver: driver.execute_script("return track.readyState") == "ended")
    assert "out of sight" in text_of(home, ".drop-status")


def test_a_refused_camera_is_explained(site_address: str) -> None:
    driver = start(javascript=True, options=(FAKE_CAMERA[0], "--deny-permission-prompts"))
    try:
        driver.get(site_address)
        find(driver, ".drop-watch").click()
        wait(driver, lambda _driver: "not allowed" in find(driver, ".drop-status").text)
        assert "or choose a photo" in find(driver, ".drop-status").text
        assert not find(driver, ".drop-send").is_displayed()
    finally:
        driver.quit()
