"""A real Chromium for the pages' tests: a fresh profile, no network but loopback.

Every file `test_*.py` here is a unittest module, run by tests/tests/browser.rs: some with the
address of a server in PERISKOP_URL, those that make errors happen (`fleet.py`) with the program
itself in PERISKOP_SERVER. By hand, in tests/browser:

    PERISKOP_SERVER=…/periskop-server python -m unittest -v test_live.py

with PERISKOP_CHROMIUM and PERISKOP_CHROMEDRIVER as scripts/prepare finds them.
"""

import os
import shutil
import signal
import tempfile
import unittest

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

URL = os.environ.get("PERISKOP_URL", "").rstrip("/")
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
    url = ""  # instead of PERISKOP_URL

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
        self.tolerated = ["favicon"]
        self.browser.get_log("browser")  # what earlier tests left

    def tearDown(self):
        severe = [e["message"] for e in self.browser.get_log("browser") if e["level"] == "SEVERE"]
        severe = [line for line in severe if not any(known in line for known in self.tolerated)]
        self.assertEqual(severe, [], "the console is silent, and no policy was violated")

    def tolerate_status(self, status):
        """Chromium logs an answer of this status as an error, however well the page takes it."""
        self.tolerated.append(
            f"Failed to load resource: the server responded with a status of {status} "
        )

    def open(self, path="/"):
        self.browser.get((self.url or URL) + path)

    # A page that is alive may replace what was found before it is read or clicked: once more, then.

    def text(self, selector="body"):
        return self.eventually(lambda: [self.find(selector).text], selector)[0]

    def click(self, selector):
        self.eventually(lambda: [self.find(selector).click()], selector)

    def follow(self, text):
        self.eventually(lambda: [self.link(text).click()], text)

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

    def script(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def press(self, keys):
        """To whatever has the focus then, as a keyboard does: a list may replace what had it before."""
        ActionChains(self.browser).send_keys(keys).perform()

    def screen(self, width, height=900):
        """Makes the page so wide, and after the test as it was. No window gets as narrow as a phone."""
        override = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", override)
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})

    def scheme(self, name):
        """What the system prefers: `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"features": []})

    def assert_nothing_sticks_out(self, what=""):
        content, room = self.script(
            "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
        )
        self.assertLessEqual(content, room, f"{self.browser.current_url} {what}")

    def eventually(self, condition, what):
        """Waits for a condition with a deadline, and returns what it found."""
        # What is found may be replaced before it is looked at: the page is alive.
        replaced = [StaleElementReferenceException]
        wait = WebDriverWait(self.browser, PATIENCE, 0.1, ignored_exceptions=replaced)
        return wait.until(lambda _: condition(), f"{what} on {self.browser.current_url}")
