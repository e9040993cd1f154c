"""What a visitor sees first. The server scrapes one service, `shop`, with three errors."""

import unittest

from browser import BrowserTest


class Pages(BrowserTest):
    def test_the_first_page_leads_to_the_errors_of_the_service(self):
        self.open("/")
        self.eventually(lambda: "shop" in self.text(), "the service")
        self.assertEqual(self.browser.find_element("tag name", "html").get_attribute("lang"), "en")

    def test_a_link_of_the_reference_leads_to_the_error(self):
        # As the Backstage plugin opens it.
        self.open("/#/shop/errors/shop.PaymentRefused%401")
        self.eventually(lambda: "payment 12 was refused" in self.text(), "the error's page")

    def test_what_targets_send_is_shown_and_not_obeyed(self):
        self.open("/#/shop/errors/%3Cb%3E%26%22'%2F%C3%A4%20%3F%23%252F")
        self.eventually(lambda: "<b>bold</b>" in self.text(), "the message as text")
        self.assertNotEqual(self.browser.title, "broken")
        self.assertEqual(self.all("img[src='x']"), [])


if __name__ == "__main__":
    unittest.main()
