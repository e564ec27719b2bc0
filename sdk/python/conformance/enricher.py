"""The enricher of the conformance suite (`sdk/conformance/README.md`), in Python.

The rule: what a record asks for stands in its `op`. Left to others: the cases.
"""

from urllib.parse import quote

from pelton_sdk import Answer, Ask, Enricher, Input, Int32, Out, Output, Reject, plugin


class Asked(Input):
    op: str
    name: str | None
    value: int | None


class Scored(Output):
    name: str | None
    status: Int32 | None
    text: str | None
    rounds: Int32


def score_of(name: str | None) -> str:
    return "/scores/" + quote(str(name), safe="")


def told(name: str | None, answer: Answer, rounds: int) -> Scored:
    """The row that an answer makes."""
    if answer.failed is not None:
        return Scored(name, None, f"failed: {answer.failed}", rounds)
    if answer.timed_out:
        return Scored(name, None, "timed out", rounds)
    return Scored(name, answer.status, answer.text(), rounds)


@plugin
class Conformance(Enricher):
    name = "conformance-enricher"
    connectors = {"scores": "answers GET and POST of /scores"}

    def prepare(self, row: Asked, ask: Ask) -> None:
        if row.op in ("ask", "twice"):
            ask.get("scores", score_of(row.name), cookie="1")
        if row.op == "post":
            ask.post("scores", "/scores", body={"name": row.name, "value": row.value})

    def complete(self, row: Asked, answers: list[Answer], out: Out[Scored], ask: Ask) -> None:
        if row.op == "reject":
            raise Reject("refused", f"{'null' if row.name is None else row.name} is refused")
        if row.op == "pass":
            out.emit(row, Scored(row.name, None, None, 0))
            return
        if not answers:
            raise Reject("unknown_op", row.op)
        [answer] = answers
        if row.op == "twice" and answer.cookie == "1" and answer.status == 200:
            ask.get("scores", score_of(answer.text()), cookie="2")
        else:
            out.emit(row, told(row.name, answer, 2 if answer.cookie == "2" else 1))
