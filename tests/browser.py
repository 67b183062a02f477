"""A real browser for tests: started, led from page to page, and waited for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 30
"""The longest that anything is waited for."""

needs_chromium = pytest.mark.skipif(
    "CI" not in os.environ and not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="Chromium is not installed (Debian: chromium and chromium-driver)",
)
CHROMIUM_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)

FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""Options for a browser that has a camera, and is allowed to use it."""


def start(*, javascript: bool, options: Sequence[str] = ()) -> webdriver.Chrome:
    """Chromium without a window.

    Args:
        options: more of Chromium's switches.
    """
    chosen = webdriver.ChromeOptions()
    for option in (*CHROMIUM_OPTIONS, *options):
        chosen.add_argument(option)
    chosen.binary_location = shutil.which("chromium") or "chromium"
    chosen.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not javascript:
        scripts_off = {"profile.managed_default_content_settings.javascript": 2}
        chosen.add_experimental_option("prefs", scripts_off)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=chosen, service=service)


def waiting(driver: WebDriver) -> WebDriverWait[WebDriver]:
    """Something to wait with, which bears that the page is replaced while it is looked at."""
    changing = (NoSuchElementException, StaleElementReferenceException)
    return WebDriverWait(driver, SECONDS, ignored_exceptions=changing)


def text_of(driver: WebDriver, selector: str) -> str:
    """What the first element that fits `selector` says, once there is one."""
    return str(waiting(driver).until(lambda d: d.find_element(By.CSS_SELECTOR, selector).text))


def wait_for_heading(driver: WebDriver, words: str) -> None:
    """Wait for the page whose heading is `words`."""
    waiting(driver).until(lambda d: d.find_element(By.TAG_NAME, "h1").text == words)


def follow(driver: WebDriver, element: WebElement) -> None:
    """Click `element` and wait until its page has made room for another."""
    element.click()
    waiting(driver).until(lambda _driver: _is_gone(element))


def _is_gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    except WebDriverException as error:
        # What ChromeDriver says in place of "stale" where the page goes while it looks.
        if "does not belong to the document" in (error.msg or ""):
            return True
        raise
    return False
