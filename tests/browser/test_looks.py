"""Light and dark, wide and narrow."""

import unittest

from fleet import address
from looks import LooksTest


class Looks(LooksTest):
    def background(self):
        colour = self.script("return getComputedStyle(document.documentElement).backgroundColor")
        return sum(int(part) for part in colour.strip("rgb()").split(","))

    def is_dark(self):
        return self.background() < 150

    def test_pages_are_dark_where_the_system_is(self):
        for scheme in ["light", "dark"]:
            self.scheme(scheme)
            for path in ["/", "/errors", address(self.key)]:
                self.open(path)
                self.assertEqual(self.is_dark(), scheme == "dark", path)

    def test_whoever_looks_can_choose_and_it_is_kept(self):
        self.scheme("light")
        self.addCleanup(self.script, "localStorage.clear()")
        self.open("/")
        self.click("[data-open=settings]")
        self.click("#settings [value=dark]")
        self.assertTrue(self.is_dark())
        self.open("/errors")
        self.assertTrue(self.is_dark(), "on the next page, too")
        self.click("[data-open=settings]")
        self.click("#settings [value=absolute]")
        self.click("#settings [value=UTC]")
        self.click("#settings .btn")
        self.assertRegex(self.text(".row .seen time"), r"\d\d:\d\d")
        self.open(address(self.key))
        self.assertIn("UTC", self.find(".stats time").get_attribute("title"))

    def test_nothing_sticks_out_at_any_width(self):
        for path in self.pages():
            self.open(path)
            for width in [390, 700, 1000, 1280]:
                self.screen(width)
                self.assert_nothing_sticks_out(f"at {width}")

    def test_menus_and_dialogs_stay_on_a_narrow_screen(self):
        self.screen(390, 844)
        box = (
            "const box = arguments[0].getBoundingClientRect();"
            "return box.left >= 0 && box.right <= document.documentElement.clientWidth"
        )
        for path, opener, popped in [
            ("/errors", "#sort summary", "#sort .pop"),
            ("/errors", ".acts .menu summary", ".acts .pop"),
            ("/errors", "[data-open=settings]", "#settings"),
            ("/errors", "[data-open=keys]", "#keys"),
            (address(self.key), "#mutes summary", "#mutes .pop"),
            (address(self.key), "#more summary", "#more .pop"),
        ]:
            self.open(path)
            self.click(opener)
            shown = self.find(popped)
            self.eventually(shown.is_displayed, popped)
            self.assertTrue(self.script(box, shown), popped)
            self.assert_nothing_sticks_out(popped)

    def test_every_page_can_be_reached_from_a_phone(self):
        self.screen(390, 844)
        for name, title in [("Errors", "Errors"), ("Targets", "Targets"), ("Status", "Status"), ("Overview", "Overview")]:
            self.find("header nav").find_element("link text", name).click()
            self.eventually(lambda: self.browser.title.startswith(title), title)
        self.find("header [type=search]").send_keys("warn")
        self.find("header form").submit()
        self.eventually(lambda: len(self.all(".row")) == 1, "the search")
        self.assertTrue(self.find("#facets #state-open").is_displayed())


if __name__ == "__main__":
    unittest.main()
