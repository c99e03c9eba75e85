"""The pages of an audit report, Chinese and English, from one set of facts; no script, nothing from elsewhere."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from custody.verdicts import Outcome, Verdict
from ingestd import vocabulary
from ingestd.audit import report_facts, words
from ingestd.rules.wording import Language
from ingestd.web.show import length, size

LANGUAGES: Final[Mapping[Language, str]] = {"zh": "zh-CN", "en": "en"}
MOST_FINDINGS: Final = 500
"""Findings on a page; ``report.json`` has all of them, and the page says so."""
_TONES: Final = {Outcome.OK: "good", Outcome.NOT_AS_RECORDED: "bad", Outcome.COULD_NOT_CHECK: "bad"}


def page(facts: Mapping[str, Any], language: Language) -> str:
    """One page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ingestd.audit"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=partial(words.moment, zone=ZoneInfo(facts["zone"])), plain=words.plain, size=size, length=length
    )
    found = report_facts.findings(facts)
    verdict = Outcome(facts["outcome"])
    return environment.get_template("report.html").render(
        facts=facts,
        verify=facts["verify"],
        tag=LANGUAGES[language],
        say=lambda zh, en: zh if language == "zh" else en,
        word=lambda code: vocabulary.word(code).name.in_language(language),
        meaning=lambda code: vocabulary.word(code).meaning.in_language(language),
        event=lambda name: words.event(name, language),
        outcome=vocabulary.OUTCOMES[verdict].name.in_language(language),
        outcome_means=vocabulary.OUTCOMES[verdict].meaning.in_language(language),
        tone=_TONES[verdict],
        nothing=report_facts.checked_nothing(facts),
        verdicts=[str(one) for one in Verdict],
        findings=found[:MOST_FINDINGS],
        more_findings=max(0, len(found) - MOST_FINDINGS),
        said_words=_said(found),
        not_checked=[one.in_language(language) for one in report_facts.not_checked(facts)],
    )


def _said(found: list[dict[str, Any]]) -> list[str]:
    """Words of the vocabulary to be explained: every verdict, and each finding that occurs."""
    verdicts = [str(one) for one in Verdict]
    return [*verdicts, *sorted({one["verdict"] for one in found} - set(verdicts))]
