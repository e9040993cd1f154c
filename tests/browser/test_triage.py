"""What people do about errors: one by one, several at once, by mouse and by keys."""

import unittest

from fleet import FleetTest, address
from selenium.webdriver.common.keys import Keys


class OneError(FleetTest):
    def state(self, word):
        self.eventually(lambda: word in self.text("#title"), word)

    def said(self, text):
        self.eventually(lambda: text in self.text("#said"), text)

    def test_it_is_resolved_regresses_and_keeps_its_history(self):
        self.happened("regresses", message="once")
        self.open(address("regresses"))
        self.click("#more summary")
        self.find("#more [name=why]").send_keys("fixed in 1.2")
        self.click("#more form:has([value=resolve]) button")
        self.state("RESOLVED")
        self.assertIn("resolved by anonymous, “fixed in 1.2”", self.text("#history"))
        self.happen("regresses", message="again")
        self.state("REGRESSED")
        self.eventually(lambda: "came back" in self.text("#history"), "the history, live")
        self.open("/errors?state=regressed")
        self.are(["regresses"])

    def test_it_is_muted_from_the_menu_for_a_while_and_taken_back(self):
        self.happened("muted")
        self.open(address("muted"))
        self.click("#mutes summary")
        self.find("#mutes [name=why]").send_keys("known")
        self.click("#mutes [name=until]")
        self.state("MUTED")
        self.assertIn("“known”", self.text("#history"))
        self.click("#undo")
        self.said("unmuted")
        self.assertNotIn("MUTED", self.text("#title"))

    def test_m_mutes_for_ever_and_unmutes(self):
        self.happened("m")
        self.open(address("m"))
        self.press("m")
        self.state("MUTED")
        self.assertIn("for ever", self.text("#history"))
        self.open("/errors?q=key:m&state=muted")
        self.eventually(lambda: "m" in self.rows(), "it is among the muted")
        self.open(address("m"))
        self.press("m")
        self.eventually(lambda: "MUTED" not in self.text("#title"), "it is open again")

    def test_it_is_forgotten_once_that_was_confirmed_and_its_text_is_nowhere(self):
        secret = "4111-1111-1111-1111"
        http = {"request_method": "GET", "request_url": f"http://shop.example/{secret}"}
        self.happened("forget", message=f"card {secret}", stack=[f"pay({secret})"], http=http)
        self.happened("other")
        self.open(address("forget"))
        self.assertIn(secret, self.text())
        self.click("#more > summary")
        button = self.browser.find_element("css selector", "#more .danger")
        self.assertFalse(button.is_displayed(), "it takes two steps")
        self.click("#more .forget summary")
        button.click()
        self.eventually(lambda: secret not in self.browser.page_source, "the text is gone")
        self.open("/errors?q=4111&state=all")
        self.assertEqual(self.rows(), [])
        self.tolerate_status(404)
        for path in ["/", "/errors?state=all", address("forget"), "/targets"]:
            self.open(path)
            self.assertNotIn(secret, self.find("main").get_attribute("innerHTML"), path)

    def test_the_references_addresses_open_it(self):
        key = "Ünïcode/errors/a b?#%@1"
        self.happened(key)
        encoded = address(key).rsplit("/", 1)[1]
        for written in [encoded, encoded.replace("%40", "@")]:
            self.open("/")
            self.open(f"/#/shop/errors/{written}")
            self.eventually(lambda: self.all("#title"), "its page")
            self.assertIn(key, self.text("#title"))


class SeveralErrors(FleetTest):
    services = ["shop", "mail", "search", "keys"]

    def expect(self, text):
        self.eventually(lambda: text in self.text("#said"), text)

    def test_those_that_are_selected_are_resolved_and_that_can_be_undone(self):
        for n in range(3):
            self.happened(f"shop-{n}", service="shop", times=9 - n)
        self.open("/errors?service=shop&sort=count")
        self.are(["shop-0", "shop-1", "shop-2"])
        for box in self.all(".row input")[:2]:
            box.click()
        self.click("#bulk-act")
        self.are(["shop-2"])
        self.expect("2 errors")
        self.click("#undo")
        self.are(["shop-0", "shop-1", "shop-2"])

    def test_all_that_match_are_muted_however_few_are_on_the_page(self):
        for n in range(60):
            self.happen(f"mail-{n}", service="mail", message="bounced" if n else "queued")
        self.counted("mail-59", service="mail")
        self.open("/errors?service=mail&q=bounced")
        self.assertEqual(len(self.rows()), 50)
        self.click("[name=all]")
        self.click(".acts .menu summary")
        self.click("#bulk-mute")
        self.expect("59 errors")
        self.open("/errors?service=mail")
        self.are(["mail-0"])
        self.open("/errors?service=mail&state=muted")
        self.assertIn("59", self.text("#count"))

    def test_nothing_is_done_to_nothing(self):
        self.happened("search-0", service="search")
        self.open("/errors?service=search")
        self.are(["search-0"])
        self.tolerate_status(400)
        self.click("#bulk-act")
        self.eventually(lambda: "No error is selected" in self.text(), "why")
        self.open("/errors?service=search")
        self.are(["search-0"])

    def test_the_keyboard_is_enough(self):
        for n in range(4):
            self.happened(f"keys-{n}", service="keys", times=9 - n)
        self.open("/errors?service=keys&sort=count")
        self.are(["keys-0", "keys-1", "keys-2", "keys-3"])
        self.press("j")
        self.press("x")
        self.press("j")
        self.press("j")
        self.press("k")
        self.press("x")
        ticked = "return [...document.querySelectorAll('.row')].map((r) => r.querySelector('input').checked)"
        self.assertEqual(self.script(ticked), [True, True, False, False])
        self.press("e")
        self.are(["keys-2", "keys-3"])
        self.press("j")
        self.press("m")
        self.are(["keys-3"])
        self.expect("muted")
        self.press("j")
        self.press(Keys.ENTER)
        self.eventually(lambda: self.all("#title"), "the page of the chosen one")
        self.press("e")
        self.eventually(lambda: "RESOLVED" in self.text("#title"), "resolved")
        self.press("?")
        self.assertTrue(self.find("#keys").is_displayed())
        self.press("e")
        self.press(Keys.ESCAPE)
        self.eventually(lambda: not self.find("#keys").is_displayed(), "the help is closed")
        self.assertIn("RESOLVED", self.text("#title"), "a key within the help does nothing")
        self.press("/")
        self.press("e m j" + Keys.ESCAPE)
        self.assertIn("RESOLVED", self.text("#title"), "what is typed does nothing")


if __name__ == "__main__":
    unittest.main()
