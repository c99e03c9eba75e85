"""Why a flag may be closed without a recording: three kinds of reason, each approved by somebody else (R34).

Source: the recording rule [DI] of the law survey, whose issuing body is not shown; the three kinds are what an agency
may accept, not what a law grants.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from custody.identifiers import person_key
from ingestd.rules.wording import Both

MAX_REASON_CHARS: Final = 2_000


class Ground(StrEnum):
    """The only kinds of reason."""

    SECRECY = "secrecy"
    """国家秘密、商业秘密、个人隐私."""
    EMERGENCY = "emergency"
    """情况紧急."""
    IMPOSSIBILITY = "impossibility"
    """客观原因."""


GROUNDS: Final = {
    Ground.SECRECY: Both("涉及国家秘密、商业秘密或者个人隐私", "state or commercial secrets, or privacy"),
    Ground.EMERGENCY: Both("情况紧急", "an emergency"),
    Ground.IMPOSSIBILITY: Both("客观原因无法记录", "it could not be recorded for objective reasons"),
}


@dataclass(frozen=True, slots=True)
class Exemption:
    """Who asks that a flag be closed, on what ground, in what words, and who approves."""

    ground: str
    reason: str
    asked_by: str
    approved_by: str


def objections(exemption: Exemption) -> list[Both]:
    """Why the exemption does not stand, one sentence each; none: the flag may be closed."""
    asker, approver = exemption.asked_by.strip(), exemption.approved_by.strip()
    kinds = Both("、".join(GROUNDS[one].zh for one in Ground), ", ".join(Ground))
    found = [
        (
            exemption.ground not in set(Ground),
            Both(f"免录理由只能是：{kinds.zh}。", f"The ground must be one of: {kinds.en}."),
        ),
        (not exemption.reason.strip(), Both("必须写明具体原因。", "The reason must be given in words.")),
        (
            len(exemption.reason) > MAX_REASON_CHARS,
            Both(f"原因最多 {MAX_REASON_CHARS} 字。", f"The reason has at most {MAX_REASON_CHARS} characters."),
        ),
        (not asker, Both("必须写明申请人。", "Who asks must be named.")),
        (not approver, Both("必须有批准人。", "Somebody must approve.")),
        (
            bool(asker) and person_key(asker) == person_key(approver),
            Both("申请人不得自己批准。", "Nobody approves what he asks for himself."),
        ),
    ]
    return [sentence for wrong, sentence in found if wrong]
