"""The pages where JavaScript is off: everything but live updates works."""

import unittest
from string import ascii_uppercase

from fleet import FleetTest, address
from selenium.webdriver.common.keys import Keys


class WithoutScripts(FleetTest):
    javascript = False
    services = ["shop", "many"]

    def titles(self):
        """The names of the rows, without the word of their state."""
        return [t.text.lstrip(ascii_uppercase) for t in self.all(".row .t")]

    def are(self, expected):
        self.eventually(lambda: self.titles() == expected, f"{expected}")

    def shows(self, text, where="main"):
        self.eventually(lambda: text in self.find(where).text, text)

    def test_errors_are_searched_filtered_and_opened(self):
        self.happened("found", message="a needle", severity="warning", times=5)
        self.happened("other", message="hay")
        self.open("/")
        self.follow("shop")
        self.find("#q").send_keys("needle" + Keys.ENTER)
        self.are(["found"])
        self.follow("warning")
        self.eventually(lambda: "severity=warning" in self.browser.current_url, "the filter")
        self.are(["found"])
        self.follow("info")
        self.shows("Nothing matches")
        self.follow("Clear all filters")
        self.click("#sort summary")
        self.find("#sort .pop").find_element("partial link text", "count").click()
        self.eventually(lambda: self.titles()[:1] == ["found"], "the oftenest first")
        self.follow("found")
        self.shows("a needle", "#title")
        self.follow("older")
        self.eventually(lambda: "occurrence=" in self.browser.current_url, "the one before")

    def test_a_search_that_cannot_be_read_says_so(self):
        self.tolerate_status(400)
        self.open("/errors")
        self.find("#q").send_keys("sevrity:warning" + Keys.ENTER)
        self.follow("severity:warning")
        self.eventually(lambda: not self.all("#query-problem p"), "a search that can be read")

    def test_pages_are_turned(self):
        for n in range(60):
            self.happen(f"many-{n:02}", service="many", times=60 - n)
        self.counted("many-59", service="many")
        self.open("/errors?service=many&sort=count")
        self.assertEqual(len(self.titles()), 50)
        self.follow("older")
        self.are([f"many-{n}" for n in range(50, 60)])
        self.follow("first")
        self.eventually(lambda: self.titles()[:1] == ["many-00"], "the first page")

    def test_an_error_is_resolved_muted_and_forgotten(self):
        self.happened("triaged", message="a secret")
        self.open(address("triaged"))
        self.click("#act")
        self.shows("RESOLVED", "#title")
        self.click("#undo")
        self.eventually(lambda: "RESOLVED" not in self.text("#title"), "it is open again")
        self.click("#mutes summary")
        self.click("#mutes [name=until]")
        self.shows("MUTED", "#title")
        self.click("#mute")
        self.eventually(lambda: "MUTED" not in self.text("#title"), "it is open again")
        self.click("#more > summary")
        self.click("#more .forget summary")
        self.tolerate_status(404)
        self.click("#more .danger")
        self.eventually(lambda: "a secret" not in self.browser.page_source, "the text is gone")
        self.open("/errors?state=all&q=secret")
        self.shows("Nothing matches")

    def test_several_are_selected_and_resolved(self):
        for n in range(3):
            self.happened(f"bulk-{n}", times=9 - n)
        self.open("/errors?q=bulk&sort=count")
        for box in self.all(".row input")[:2]:
            box.click()
        self.click("#bulk-act")
        self.are(["bulk-2"])
        self.click("#undo")
        self.eventually(lambda: len(self.titles()) == 3, "all are open again")
        self.click("[name=all]")
        self.click(".acts .menu summary")
        self.click("#bulk-mute")
        self.are([])

    def test_nothing_is_offered_that_would_do_nothing(self):
        self.open("/status")
        dead = self.all("kbd, [data-copy], button[data-open], [data-reload]")
        self.assertEqual([one for one in dead if one.is_displayed()], [])
        self.click("a[data-open=keys]")
        self.shows("How to search")


if __name__ == "__main__":
    unittest.main()
