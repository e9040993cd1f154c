"""Programs whose errors a test makes happen, and a server that scrapes them.

A class of tests has a server of its own, `PERISKOP_SERVER`, and for each of its `services` a program
with two instances, in the zones `eu` and `us`."""

import contextlib
import ctypes
import datetime
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from browser import PATIENCE, BrowserTest

ZONES = ["eu", "us"]


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


class Instance:
    """One process of a program: it counts its errors and exports them."""

    def __init__(self):
        instance = self
        self.name = str(uuid.uuid4())
        self.errors = {}
        self.told = None
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = instance.export()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                # Who asked may be gone, when a test is over.
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def export(self):
        with self.lock:
            if self.told is None:
                told = {"target_uuid": self.name, "aggregated_errors": list(self.errors.values())}
                self.told = json.dumps(told).encode()
            return self.told

    def happen(self, key, name, message, severity, stack, http, times):
        with self.lock:
            self.told = None
            error = self.errors.setdefault(
                key,
                {
                    "aggregation_key": key,
                    "total_count": 0,
                    "severity": severity,
                    "created_at": now(),
                    "latest_errors": [],
                },
            )
            error["total_count"] += times
            for _ in range(min(times, 3)):
                error["latest_errors"].append(
                    {
                        "error": {"class": name, "message": message, "stacktrace": stack},
                        "uuid": str(uuid.uuid4()),
                        "timestamp": now(),
                        "severity": severity,
                        "http_context": http,
                    }
                )
            del error["latest_errors"][:-10]

    def end(self):
        self.http.shutdown()
        self.http.server_close()


def dies_with_its_test():
    # PR_SET_PDEATHSIG: a test that is killed leaves no server behind.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class FleetTest(BrowserTest):
    """Browser tests with a fleet."""

    services = ["shop"]
    path = ""  # the path of the external URL
    refresh = "200ms"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fleet = {name: [Instance() for _ in ZONES] for name in cls.services}
        for instance in sum(cls.fleet.values(), []):
            cls.addClassCleanup(instance.end)
        directory = tempfile.TemporaryDirectory(prefix="periskop-fleet-")
        cls.addClassCleanup(directory.cleanup)
        file = os.path.join(directory.name, "periskop.yaml")
        with open(file, "w") as config:
            # JSON is YAML.
            json.dump({"services": [cls.configuration(name) for name in cls.services]}, config)
        cls.start("--config", file)
        cls.addClassCleanup(lambda: cls.stop())

    @classmethod
    def configuration(cls, name):
        targets = [
            {"targets": [instance.address], "labels": {"zone": zone}}
            for instance, zone in zip(cls.fleet[name], ZONES)
        ]
        scraper = {"endpoint": "/-/exceptions", "refresh_interval": cls.refresh}
        return {"name": name, "static_configs": targets, "scraper": scraper}

    @classmethod
    def start(cls, *arguments):
        command = [os.environ["PERISKOP_SERVER"], *arguments, "--listen", "127.0.0.1:0"]
        if cls.path:
            command += ["--web.external-url", f"http://localhost{cls.path}"]
        cls.server = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=dies_with_its_test
        )
        prefix = "listening on "
        line = next(line for line in cls.server.stdout if line.startswith(prefix))
        # What listens knows its port, the external URL that was given does not.
        cls.url = line[len(prefix) :].strip().rstrip("/").removesuffix(cls.path) + cls.path
        deadline = time.monotonic() + PATIENCE
        while not cls.answers("/-/ready") and time.monotonic() < deadline:
            time.sleep(0.05)

    @classmethod
    def stop(cls):
        """Ends the server in peace, and says how long that took, in seconds."""
        begun = time.monotonic()
        cls.server.terminate()
        try:
            cls.server.wait(PATIENCE)
        finally:
            cls.server.kill()
            cls.server.stdout.close()
        return time.monotonic() - begun

    @classmethod
    def answers(cls, path):
        try:
            urllib.request.urlopen(cls.url + path, timeout=PATIENCE).close()
            return True
        except OSError:
            return False

    def api(self, path):
        request = urllib.request.Request(self.url + path, headers={"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def post(self, path, **form):
        """What a colleague does with the forms of the pages, elsewhere."""
        body = urllib.parse.urlencode(form).encode()
        urllib.request.urlopen(self.url + path, data=body, timeout=PATIENCE).close()

    def happen(
        self,
        key,
        service="shop",
        name=None,
        message="it broke",
        severity="error",
        stack=("main (main.go:1)",),
        http=None,
        times=1,
        zone="eu",
    ):
        """Makes an error happen."""
        instance = self.fleet[service][ZONES.index(zone)]
        name = key if name is None else name
        instance.happen(key, name, message, severity, list(stack), http, times)

    def total(self, key, service="shop"):
        path = f"/services/{urllib.parse.quote(service, safe='')}/errors/"
        try:
            errors = self.api(path)
        except urllib.error.HTTPError:
            return 0
        found = [error["total_count"] for error in errors if error["aggregation_key"] == key]
        return sum(found)

    def counted(self, key, count=1, service="shop"):
        """Waits until the server knows of so many."""
        self.eventually(lambda: self.total(key, service) == count, f"{count} of {key}")

    def happened(self, key, **how):
        """Makes an error happen for the first time, and waits until the server knows."""
        self.happen(key, **how)
        self.counted(key, how.get("times", 1), how.get("service", "shop"))

    def rows(self):
        """What the rows of the list are called, from the top."""
        return self.script(
            "return [...document.querySelectorAll('.row .t')].map((t) => t.lastChild.textContent)"
        )

    def are(self, expected):
        """Waits until the list holds these, in this order."""
        self.eventually(lambda: self.rows() == expected, f"{expected}, and not {self.rows()}")


def address(key, service="shop"):
    return "/".join(["/errors", *[urllib.parse.quote(part, safe="") for part in (service, key)]])
