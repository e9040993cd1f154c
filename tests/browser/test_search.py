"""Finding errors: the query language, filters, orders and pages of the list."""

import unittest
import urllib.parse

from fleet import FleetTest
from selenium.webdriver.common.keys import Keys

PAGE = 50
MANY = 2 * PAGE + 20


class Search(FleetTest):
    services = ["shop", "billing/ledger"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls()
        http = {
            "request_method": "POST",
            "request_url": "http://shop.example/checkout?cart=7",
            "request_headers": {"X-Tenant": "acme"},
            "request_body": "amount=12",
        }
        test.happen("declined", name="CardDeclined", message="Card was declined", http=http, times=7)
        test.happen(
            "timeout",
            name="Timeout",
            message="no answer within 3 s",
            severity="warning",
            stack=["net.Dial (dial.go:77)"],
            zone="us",
            times=3,
        )
        test.happen("cache", name="CacheMiss", message="declined to cache", severity="info")
        test.happen(
            "ledger", service="billing/ledger", name="Unbalanced", message="7 is not 8", times=2
        )
        test.counted("declined", 7)
        test.counted("timeout", 3)
        test.counted("cache")
        test.counted("ledger", 2, "billing/ledger")

    def setUp(self):
        super().setUp()
        self.open("/errors?sort=count")
        self.are(["CardDeclined", "Timeout", "Unbalanced", "CacheMiss"])

    def search(self, query):
        box = self.find("#q")
        box.clear()
        box.send_keys(query)

    def address_says(self):
        query = urllib.parse.urlsplit(self.browser.current_url).query
        return urllib.parse.parse_qs(query).get("q", [""])[0]

    def filter(self, chosen):
        self.find("#facets").find_element("partial link text", chosen).click()

    def test_words_phrases_fields_and_exclusions_find_what_they_mean(self):
        for query, found in [
            ("declined", ["CardDeclined", "CacheMiss"]),
            ('"was declined"', ["CardDeclined"]),
            ("declined -card", ["CacheMiss"]),
            ("DIAL.GO", ["Timeout"]),
            ("class:unbalanced", ["Unbalanced"]),
            ("header.X-Tenant:acme", ["CardDeclined"]),
            ("url:checkout method:post", ["CardDeclined"]),
            ("count:>2 -severity:warning", ["CardDeclined"]),
            ("label.zone:us", ["Timeout"]),
            ("service:billing/ledger OR severity:info", ["Unbalanced", "CacheMiss"]),
            ("/7 is [a-z]+ 8/", ["Unbalanced"]),
        ]:
            with self.subTest(query):
                self.search(query)
                # The address says the same to whoever is sent it.
                self.eventually(lambda: self.address_says() == query, "the search in the address")
                self.are(found)
                self.browser.refresh()
                self.are(found)
                self.assertEqual(self.find("#q").get_attribute("value"), query)

    def test_a_search_that_cannot_be_read_says_where_and_what_was_meant(self):
        self.tolerate_status(400)
        self.search("sevrity:warning")
        self.eventually(lambda: "Did you mean" in self.text("#query-problem"), "a suggestion")
        self.assertEqual(self.text("#query-problem mark"), "sevrity")
        self.assertEqual(len(self.rows()), 4, "the last good list stays")
        self.click("#query-problem a.mono")
        self.are(["Timeout"])
        self.assertEqual(self.all("#query-problem p"), [])
        self.assertEqual(self.find("#q").get_attribute("value"), "severity:warning")

    def test_a_search_that_cannot_be_read_is_a_page_too(self):
        self.tolerate_status(400)
        self.open("/errors?q=%28oops")
        self.assertTrue(self.find("#query-problem mark").is_displayed())
        self.assertIn("cannot be read", self.text("#rows"))

    def test_every_example_of_the_help_can_be_tried(self):
        self.open("/help")
        links = [a.get_attribute("href") for a in self.all(".help dd a")]
        self.assertGreater(len(links), 10)
        for link in links:
            with self.subTest(link):
                self.browser.get(link)
                self.find("#rows")
                self.assertEqual(self.all("#query-problem p"), [])

    def test_facets_narrow_the_list_and_can_be_taken_back(self):
        self.filter("warning")
        self.are(["Timeout"])
        self.filter("warning")
        self.are(["CardDeclined", "Timeout", "Unbalanced", "CacheMiss"])
        self.filter("billing/ledger")
        self.are(["Unbalanced"])
        self.filter("billing/ledger")
        self.filter("zone")
        counts = [a.text.split("\n") for a in self.all("#facets .value")]
        self.assertEqual(dict(counts), {"eu": "3", "us": "1"})
        self.filter("us")
        self.are(["Timeout"])
        self.assertEqual(self.find("#q").get_attribute("value"), 'label.zone:"us"')
        self.filter("Resolved")
        self.eventually(lambda: "Nothing matches" in self.text(), "nothing is resolved")

    def test_filters_and_the_search_go_together(self):
        self.search("declined")
        self.are(["CardDeclined", "CacheMiss"])
        self.filter("info")
        self.are(["CacheMiss"])
        self.assertEqual(self.find("#q").get_attribute("value"), "declined")
        self.search("declined was")
        self.eventually(lambda: "Nothing matches" in self.text(), "the filter stays")

    def test_the_order_can_be_chosen_and_turned_round(self):
        def choose(order):
            self.click("#sort summary")
            self.find("#sort .pop").find_element("partial link text", order).click()

        choose("count")
        self.are(["CacheMiss", "Unbalanced", "Timeout", "CardDeclined"])
        choose("count")
        self.are(["CardDeclined", "Timeout", "Unbalanced", "CacheMiss"])
        choose("first seen")
        self.assertIn("sort=first_seen", self.browser.current_url)
        self.assertEqual(len(self.rows()), 4)

    def test_the_search_box_of_another_page_leads_to_the_list(self):
        self.open("/targets")
        self.press("/")
        self.press("unbalanced" + Keys.ENTER)
        self.are(["Unbalanced"])


class Pages(FleetTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls()
        for n in range(MANY):
            test.happen(f"e{n:03}", times=MANY - n)
        test.counted(f"e{MANY - 1:03}")

    def test_older_errors_are_added_below_without_a_jump(self):
        self.open("/errors?sort=count")
        expected = [f"e{n:03}" for n in range(MANY)]
        self.are(expected[:PAGE])
        for shown in [2 * PAGE, MANY]:
            older = self.find("#older-rows [rel=next]")
            self.script("arguments[0].scrollIntoView()", older)
            before = self.script("return scrollY")
            older.click()
            self.are(expected[:shown])
            self.assertEqual(self.script("return scrollY"), before)
        self.assertEqual(self.all("#older-rows"), [])

    def test_a_page_has_an_address_and_a_way_back(self):
        self.open("/errors?sort=count")
        self.are([f"e{n:03}" for n in range(PAGE)])
        self.browser.get(self.find("#older-rows [rel=next]").get_attribute("href"))
        self.are([f"e{n:03}" for n in range(PAGE, 2 * PAGE)])
        self.follow("first")
        self.are([f"e{n:03}" for n in range(PAGE)])


if __name__ == "__main__":
    unittest.main()
