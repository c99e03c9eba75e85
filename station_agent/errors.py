"""Everything the station raises, as one tree.

::

    AgentError                    exit 70  stop        a fault of ours that fits nothing below
    ├── ConfigError               exit 78  stop        a file or option that says what is not allowed
    ├── KeyFileError              exit 77  stop        a key file that is missing, broken or readable by others
    ├── JournalError              exit 74  stop        the journal cannot be read or written
    ├── LogFilesError             exit 74  stop        the station log's medium refused a read or a write
    ├── MountError                exit 71  quarantine  a volume that could not be mounted read-only
    ├── UnlockError               exit 71  quarantine  a locked recorder that did not become a disk
    ├── DeviceGoneError           exit 75  retry       the recorder was pulled
    ├── StoppingError             exit 75  retry       the station is being stopped; work in hand is put down
    ├── CopyError                 exit 74  retry       one file could not be copied; ``reason`` says why
    ├── StoreError                exit 75  retry       the evidence store gave up
    │   ├── DamagedCopyError      exit 74  retry       the copy to be uploaded is not what its entry says
    │   └── StoreProofError       exit 76  retry       the store did not keep what a retention lock promises
    ├── BrokerError               exit 75  retry       the broker refused or cannot be reached
    ├── DeskError                 exit 64  retry       what somebody asked for at the dock cannot be done so
    └── ToolError                 exit 69  quarantine  an external program is missing, failed or took too long

Exit codes follow sysexits(3). ``policy`` says what the pipeline does with it: ``retry`` later, ``quarantine`` the one
item and go on, or ``stop`` the program.
"""

from enum import StrEnum
from typing import Literal

Policy = Literal["retry", "quarantine", "stop"]


class MountCause(StrEnum):
    """What stood in the way of mounting a volume, as far as it is about the volume."""

    NO_DRIVER = "no-driver"
    REFUSED = "refused"
    """A driver looked at the volume and would not take it."""
    DAMAGED = "damaged"
    """A driver took it and cannot find its root."""
    OTHER = "other"


class AgentError(Exception):
    """Base of everything the station raises; its text is one sentence for people."""

    exit_code = 70
    policy: Policy = "stop"


class ConfigError(AgentError):
    """A configuration file or command-line option says what is not allowed."""

    exit_code = 78


class KeyFileError(AgentError):
    """A private key file is missing, unreadable, of another kind, or readable by others."""

    exit_code = 77


class JournalError(AgentError):
    """The journal cannot be read or written, or is not one of ours."""

    exit_code = 74


class LogFilesError(AgentError):
    """The medium under the station log refused a read or a write; the log must be opened anew."""

    exit_code = 74


class MountError(AgentError):
    """A volume could not be mounted, or not provably read-only; nothing was read from it."""

    exit_code = 71
    policy: Policy = "quarantine"

    def __init__(self, message: str, cause: MountCause = MountCause.OTHER) -> None:
        super().__init__(message)
        self.cause = cause


class UnlockError(AgentError):
    """A locked recorder refused a command, did not answer, or did not come back as a disk."""

    exit_code = 71
    policy: Policy = "quarantine"


class DeviceGoneError(AgentError):
    """The recorder went away while it was being read."""

    exit_code = 75
    policy: Policy = "retry"


class StoppingError(AgentError):
    """The station is being stopped; work in hand is put down where it can be taken up again."""

    exit_code = 75
    policy: Policy = "retry"


class CopyError(AgentError):
    """One file could not be copied and proved.

    ``reason`` is one of ``read-error``, ``reread-differs``, ``no-space``, ``write-error``, ``source-vanished``,
    ``source-changed``, ``not-a-file``, ``reread-cached``; it stands in the ``ingest.failed`` record, with ``unread``,
    offset and size of the bytes that were asked for when reading failed, where that is known.
    """

    exit_code = 74
    policy: Policy = "retry"

    def __init__(self, reason: str, detail: str = "", unread: tuple[int, int] | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.unread = unread


class StoreError(AgentError):
    """The evidence store gave up after its own retries."""

    exit_code = 75
    policy: Policy = "retry"


class DamagedCopyError(StoreError):
    """A copy in the spool is not what its log entry says; it was not uploaded, the store is as it was."""

    exit_code = 74


class StoreProofError(StoreError):
    """The evidence store broke a promise on which erasing rests; nothing is erased against it (EX_PROTOCOL)."""

    exit_code = 76


class BrokerError(AgentError):
    """The broker cannot be reached, or refuses this station."""

    exit_code = 75
    policy: Policy = "retry"


class DeskError(AgentError):
    """What somebody asked for at the dock cannot be done so; nothing was recorded. ``code`` names it for the screen."""

    exit_code = 64
    policy: Policy = "retry"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ToolError(AgentError):
    """An external program is missing, failed, or exceeded its time or output bound."""

    exit_code = 69
    policy: Policy = "quarantine"
