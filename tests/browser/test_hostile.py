"""What comes from outside: nothing of it runs, leaves the origin or breaks the layout."""

import unittest
from urllib.parse import quote

from fleet import FleetTest, address

RUN = "window.broken = true; document.title = 'broken'"
MARKUP = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror=\"{RUN}\">",
    f"\"><svg onload=\"{RUN}\"></svg>",
    f"' autofocus onfocus='{RUN}' x='",
    f"</pre></textarea></title></style><script>{RUN}</script>",
    f"<a href=\"javascript:{RUN}\">click</a>",
    "<style>* { display: none !important }</style>",
    "<meta http-equiv=refresh content='0;url=http://elsewhere.example/'>",
    "<form id=main action=http://elsewhere.example/><input name=act><button id=act>",
    "<div hx-get=http://elsewhere.example/ hx-trigger=load hx-on::load=\"window.broken = 1\">",
    "<base href=http://elsewhere.example/><link rel=stylesheet href=http://elsewhere.example/x.css>",
    "{{ 7 * 7 }} {% include 'x' %} ${7*7} <!-- --> ]]> &lt;b&gt; &#60;",
]
RIGHT_TO_LEFT = "\u202eمرحبا\u2066 שלום\u202d"
CONTROLS = "".join(map(chr, range(1, 32))) + "\x7f\x85\u200b\u2028\u2029\ufeff\ufffd"
COMBINING = "Z" + "\u0323\u0300\u0489" * 300
LONG = "x" * 1_000_000
LINES = "line\n" * 200_000
TEXTS = [*MARKUP, RIGHT_TO_LEFT, CONTROLS, COMBINING, LONG, LINES]


class Hostile(FleetTest):
    refresh = "3s"  # there is much to read
    # Services are named by whoever configures them, which is no reason to trust their names.
    services = ["shop", "<img src=x onerror=alert(1)>\u202e" + "w" * 200]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls()
        cls.keys = []
        for number, text in enumerate(TEXTS):
            # The whole of it where a key may be so long; what is too long the server shortens.
            key = text if len(text) < 800 else f"long {number}"
            http = {
                "request_method": text[:2000],
                "request_url": f"javascript:{text}"[:100_000],
                "request_headers": {text[:2000]: text[:100_000], f"X-{number}": text[:100_000]},
                "request_body": text,
            }
            for service in cls.services:
                test.happen(key, service, text, text, stack=[text[:100_000]] * 3, http=http)
            cls.keys.append(key)
        for service in cls.services:
            test.eventually(lambda: test.count(service) == len(TEXTS), f"the errors of {service}")

    def count(self, service):
        return len(self.api("/api/v1/errors?limit=100&service=" + quote(service, safe=""))["errors"])

    def assert_harmless(self, path):
        self.open(path)
        self.assertFalse(self.script("return !!window.broken"), path)
        self.assertNotEqual(self.browser.title, "broken", path)
        self.assertTrue(self.browser.current_url.startswith(self.url), path)
        made = self.script(
            """return [...document.querySelectorAll(
              "main :is(script, img, style, meta, base, link, iframe, object), [onerror], [onload], [onfocus], [style], [hx-on\\\\:\\\\:load], [href^='javascript:' i], [hx-get^=http], [action^=http]"
            )].map((one) => one.outerHTML.slice(0, 200))"""
        )
        self.assertEqual(made, [], path)
        asked = self.script("return performance.getEntriesByType('resource').map((one) => one.name)")
        self.assertEqual([one for one in asked if not one.startswith(self.url)], [], path)
        for width in [390, 1280]:
            self.screen(width)
            self.assert_nothing_sticks_out(f"at {width}")

    def test_lists_are_harmless(self):
        for path in ["/", "/errors?state=all&label=zone", "/targets", "/status", "/help"]:
            self.assert_harmless(path)
        self.open("/errors?state=all")
        self.assertIn(MARKUP[0], self.text("#rows"), "it is shown as the text that it is")

    def test_every_errors_page_is_harmless(self):
        for key in self.keys:
            self.assert_harmless(address(key))
            self.assertTrue(self.find("#act").is_displayed(), "the page can be used")
            self.assertTrue(self.find("#title h1").is_displayed())

    def test_what_is_hostile_is_triaged_like_anything_else(self):
        for key in [MARKUP[3], MARKUP[4], RIGHT_TO_LEFT, CONTROLS]:
            self.open(address(key))
            self.click("#act")
            self.eventually(lambda: "RESOLVED" in self.text("#title"), "the state")
            self.click("#undo")
            self.eventually(lambda: "RESOLVED" not in self.text("#title"), "it is open again")
            self.click("#raw summary")
            self.assertFalse(self.script("return !!window.broken"))

    def test_what_is_searched_for_is_shown_as_text(self):
        self.tolerate_status(400)
        for text in [*MARKUP, RIGHT_TO_LEFT]:
            self.assert_harmless("/errors?q=" + quote(text))
            self.assert_harmless("/errors?service=" + quote(text) + "&label=" + quote(text))

    def test_a_service_that_is_hostile_has_its_pages(self):
        service = self.services[1]
        for key in self.keys[:3]:
            self.assert_harmless(address(key, service))
        self.assert_harmless("/errors?service=" + quote(service, safe=""))


if __name__ == "__main__":
    unittest.main()
