"""The pages where a password is asked for. The server scrapes `shop`, as for `test_ui.py`; PERISKOP_URL
has the name and the password of somebody who may triage."""

import re
import unittest

import browser
from browser import BrowserTest

PAYMENT = "/errors/shop/shop.PaymentRefused%401"


class Password(BrowserTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # As if it had been typed when the browser asked; from then on it is remembered.
        cls.browser.get(browser.URL + "/")
        browser.URL = re.sub("//.*@", "//", browser.URL)

    def setUp(self):
        super().setUp()

        def scraped():
            self.open("/errors")
            return len(self.all(".row")) == 3

        self.eventually(scraped, "three errors")

    def test_what_the_page_asks_for_itself_needs_no_further_password(self):
        self.find("#q").send_keys('"PAY.SCALA:12"')
        self.eventually(lambda: len(self.all(".row")) == 1, "the one with that frame")

    def test_what_people_do_is_noted_under_their_name(self):
        self.open(PAYMENT)
        self.click("#act")
        self.eventually(lambda: "RESOLVED" in self.text(), "the state")
        self.assertIn("tim", self.text(".history"))
        self.click("#act")
        self.eventually(lambda: "Resolve" in self.text("#act"), "it is open again")


if __name__ == "__main__":
    unittest.main()
