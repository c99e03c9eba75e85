"""What can stop or hinder the centre, as classes; the command line alone turns them into exit codes.

::

    CentreError                 exit 70  (EX_SOFTWARE)
    ├── ConfigError             exit 78  a configuration file, key or value is wrong           policy stop
    ├── StateError              exit 65  log, mirror and database contradict each other        policy stop
    │   └── MirrorError         –        the copy of one station's log is not what was signed  policy stop
    ├── ImportFileError         exit 65  a file of cases has wrong rows; nothing was imported  policy stop
    ├── EnrolmentError          exit 65  a key cannot be let in, handed over to or revoked     policy stop
    ├── RefusedError            exit 64  what a person decided may not be: on hold, unknown, one approver  policy stop
    ├── MessageError            –        a message cannot be verified                          policy quarantine
    ├── StoreError              exit 69  the evidence store did not answer                     policy retry
    │   └── ObjectMissingError  –        it answered: there is no such object                  policy retry
    ├── DatabaseError           exit 69  the database did not answer or refused                policy retry
    ├── BrokerError             exit 69  the broker did not answer or refused                  policy retry
    ├── AnchorError             exit 69  an authority or a log source outside did not answer   policy retry
    ├── TokenError              exit 65  what it answered does not vouch for our checkpoint    policy retry
    ├── ExportError             exit 2   a bundle of evidence could not be made; nothing left the house     policy stop
    │   └── NotAsRecordedError  exit 1   what should have left is not as recorded                policy stop
    ├── AuditError              exit 2   an audit could not be made as asked                     policy stop
    └── BusyError               exit 75  another process holds the centre's lock               policy retry

``policy`` says what the caller does: ``stop`` (a person must look), ``retry`` (it may pass), ``quarantine`` (keep the
bytes, record the reason, go on). Exit codes are those of sysexits(3).
"""

from enum import StrEnum


class Policy(StrEnum):
    """What to do about an error."""

    STOP = "stop"
    RETRY = "retry"
    QUARANTINE = "quarantine"


class CentreError(Exception):
    """Base of everything the centre raises."""

    exit_code = 70
    policy = Policy.STOP


class ConfigError(CentreError):
    """A configuration is wrong: the message names file, key and what is allowed."""

    exit_code = 78


class StateError(CentreError):
    """What is on disk contradicts itself, such as an empty database beside a non-empty log."""

    exit_code = 65


class MirrorError(StateError):
    """Our copy of one station's log is damaged: that station is set aside with a flag, the others are served."""


class ImportFileError(CentreError):
    """A file of cases cannot be imported as it is; nothing of it was."""

    exit_code = 65


class EnrolmentError(CentreError):
    """A key cannot be let in, handed over to or revoked; the message says why and what would be right."""

    exit_code = 65


class RefusedError(CentreError):
    """A person's decision is not allowed as things stand; nothing was recorded."""

    exit_code = 64


class MessageError(CentreError):
    """A message cannot be verified. ``finding`` is one of ``custody.verdicts.Finding``.

    ``offence`` are the bytes that are wrong: one entry, a checkpoint, or the whole message.
    """

    policy = Policy.QUARANTINE

    def __init__(self, message: str, finding: str, offence: bytes) -> None:
        super().__init__(message)
        self.finding = finding
        self.offence = offence


class StoreError(CentreError):
    """The evidence store did not answer, or not to the point."""

    exit_code = 69
    policy = Policy.RETRY


class ObjectMissingError(StoreError):
    """The store answered, and has no object of that name."""


class DatabaseError(CentreError):
    """The database did not answer or refused."""

    exit_code = 69
    policy = Policy.RETRY


class BrokerError(CentreError):
    """The broker did not answer or refused us."""

    exit_code = 69
    policy = Policy.RETRY


class AnchorError(CentreError):
    """A time-stamping authority, or the source a witness reads from, did not answer or not to the point."""

    exit_code = 69
    policy = Policy.RETRY


class TokenError(CentreError):
    """A token or a cosigned note does not vouch for what it should. ``finding`` is a word of ``custody.verdicts``."""

    exit_code = 65
    policy = Policy.RETRY

    def __init__(self, message: str, finding: str = "anchor-mismatch") -> None:
        super().__init__(message)
        self.finding = finding


class AuditError(CentreError):
    """An audit, a proof or a report could not be made as asked. The code is that of a check that checked nothing."""

    exit_code = 2


class BusyError(CentreError):
    """Another process holds the centre's lock for longer than we wait."""

    exit_code = 75
    policy = Policy.RETRY


class ExportError(CentreError):
    """A bundle cannot be made: nothing chosen, a name taken, or not all of it is under a signed checkpoint yet.

    Exit codes are those of a check (``custody.verdicts``), because an export is one.
    """

    exit_code = 2


class NotAsRecordedError(ExportError):
    """What the store returned, or the finished bundle, is not as the signed entries say."""

    exit_code = 1
