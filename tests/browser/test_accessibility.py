"""What axe-core, `PERISKOP_AXE`, finds: on every page, light and dark, with whatever opens open."""

import json
import os
import unittest

from fleet import address
from looks import LooksTest

with open(os.environ["PERISKOP_AXE"], encoding="utf-8") as file:
    AXE = file.read()

RUN = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] })
  .then((found) => done(found.violations), (error) => done(String(error)));
"""


class Accessibility(LooksTest):
    def assert_accessible(self, what):
        self.script(AXE)
        found = self.browser.execute_async_script(RUN)
        self.assertIsInstance(found, list, found)
        serious = [
            {
                "rule": violation["id"],
                "impact": violation["impact"],
                "where": [
                    (node["target"], node["failureSummary"]) for node in violation["nodes"][:4]
                ],
            }
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        if serious:
            self.faults.append((what, serious))

    def setUp(self):
        super().setUp()
        self.faults = []
        self.browser.set_script_timeout(60)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.faults, [], json.dumps(self.faults, indent=1))

    def test_every_page_is_accessible_light_and_dark(self):
        for scheme in ["light", "dark"]:
            self.scheme(scheme)
            for path in self.pages():
                self.open(path)
                self.assert_accessible(f"{path} {scheme}")

    def test_what_opens_is_accessible_too(self):
        for scheme in ["light", "dark"]:
            self.scheme(scheme)
            for path, *openers in [
                ("/", "[data-open=settings]"),
                ("/", "[data-open=keys]"),
                ("/errors", "#sort summary"),
                ("/errors", ".acts .menu summary"),
                (address(self.key), "#mutes summary"),
                (address(self.key), "#more > summary", "#more .forget summary"),
                (address(self.key), ".trace summary", "#raw summary"),
                ("/targets", ".target details summary"),
            ]:
                self.open(path)
                for opener in openers:
                    self.click(opener)
                self.assert_accessible(f"{path} {openers} {scheme}")

    def test_a_narrow_page_a_chosen_row_and_what_was_done_are_accessible(self):
        self.screen(390, 844)
        for path in ["/", "/errors", address(self.key), "/targets"]:
            self.open(path)
            self.assert_accessible(f"{path} narrow")
        self.open("/errors")
        self.press("j")
        self.press("x")
        self.assert_accessible("a chosen row")
        self.open(address("info"))
        self.press("m")
        self.find("#said")
        self.assert_accessible("what was done")


if __name__ == "__main__":
    unittest.main()
