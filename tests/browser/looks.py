"""A fleet with something on every page, for tests of how pages look and speak."""

from fleet import FleetTest, address


class LooksTest(FleetTest):
    services = ["shop", "a service with a rather long name/and a slash"]
    key = "pay/declined@1"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls()
        http = {
            "request_method": "POST",
            "request_url": "http://shop.example/checkout?cart=7&" + "long=parameter&" * 20,
            "request_headers": {"X-Tenant": "acme", "X-Long": "v" * 300},
            "request_body": '{"price": "12"}' * 20,
        }
        stack = ["shop.Pay.charge(Pay.scala:12)", *["java.lang.Thread.run(Thread.java:1)"] * 5]
        long = "com.example." + "very.long.package." * 8 + "CardDeclinedException"
        test.happen(cls.key, name=long, message="declined " * 40, http=http, stack=stack, times=5)
        test.happen("warn", severity="warning", message="a warning", zone="us", times=30)
        test.happen("info", severity="info", message="an information")
        for key in ["resolved", "muted", "regressed", "forgotten"]:
            test.happen(key)
        test.counted("forgotten")
        test.counted("info")
        test.post(address("resolved"), act="resolve", why="fixed in 1.2")
        test.post(address("muted"), act="mute", until="1h", why="known")
        test.post(address("regressed"), act="resolve")
        test.post(address("forgotten"), act="forget")
        test.happen("regressed")
        test.counted("regressed", 2)
        gone = cls.fleet["shop"].pop()
        gone.end()

    def setUp(self):
        super().setUp()
        self.open("/targets")
        self.eventually(lambda: "○ down" in self.text(), "the instance that is gone")

    def pages(self):
        """The address of every kind of page, and of some of their states."""
        self.tolerate_status(400)
        self.tolerate_status(404)
        return [
            "/",
            "/errors",
            "/errors?state=all&label=zone",
            "/errors?q=nothing+like+it",
            "/errors?q=sevrity:warning",
            address(self.key),
            address("resolved"),
            address("muted"),
            address("regressed"),
            address(self.key) + "?by=zone&range=7d",
            address("nobody knows it"),
            "/targets",
            "/targets?state=down",
            "/status",
            "/help",
            "/no/such/page",
        ]
