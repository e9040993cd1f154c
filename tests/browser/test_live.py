"""What changes while somebody looks, and nothing moves."""

import unittest

from fleet import FleetTest, address

# Keeps every stream that a page opens, so that a test can see what becomes of it.
WATCH = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); streams.push(this); }
};
window.hidden = [];
document.addEventListener("visibilitychange", () => setTimeout(() => {
  if (document.hidden) hidden.push(streams.filter((stream) => stream.readyState !== 2).length);
}));
"""
OPEN = "return streams.filter((stream) => stream.readyState === 1).length"


class Live(FleetTest):
    services = ["shop", "mail", "other"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})

    def listen(self, path):
        self.open(path)
        self.eventually(lambda: self.script(OPEN) == 1, "a stream of events")

    def where(self):
        """How far the page is scrolled, and where its rows are on the screen."""
        return self.script(
            "return [scrollY, [...document.querySelectorAll('.row')].map((row) => [row.id, row.getBoundingClientRect().y])]"
        )

    def test_new_errors_and_counts_announce_themselves_and_move_nothing(self):
        for n in range(40):
            self.happen(f"mail-{n:02}", service="mail")
        self.counted("mail-39", service="mail")
        self.screen(1280, 600)
        self.listen("/errors?service=mail&sort=first_seen&order=asc")
        self.eventually(lambda: len(self.rows()) == 40, "all of them")
        self.listen("/errors?service=mail")
        self.script("scrollTo(0, 700); document.querySelectorAll('.row')[20].querySelector('input').click()")
        before = self.where()
        self.assertEqual(before[0], 700)

        target = before[1][25][0]
        key = self.script("return document.getElementById(arguments[0]).querySelector('.t').lastChild.textContent", target)
        self.happen(key, service="mail", times=6)
        total = "return document.getElementById(arguments[0]).querySelector('.num b').textContent"
        self.eventually(lambda: self.script(total, target) == "7", "the count, live")
        self.assertEqual(self.where(), before)

        self.happen("mail-new", service="mail")
        more = self.find("#more-rows")
        self.eventually(lambda: "1 new error" in more.text, "what is new announces itself")
        moved = self.where()
        self.assertEqual([row for row, _ in moved[1]], [row for row, _ in before[1]])
        # But for what is less than a pixel.
        self.assertAlmostEqual(moved[1][20][1], before[1][20][1], delta=1, msg="what is read stays")
        self.assertIn("1 new error", self.script("return document.getElementById('announce').textContent"))
        self.assertTrue(self.script("return document.querySelectorAll('.row')[20].querySelector('input').checked"))
        self.script("arguments[0].click()", more)
        self.eventually(lambda: "mail-new" in self.rows(), "it is shown when it is asked for")

    def test_an_error_that_a_colleague_resolves_stays_and_regresses_live(self):
        for n in range(3):
            self.happened(f"other-{n}", service="other")
        self.listen("/errors?service=other&sort=count")
        expected = self.rows()
        before = self.where()
        row = f"//div[@class='row'][.//*[contains(text(), 'other-1')]]"

        def tag():
            return self.browser.find_element("xpath", row).find_element("css selector", ".tag").text

        self.post(address("other-1", "other"), act="resolve")
        self.eventually(lambda: tag() == "RESOLVED", "its new state")
        self.assertEqual(self.rows(), expected)
        self.assertEqual(self.where(), before)
        self.happen("other-1", service="other")
        self.eventually(lambda: tag() == "REGRESSED", "it is back")
        self.assertEqual(self.where(), before)
        self.post(address("other-2", "other"), act="mute")
        self.eventually(lambda: "MUTED" in self.text("#rows"), "the other state")
        self.assertEqual(self.where(), before)

    def test_what_a_colleague_forgets_goes_from_the_screen(self):
        self.happened("secret", message="4111-1111")
        self.happened("kept")
        self.listen("/errors?service=shop&q=-class:gone")
        self.assertIn("4111-1111", self.text())
        before = self.where()
        self.post(address("secret"), act="forget")
        self.eventually(lambda: "4111-1111" not in self.browser.page_source, "its text is gone")
        self.assertEqual([row for row, _ in self.where()[1]], [row for row, _ in before[1]])

    def test_one_error_and_the_overview_follow_what_happens(self):
        self.happened("followed", times=2)
        self.listen(address("followed"))
        self.happen("followed", times=40)
        self.eventually(lambda: "42" in self.text("#stats dd"), "the total, live")
        self.listen("/")
        found = self.text("#totals")
        self.happen("another of them")
        self.eventually(lambda: self.text("#totals") != found, "the overview, live")

    def test_targets_say_when_one_of_them_goes_away(self):
        self.listen("/targets")
        self.eventually(lambda: "6/6" in self.text() or self.text().count("2/2 up") == 3, "all up")
        instance = self.fleet["mail"].pop()
        instance.end()
        self.eventually(lambda: "1/2 up" in self.text(), "one is down")

    def test_hidden_tabs_hold_no_stream_so_that_many_stall_nothing(self):
        self.happened("tabs")
        first = self.browser.current_window_handle
        self.listen("/errors?service=shop")
        for _ in range(7):
            self.browser.switch_to.new_window("tab")
            self.addCleanup(self.close, self.browser.current_window_handle, first)
            self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            self.listen("/errors?service=shop")
        # A browser has six connections for one server: with eight streams this would never come.
        self.happen("in the last tab")
        self.eventually(lambda: "1 new error" in self.text("#more-rows"), "the event")
        for handle in self.browser.window_handles[:-1]:
            self.browser.switch_to.window(handle)
            self.assertEqual(self.script("return hidden"), [0], "streams of a tab that was hidden")
            self.eventually(lambda: self.script(OPEN) == 1, "a stream where somebody looks")

    def close(self, handle, first):
        self.browser.switch_to.window(handle)
        self.browser.close()
        self.browser.switch_to.window(first)


class Stop(FleetTest):
    def test_the_servers_stop_closes_the_streams(self):
        self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        self.open("/errors")
        self.eventually(lambda: self.script(OPEN) == 1, "a stream of events")
        self.assertLess(self.stop(), 5, "nothing waits for a browser to go away")
        self.eventually(lambda: self.script(OPEN) == 0, "the stream has ended")
        # The browser tries again, and says each time that nobody is there.
        self.tolerated.append("net::ERR_")


if __name__ == "__main__":
    unittest.main()
