"""Pictures of every page, with the demo, into the directory PERISKOP_SCREENSHOTS.

Run by scripts/screenshots; no test, but it has the tests' browser."""

import base64
import os
import unittest

from fleet import FleetTest, address

# Enough of everything that a picture shows something.
OCCURRENCES = 150
ERRORS = 9


class Screenshots(FleetTest):
    services = []

    @classmethod
    def setUpClass(cls):
        super(FleetTest, cls).setUpClass()
        cls.start("demo")
        cls.addClassCleanup(cls.stop)

    def picture(self, name, path):
        self.open(path)
        self.script("document.activeElement.blur()")
        # Whatever moves has come to rest, and fonts are there.
        self.browser.execute_async_script("document.fonts.ready.then(arguments[0])")
        picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        file = os.path.join(os.environ["PERISKOP_SCREENSHOTS"], f"{name}.png")
        with open(file, "wb") as out:
            out.write(base64.b64decode(picture["data"]))

    def errors(self, query):
        return self.api(f"/api/v1/errors?{query}")["errors"]

    def act(self, error, **form):
        service, key = error["service"], error["aggregation_key"]
        self.post(address(key, service), **form)

    def test_pages_are_pictured(self):
        self.screen(1280, 760)
        self.browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})

        def lively():
            found = self.errors("sort=count")
            return len(found) >= ERRORS and sum(e["total_count"] for e in found) > OCCURRENCES

        self.eventually(lively, "something to show")
        often, *_, seldom = self.errors("sort=count")
        # One that comes back, and one that nobody wants to see.
        self.act(often, act="resolve", why="fixed in 2.3.1")
        self.act(seldom, act="mute", until="1d", why="known, waits for the vendor")
        self.eventually(lambda: self.errors("state=regressed"), "one that came back")
        self.open("/errors?sort=count")
        shown = self.find(".row a").get_attribute("href").removeprefix(self.url)
        self.scheme("light")
        self.picture("overview", "/")
        self.picture("errors", "/errors")
        self.picture("error", f"{shown}?range=1h")
        self.picture("targets", "/targets")
        self.picture("status", "/status")
        self.picture("help", "/help")
        self.scheme("dark")
        self.picture("errors-dark", "/errors")
        self.scheme("light")
        self.screen(390, 844)
        self.picture("errors-narrow", "/errors")


if __name__ == "__main__":
    unittest.main()
