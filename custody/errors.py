"""What can go wrong with evidence, as classes.

Two families, kept apart because they need different answers::

    CustodyError
    ├── ContractError        the caller broke the contract: a bug on our side
    └── EvidenceError        the bytes are not what they claim: a finding about the world
        ├── UnparsableError      not JSON, not canonical types, not our schema     finding "unparsable"
        ├── SignatureError       a known key's signature does not fit              finding "sig-bad"
        ├── UnknownKeyError      no enrolled key signed it                         finding "key-unknown"
        ├── LogError             an entry does not continue its log                finding given by the raiser
        ├── CheckpointError      a checkpoint contradicts the entries              finding given by the raiser
        ├── ProofError           an inclusion or consistency proof does not hold   finding "root-mismatch"
        └── StaleIndexError      the index beside a log is not that of its entries finding "root-mismatch"

Every ``EvidenceError`` carries ``finding``, one of the words of ``custody.verdicts.FINDINGS``.
"""


class CustodyError(Exception):
    """Base of everything this package raises."""


class ContractError(CustodyError):
    """The caller asked for something the contract forbids, such as sealing a record with a float in it."""


class EvidenceError(CustodyError):
    """Bytes from outside are not what they claim to be."""

    finding = "unparsable"

    def __init__(self, message: str, finding: str | None = None) -> None:
        super().__init__(message)
        if finding is not None:
            self.finding = finding


class UnparsableError(EvidenceError):
    """Not JSON, or JSON outside our value types or schema."""


class SignatureError(EvidenceError):
    """A signature by an enrolled key does not fit the bytes."""

    finding = "sig-bad"


class UnknownKeyError(EvidenceError):
    """None of the signatures was made by an enrolled key."""

    finding = "key-unknown"


class LogError(EvidenceError):
    """An entry does not continue the log it claims to belong to."""

    finding = "prev-break"


class CheckpointError(EvidenceError):
    """A checkpoint does not describe the entries it is shown with."""

    finding = "root-mismatch"


class ProofError(EvidenceError):
    """An inclusion or consistency proof does not hold."""

    finding = "root-mismatch"


class StaleIndexError(EvidenceError):
    """The index beside a log is not that of its entries; it is derived anew, and only what remains wrong is a finding.

    Readers of a log see it when the entries themselves are not what they were.
    """

    finding = "root-mismatch"
