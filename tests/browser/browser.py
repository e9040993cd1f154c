"""A real Chromium for the pages' tests: a fresh profile, no network but loopback.

Every file `test_*.py` here is a unittest module, run by tests/tests/browser.rs with the address of
a server in PERISKOP_URL. By hand:

    PERISKOP_URL=http://127.0.0.1:8080 python -m unittest discover -s tests/browser
"""

import os
import shutil
import signal
import tempfile
import unittest

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

URL = os.environ["PERISKOP_URL"].rstrip("/")
PATIENCE = 30

FLAGS = [
    "--headless=new",
    "--no-sandbox",  # root has no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # containers have little of it
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1280,900",
]


def too_late(*_):
    raise TimeoutError("the browser took too long")


# Before whoever runs this loses patience: a driver whose test is killed leaves its browser behind.
signal.signal(signal.SIGALRM, too_late)
signal.signal(signal.SIGTERM, too_late)
signal.alarm(200)


class BrowserTest(unittest.TestCase):
    """A browser per class, and after each test a look at what the console complained about."""

    javascript = True

    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.mkdtemp(prefix="periskop-browser-")
        cls.addClassCleanup(shutil.rmtree, cls.profile, ignore_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = os.environ["PERISKOP_CHROMIUM"]
        for flag in FLAGS + [f"--user-data-dir={cls.profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if not cls.javascript:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2}
            )
        service = Service(os.environ["PERISKOP_CHROMEDRIVER"])
        cls.browser = webdriver.Chrome(options=options, service=service)
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        self.browser.get_log("browser")  # what earlier tests left

    def tearDown(self):
        severe = [e["message"] for e in self.browser.get_log("browser") if e["level"] == "SEVERE"]
        severe = [message for message in severe if "favicon" not in message]
        self.assertEqual(severe, [], "the console is silent, and no policy was violated")

    def open(self, path="/"):
        self.browser.get(URL + path)

    def text(self):
        return self.browser.find_element(By.TAG_NAME, "body").text

    def find(self, selector):
        return self.eventually(
            lambda: self.browser.find_elements(By.CSS_SELECTOR, selector), selector
        )[0]

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def link(self, text):
        return self.eventually(
            lambda: self.browser.find_elements(By.PARTIAL_LINK_TEXT, text), f"a link {text}"
        )[0]

    def eventually(self, condition, what):
        """Waits for a condition with a deadline, and returns what it found."""
        wait = WebDriverWait(self.browser, PATIENCE, poll_frequency=0.1)
        return wait.until(lambda _: condition(), f"{what} on {self.browser.current_url}")
