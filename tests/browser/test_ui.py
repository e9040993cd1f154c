"""The pages as people use them. The server scrapes one service, `shop`, with three errors:

`shop.PaymentRefused@1` (error, 12 times), a hostile one (warning) and `numbers` (info)."""

import unittest
import urllib.request

from browser import URL, BrowserTest
from selenium.webdriver.common.keys import Keys

PAYMENT = "/errors/shop/shop.PaymentRefused%401"
HOSTILE = "/errors/shop/%3Cb%3E%26%22%27%2F%C3%A4%20%3F%23%252F"


def reopen():
    """Whatever a failed test left, the next one finds three open errors."""
    urllib.request.urlopen(URL + PAYMENT, data=b"act=reopen").close()


class Ui(BrowserTest):
    def setUp(self):
        super().setUp()
        self.open("/errors")
        self.eventually(lambda: len(self.all(".row")) == 3, "three errors")

    def classes(self):
        return [row.text.split("\n")[0] for row in self.all(".row .what")]

    def test_a_filter_narrows_the_list_and_is_in_the_address(self):
        self.follow("warning")
        self.eventually(lambda: len(self.all(".row")) == 1, "one warning")
        self.assertIn("severity=warning", self.browser.current_url)
        self.browser.refresh()
        self.assertEqual(len(self.all(".row")), 1)
        self.follow("warning")
        self.eventually(lambda: len(self.all(".row")) == 3, "all again")

    def test_the_list_is_searched_while_typing(self):
        self.find("#q").send_keys('"PAY.SCALA:12"')
        self.eventually(lambda: len(self.all(".row")) == 1, "the one with that frame")
        self.assertIn("PaymentRefused", self.classes()[0])
        self.eventually(lambda: "PAY.SCALA" in self.browser.current_url, "the search in the address")
        self.find("#q").send_keys(" nowhere")
        self.eventually(lambda: "Nothing matches" in self.text(), "what to do next")

    def test_it_is_sorted_as_asked(self):
        self.click("#sort summary")
        self.follow("count")
        self.eventually(lambda: "sort=count" in self.browser.current_url, "the order")
        self.assertIn("PaymentRefused", self.classes()[0])

    def test_the_keyboard_is_enough(self):
        self.press("j")
        self.eventually(lambda: self.all(".row.chosen"), "a chosen row")
        self.press("j")
        chosen = self.find(".row.chosen a").get_attribute("href")
        self.press(Keys.ENTER)
        self.eventually(lambda: self.browser.current_url == chosen, "its page")
        self.press("/")
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "q")
        self.press(Keys.ESCAPE)
        self.press("?")
        self.assertTrue(self.find("#keys").is_displayed())
        self.press(Keys.ESCAPE)
        self.eventually(lambda: not self.find("#keys").is_displayed(), "the help closed")

    def test_occurrences_are_stepped_through(self):
        self.open(PAYMENT)
        self.assertIn("payment 12 was refused", self.text())
        self.press("j")
        self.eventually(lambda: "payment 11 was refused" in self.text(), "the one before")
        self.assertIn("occurrence=", self.browser.current_url)
        self.press("k")
        self.eventually(lambda: "payment 12 was refused" in self.text(), "the newest again")

    def test_the_request_can_be_sent_again(self):
        self.open(PAYMENT)
        command = self.text("#curl")
        self.assertIn("curl -X POST --url 'http://shop.example/pay?order='\\''1'\\''", command)
        self.assertIn("-H 'X-Request: it'\\''s \"7\"'", command)
        self.click("[data-copy=curl]")
        self.eventually(lambda: self.text("[data-copy=curl]") == "Copied", "the copy")

    def test_an_error_is_resolved_and_reopened_without_leaving_it(self):
        self.addCleanup(reopen)
        self.open(PAYMENT)
        self.browser.execute_script("window.stayed = true")
        self.press("e")
        self.eventually(lambda: "RESOLVED" in self.text(), "the state")
        self.assertIn("resolved", self.text(".history"))
        # Once these were taken out of the answer on their own, and were gone.
        self.assertTrue(self.all("#instances") and self.all("#notice"), "all of the page is there")
        self.assertTrue(self.browser.execute_script("return window.stayed"))
        self.open("/errors")
        self.assertEqual(len(self.all(".row")), 2)
        self.open("/errors?state=resolved")
        self.assertEqual(len(self.all(".row")), 1)
        self.open(PAYMENT)
        self.click("#act")
        self.eventually(lambda: "Resolve" in self.text("#act"), "it is open again")
        self.assertIn("reopened", self.text(".history"))

    def test_the_references_addresses_lead_to_their_errors(self):
        self.open("/#/shop/errors/numbers")
        self.eventually(lambda: "/errors/shop/numbers" in self.browser.current_url, "its page")
        self.open("/#/shop")
        self.eventually(lambda: "service=shop" in self.browser.current_url, "the service")

    def test_what_targets_send_is_text_on_every_page(self):
        for path in ["/", "/errors?state=all", HOSTILE, "/targets", "/status"]:
            self.open(path)
            self.assertNotEqual(self.browser.title, "broken", path)
            self.assertEqual(self.all("main img, main script, main b b, main [onerror]"), [], path)
        self.open(HOSTILE)
        self.assertIn("<script>document.title = 'broken'</script><b>bold</b>", self.text())
        self.assertIn("<img src=x onerror=alert(1)>", self.text())

    def test_times_are_in_the_zone_of_whoever_looks(self):
        self.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
        self.addCleanup(
            self.browser.execute_cdp_cmd, "Emulation.setTimezoneOverride", {"timezoneId": ""}
        )
        self.open(PAYMENT)
        self.assertIn("GMT+9", self.find(".stats time").get_attribute("title"))

    def test_nothing_sticks_out_on_a_narrow_screen(self):
        self.browser.set_window_size(500, 900)
        self.addCleanup(self.browser.set_window_size, 1280, 900)
        for path in ["/", "/errors", PAYMENT, HOSTILE, "/targets", "/status"]:
            self.open(path)
            width = "return [document.documentElement.scrollWidth, innerWidth]"
            content, screen = self.browser.execute_script(width)
            self.assertLessEqual(content, screen, path)


class WithoutJavaScript(BrowserTest):
    javascript = False

    def test_everything_works_without_a_script(self):
        self.addCleanup(reopen)
        self.open("/")
        self.follow("shop")
        self.assertEqual(len(self.all(".row")), 3)
        self.find("#q").send_keys("refused" + Keys.ENTER)
        self.eventually(lambda: len(self.all(".row")) == 1, "what was searched")
        self.assertIn("service=shop", self.browser.current_url, "filters stay")
        self.click(".row a")
        self.follow("older")
        self.assertIn("payment 11 was refused", self.text())
        for act, state in [("Resolve", "Reopen"), ("Reopen", "Resolve")]:
            self.assertIn(act, self.text("#act"))
            self.click("#act")
            self.eventually(lambda: state in self.text("#act"), f"after {act}")
        self.assertEqual([key for key in self.all("kbd") if key.is_displayed()], [])


if __name__ == "__main__":
    unittest.main()
