"""Requests and answers of an enricher.

The rule: a connector's address and credentials are the host's; here is its name. Left to others: when it is asked (`worlds.py`).
"""

import json
from typing import Any

from .host import interface


class Ask:
    """Requests of the current row."""

    def __init__(self, connectors: dict[str, str]) -> None:
        self.connectors, self.row = connectors, 0
        self.requests: list[Any] = []

    def get(self, connector: str, path: str, **more: Any) -> None:
        self.request(connector, "GET", path, **more)

    def post(self, connector: str, path: str, **more: Any) -> None:
        self.request(connector, "POST", path, **more)

    def request(self, connector: str, method: str, path: str, *, headers: dict[str, str] | None = None, body: Any = b"", cookie: str = "") -> None:
        """`body`: text, bytes, or a value that becomes JSON. `cookie`: text that comes back with the answer."""
        if connector not in self.connectors:
            raise ValueError(f"there is no connector `{connector}`; declared: {', '.join(self.connectors) or 'none'}")
        given = dict(headers or {})
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
            if not any(name.lower() == "content-type" for name in given):
                given["content-type"] = "application/json"
        types = interface("enrich")
        named = [types.Header(name, value) for name, value in given.items()]
        data = body.encode() if isinstance(body, str) else body
        self.requests.append(types.Request(self.row, cookie.encode(), connector, method, path, named, data))


class Answer:
    """What came of a request: `status` where it was answered, else `failed` with words, or `timed_out`."""

    def __init__(self, response: Any) -> None:
        outcome = response.outcome
        kind = type(outcome).__name__
        answer = outcome.value if kind == "Outcome_Answered" else None
        self.cookie: str = response.cookie.decode()
        self.status: int | None = answer.status if answer else None
        self.headers: list[tuple[str, str]] = [(header.name, header.value) for header in answer.headers] if answer else []
        self.body: bytes = answer.body if answer else b""
        self.failed: str | None = outcome.value if kind == "Outcome_Failed" else None
        self.timed_out: bool = kind == "Outcome_TimedOut"

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found.lower() == name.lower()), None)

    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)
