"""Clicks with the score of their ad, which another service knows. Edit what is asked and what is made of the answer;
`python -m unittest` runs the folders of `cases/`."""

from urllib.parse import quote

from pelton_sdk import Answer, Ask, Enricher, Input, Out, Output, Reject, plugin


class Click(Input):
    """What is read of a record. Fields that are not named here are not even decoded."""

    ad: str


class Scored(Output):
    """What is made of it."""

    ad: str
    score: float | None = None


@plugin
class Plugin(Enricher):
    name = "{{name}}"
    # Names that requests use; the job file gives each an address.
    connectors = {"scores": 'answers GET /scores/AD with { "score": number }'}

    def prepare(self, click: Click, ask: Ask) -> None:
        ask.get("scores", "/scores/" + quote(click.ad, safe=""))

    def complete(self, click: Click, answers: list[Answer], out: Out[Scored], ask: Ask) -> None:
        [answer] = answers
        if answer.status == 404:
            out.emit(click, Scored(click.ad))
        elif answer.status == 200:
            out.emit(click, Scored(click.ad, answer.json()["score"]))
        else:
            raise Reject("no_score", answer.failed or f"the answer was {answer.status or 'too late'}")
