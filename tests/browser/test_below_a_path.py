"""The pages below a path, as behind a proxy."""

import unittest

from fleet import FleetTest, address
from test_live import OPEN, WATCH


class BelowAPath(FleetTest):
    path = "/tools/periskop"

    def test_links_forms_and_the_stream_stay_below_it(self):
        self.happened("below", times=2)
        self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        self.open("/")
        self.follow("shop")
        self.eventually(lambda: "below" in self.rows(), "its errors")
        self.eventually(lambda: self.script(OPEN) == 1, "a stream of events")
        self.happen("live")
        self.eventually(lambda: "1 new error" in self.text("#more-rows"), "the event")
        self.find("#q").send_keys("class:below")
        self.are(["below"])
        self.click(".row input")
        self.click("#bulk-act")
        self.click("#undo")
        self.eventually(lambda: self.all(".row"), "it is open again")
        self.follow("below")
        self.click("#act")
        self.eventually(lambda: "RESOLVED" in self.text("#title"), "the state")
        self.assertTrue(self.browser.current_url.startswith(self.url + address("below")))

    def test_every_address_on_every_page_is_below_it(self):
        self.happened("linked")
        for path in ["/", "/errors", address("linked"), "/targets", "/status", "/help"]:
            self.open(path)
            found = self.script(
                """const addresses = [];
                for (const name of ["href", "src", "action", "hx-get", "hx-post"])
                  for (const one of document.querySelectorAll(`[${name}]`))
                    addresses.push(new URL(one.getAttribute(name), location).href);
                return [...addresses, ...performance.getEntriesByType("resource").map((r) => r.name)]"""
            )
            self.assertGreater(len(found), 10)
            outside = [one for one in found if not one.startswith(self.url)]
            self.assertEqual(outside, [], path)

    def test_the_references_addresses_lead_to_their_errors(self):
        self.happened("hash")
        self.open("/#/shop/errors/hash")
        self.eventually(lambda: self.all("#title"), "its page")
        self.assertTrue(self.browser.current_url.startswith(self.url + "/"))


if __name__ == "__main__":
    unittest.main()
