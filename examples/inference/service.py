"""A service that scores payments, as services are: slow, out of order, failing. Python's standard library only.

    service.py FOLDER        listens on a free port of this machine and writes its address to FOLDER/address; says what it saw at its end

What goes wrong hangs on the id of a payment, so that every run sees the same:

    id % 7 == 0    the first attempt is dropped without an answer
    id % 9 == 0    the first two attempts are answered 503
    id == 23       no answer comes
    amount < 0     422
"""

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHARGEBACKS = {"c0": 3, "c1": 0, "c3": 1, "c5": 0}

lock = threading.Lock()
attempts: dict[int, int] = {}
under_way = most = requests = strangers = 0


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode() if not isinstance(body, str) else body.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def counted(self, do) -> None:
        global under_way, most, requests, strangers
        with lock:
            under_way, requests = under_way + 1, requests + 1
            most = max(most, under_way)
        try:
            if self.headers.get("authorization") == "Bearer open sesame":
                do()
            else:
                strangers += 1
                self.answer(401, "who are you?")
        finally:
            with lock:
                under_way -= 1

    def do_POST(self) -> None:
        payment = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.counted(lambda: self.score(payment))

    def do_GET(self) -> None:
        self.counted(lambda: self.history(self.path.removeprefix("/v1/history/")))

    def score(self, payment: dict) -> None:
        identity = payment["id"]
        with lock:
            attempts[identity] = attempt = attempts.get(identity, 0) + 1
        # the later of two neighbours is often the first to be answered
        time.sleep(identity * 37 % 50 / 250)
        if identity == 23:
            self.forget()
        if identity % 7 == 0 and attempt == 1:
            self.close_connection = True
            return
        if identity % 9 == 0 and attempt <= 2:
            return self.answer(503, "busy")
        if payment["amount"] < 0:
            return self.answer(422, "a negative amount")
        risk = payment["amount"] / 1000 + (0 if payment["country"] == "nl" else 0.25)
        self.answer(200, {"score": round(min(risk, 1), 3), "model": "fixed"})

    def forget(self) -> None:
        """Holds the connection, and does not count it: whoever asked is gone long before."""
        global under_way
        with lock:
            under_way -= 1
        time.sleep(60)
        with lock:
            under_way += 1

    def history(self, customer: str) -> None:
        time.sleep(0.02)
        if customer in CHARGEBACKS:
            self.answer(200, {"customer": customer, "chargebacks": CHARGEBACKS[customer]})
        else:
            self.answer(404, "a new customer")


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    folder = Path(sys.argv[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "address.new").write_text(f"http://127.0.0.1:{server.server_port}/v1\n")
    (folder / "address.new").rename(folder / "address")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    print(f"the service saw {requests} requests, {most} at a time at most, {strangers} without its token")


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
main()
