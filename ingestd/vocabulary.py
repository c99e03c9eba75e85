"""The vocabulary of ``custody.verdicts`` in the users' languages: a name and a meaning for each word, in one place.

Commands, pages and reports say these and no others beside the word itself, which is the same everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from custody.verdicts import Finding, Outcome, Verdict
from ingestd.rules.wording import Both


@dataclass(frozen=True, slots=True)
class Word:
    """What a word is called, and what it means to somebody who has not read the format."""

    name: Both
    meaning: Both


VERDICTS: Final[Mapping[Verdict, Word]] = {
    Verdict.VERIFIED: Word(
        Both("已核验", "verified"),
        Both(
            "读回的内容与签名记录的大小、校验值一致",
            "what was read back is what was signed: size and digest",
        ),
    ),
    Verdict.FAILED: Word(
        Both("不符", "failed"),
        Both(
            "读回的内容与签名记录不同：文件被改动或损坏",
            "what was read back is not what was signed",
        ),
    ),
    Verdict.MISSING: Word(
        Both("缺失", "missing"),
        Both("有签名记录，证据库中却没有这个文件", "a signed entry announces it, and the store does not have it"),
    ),
    Verdict.UNRECORDED: Word(
        Both("无记录", "unrecorded"),
        Both("证据库中有这个文件，却没有任何签名记录", "the store has it, and no signed entry announces it"),
    ),
    Verdict.UNREADABLE: Word(
        Both("无法读取", "unreadable"),
        Both(
            "证据库读不出；内容不明",
            "the store cannot read it; nobody knows what it holds",
        ),
    ),
    Verdict.DISPOSED: Word(
        Both("已销毁", "disposed"),
        Both(
            "经两人批准后已从证据库移除，日志中有记载",
            "gone from the store, as two people approved and the log says",
        ),
    ),
    Verdict.UNCHECKED: Word(
        Both("未核验", "unchecked"),
        Both("没有核验，例如刚刚采集、尚未上传", "it was not checked, for instance because it is on its way"),
    ),
}
FINDINGS: Final[Mapping[Finding, Word]] = {
    Finding.SIG_BAD: Word(
        Both("签名不符", "bad signature"),
        Both("条目或检查点上的签名与内容不符", "a signature does not fit the entry or checkpoint it stands under"),
    ),
    Finding.KEY_UNKNOWN: Word(
        Both("公钥未登记", "unknown key"),
        Both("签名者的公钥没有登记", "it is signed by a key that is not enrolled"),
    ),
    Finding.KEY_REVIEW: Word(
        Both("密钥待复核", "key needs review"),
        Both("签名者的密钥在此之前已被吊销，须由人复核", "its key had been revoked by then; a person has to look"),
    ),
    Finding.SEQ_GAP: Word(
        Both("条目缺号", "entries missing"),
        Both("日志的编号中断，有条目缺失", "the numbers of the log have a gap: entries are missing"),
    ),
    Finding.SEQ_DUPLICATE: Word(
        Both("条目重号", "number repeated"), Both("同一编号出现两次", "one number stands there twice")
    ),
    Finding.PREV_BREAK: Word(
        Both("前后不接", "chain broken"),
        Both("条目与它前面的条目接不上", "an entry does not continue the entry before it"),
    ),
    Finding.LOG_TRUNCATED: Word(
        Both("日志被截短", "log cut short"),
        Both("日志比已经签名或已经镜像的要短", "the log is shorter than what was signed for or mirrored"),
    ),
    Finding.LOG_FORKED: Word(
        Both("日志分叉", "log forked"), Both("同一日志出现两个不同的历史", "there are two histories of one log")
    ),
    Finding.ROOT_MISMATCH: Word(
        Both("根哈希不符", "root differs"),
        Both("条目算出的根哈希不是已签名的那个", "the entries do not lead to the root that was signed"),
    ),
    Finding.MIRROR_MISMATCH: Word(
        Both("镜像不符", "mirror differs"),
        Both("采集站的条目与中心日志所记的不同", "a station's entry is not the one that the centre log names"),
    ),
    Finding.ANCHOR_MISMATCH: Word(
        Both("锚定不符", "anchor differs"),
        Both("外部机构证明过的日志不是现在的日志", "what an authority outside vouched for is not the log as it is now"),
    ),
    Finding.ANCHOR_MISSING: Word(
        Both("缺少锚定", "anchor missing"),
        Both("应有的外部锚定没有或不见了", "an anchor outside that should be there is not"),
    ),
    Finding.TIME_REGRESSION: Word(
        Both("时间倒退", "time runs backwards"),
        Both("条目的时间与它在日志中的位置矛盾", "an entry is dated where its place in the log forbids"),
    ),
    Finding.PROJECTION_MISMATCH: Word(
        Both("索引不符", "index differs"),
        Both("数据库中的内容与签名日志不同", "what the database says is not what the signed log says"),
    ),
    Finding.UNPARSABLE: Word(
        Both("无法解析", "cannot be parsed"),
        Both("内容不合格式，无法核验", "it is not in the format"),
    ),
    Finding.NOTHING_CHECKED: Word(
        Both("未核验任何内容", "nothing was checked"),
        Both("没有任何可核验的内容；这不是“正常”", "there was nothing to check; that is not OK"),
    ),
}
OUTCOMES: Final[Mapping[Outcome, Word]] = {
    Outcome.OK: Word(
        Both("与记录一致", "as recorded"),
        Both("所核验的内容全部与签名记录一致", "everything that was checked is as it was signed"),
    ),
    Outcome.NOT_AS_RECORDED: Word(
        Both("与记录不符", "not as recorded"),
        Both("有内容与签名记录不符，见下列问题", "something is not as it was signed; see the findings"),
    ),
    Outcome.COULD_NOT_CHECK: Word(
        Both("无法核验", "could not check"),
        Both(
            "没有核验，或有内容无法核验。这不是“正常”",
            "nothing, or not everything, could be checked: not OK",
        ),
    ),
}
_WORDS: Final[Mapping[str, Word]] = {str(word): said for word, said in (*VERDICTS.items(), *FINDINGS.items())}


def word(code: str) -> Word:
    """A verdict or finding; a word that is not of the vocabulary stands for itself."""
    return _WORDS.get(code, Word(Both(code, code), Both("", "")))
