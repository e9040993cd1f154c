"""A program with the published Python client in it. The protocol: tests/src/app.rs."""

import json
import sys
import threading
from http.server import HTTPServer

from periskop_client.collector import ExceptionCollector
from periskop_client.exporter import ExceptionExporter
from periskop_client.handler import exception_http_handler
from periskop_client.models import HTTPContext

collector = ExceptionCollector()
told = {}


def note(kind, exception):
    known = told.setdefault(
        kind, {"class": type(exception).__name__, "count": 0, "messages": []}
    )
    known["count"] += 1
    known["messages"].append(str(exception))


def fail(exception):
    raise exception


# The client's key is a hash of the first five lines of the traceback. From one call further down
# the message is not among them, so that numbered messages are one error.


def raise_value(message):
    try:
        fail(ValueError(message))
    except ValueError as exception:
        collector.report(exception)
        note("value", exception)


def raise_timeout(message):
    try:
        fail(TimeoutError(message))
    except TimeoutError as exception:
        collector.report_with_context(
            exception,
            HTTPContext(
                request_method="POST",
                request_url="http://shop.example/pay?order=1",
                request_headers={"Authorization": "Bearer s3cr3t", "X-Request": "7"},
                request_body="ä",
            ),
        )
        note("timeout", exception)


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    handler = exception_http_handler("/-/exceptions", ExceptionExporter(collector))
    handler.log_message = lambda *_: None
    server = HTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    kinds = {"value": raise_value, "timeout": raise_timeout}
    for line in sys.stdin:
        _, kind, n = line.split()
        for _ in range(int(n)):
            number = told.get(kind, {"count": 0})["count"] + 1
            kinds[kind](f"{kind} – number {number}")
        print(json.dumps(told[kind]), flush=True)


main()
