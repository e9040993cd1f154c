"""A program with the published Python client in it. The protocol: tests/src/app.rs."""

import json
import os
import sys
import threading
import time
from http.server import HTTPServer

import requests
from periskop_client.collector import ExceptionCollector
from periskop_client.exporter import ExceptionExporter
from periskop_client.handler import exception_http_handler
from periskop_client.models import HTTPContext

collector = ExceptionCollector()
exporter = ExceptionExporter(collector)
gateway = os.environ.get("PERISKOP_PUSH_TO")
told = {}


def note(kind, exception):
    known = told.setdefault(
        kind, {"class": type(exception).__name__, "count": 0, "messages": []}
    )
    known["count"] += 1
    known["messages"].append(str(exception))
    if gateway:
        try:
            exporter.push_to_gateway(gateway)
        except requests.ConnectionError:
            pass  # The next push has it all.


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


def fork(kind, workers, work):
    pipes = []
    for worker in range(workers):
        reads, writes = os.pipe()
        if os.fork() == 0:
            # The client tells workers apart by the millisecond of their first exception: each
            # waits for one of its own.
            while int(time.time() * 1000) % (20 * workers) != 20 * worker:
                pass
            work()
            os.write(writes, json.dumps(told[kind]).encode())
            os._exit(0)
        os.close(writes)
        pipes.append(reads)
    parts = [json.loads(os.fdopen(reads).read()) for reads in pipes]
    return {
        "class": parts[0]["class"],
        "count": sum(part["count"] for part in parts),
        "messages": [message for part in parts for message in part["messages"]],
    }


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    handler = exception_http_handler("/-/exceptions", exporter)
    handler.log_message = lambda *_: None
    server = HTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    kinds = {"value": raise_value, "timeout": raise_timeout}

    def throw(kind, n):
        for _ in range(n):
            number = told.get(kind, {"count": 0})["count"] + 1
            kinds[kind](f"{kind} – number {number}")

    for line in sys.stdin:
        command, kind, *numbers = line.split()
        if command == "fork":
            workers, n = map(int, numbers)
            print(json.dumps(fork(kind, workers, lambda: throw(kind, n))), flush=True)
        else:
            throw(kind, int(numbers[0]))
            print(json.dumps(told[kind]), flush=True)


main()
