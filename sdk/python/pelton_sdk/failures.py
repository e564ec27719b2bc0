"""How a plugin says that something cannot be done: one record (Reject), or the whole call (Retry, Fatal).

The rule: any other exception is a mistake of the plugin; it is written to the log with its traceback, and the call traps, so that the host
finds the record at fault and lets the others through.
Left to others: who catches what.
"""


class Reject(Exception):
    """This record cannot be processed. `code` is a short stable word to count by, such as `negative_amount`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Retry(Exception):
    """The call failed, and may do better later: the host waits and calls again."""


class Fatal(Exception):
    """The call failed, and will again."""
