"""Words for the codes that the index and the logs use. A code without a word is shown as it is, never hidden."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingestd.web.language import phrase


@dataclass(frozen=True, slots=True)
class Word:
    """A meaning: word, icon and tone together, so that colour never stands alone."""

    text: str
    icon: str = ""
    tone: str = ""


STATUS: Final[Mapping[str, Word]] = {
    "received": Word(phrase("Received"), "dots", "busy"),
    "indexed": Word(phrase("Indexed"), "tick", "good"),
    "quarantined": Word(phrase("Needs handling"), "triangle", "warn"),
}
VERDICT: Final[Mapping[str, Word]] = {
    "unchecked": Word(phrase("Not yet verified"), "dots", "calm"),
    "verified": Word(phrase("Verified"), "tick", "good"),
    "failed": Word(phrase("Not as recorded"), "cross", "bad"),
    "missing": Word(phrase("Missing from the store"), "cross", "bad"),
    "unreadable": Word(phrase("Store cannot be read"), "triangle", "warn"),
    "disposed": Word(phrase("Disposed of as approved"), "dots", "calm"),
}
DISPOSAL: Final[Mapping[str, Word]] = {
    "one-more": Word(phrase("One more person is needed"), "dots", "warn"),
    "approved": Word(phrase("May be removed from the store"), "triangle", "warn"),
    "gone": Word(phrase("Gone, as approved"), "dots", "calm"),
}
STANDING: Final[Mapping[str, Word]] = {
    "online": Word(phrase("Connected"), "tick", "good"),
    "overdue": Word(phrase("Does not report"), "triangle", "warn"),
    "offline": Word(phrase("Not connected"), "cross", "bad"),
    "never": Word(phrase("Never heard of"), "dots", "calm"),
}
FLAG_STATUS: Final[Mapping[str, Word]] = {
    "open": Word(phrase("Open"), "flag", "bad"),
    "explained": Word(phrase("Explained, to be reviewed"), "dots", "warn"),
    "returned": Word(phrase("Explanation returned"), "flag", "bad"),
    "reviewed": Word(phrase("Reviewed"), "dots", "warn"),
    "closed": Word(phrase("Closed"), "tick", "calm"),
    "cleared": Word(phrase("Withdrawn"), "tick", "good"),
}
FLAG_ACT: Final[Mapping[tuple[str, str], str]] = {
    ("flag.explained", ""): phrase("explained"),
    ("flag.reviewed", "accepted"): phrase("reviewed, explanation accepted"),
    ("flag.reviewed", "returned"): phrase("reviewed, explanation returned"),
    ("flag.closed", ""): phrase("closed"),
}
REVIEW: Final[Mapping[str, Word]] = {
    "submitted": Word(phrase("Under review"), "dots", "warn"),
    "agreed": Word(phrase("Agreed to"), "tick", "good"),
    "problems": Word(phrase("To be mended"), "flag", "bad"),
}
PUBLICATION: Final[Mapping[str, Word]] = {
    "decision": Word(phrase("publish the decision")),
    "licence": Word(phrase("publish the licence")),
    "penalty": Word(phrase("publish the penalty")),
    "withdrawal": Word(phrase("take it down")),
}
KIND: Final[Mapping[str, Word]] = {
    "video": Word(phrase("Video"), "video"),
    "audio": Word(phrase("Audio"), "audio"),
    "image": Word(phrase("Photo"), "image"),
    "sidecar": Word(phrase("Side file"), "file"),
    "other": Word(phrase("Other file"), "file"),
    "empty": Word(phrase("Empty file"), "file"),
}
LEVEL: Final[Mapping[str, Word]] = {
    "full": Word(phrase("full process on video")),
    "specified": Word(phrase("specified content")),
    "text": Word(phrase("written record")),
}
CODES: Final[Mapping[str, str]] = {
    # Where a case stands.
    "opening": phrase("opening"),
    "investigation": phrase("investigation"),
    "review": phrase("review"),
    "decision": phrase("decision"),
    "service": phrase("service of documents"),
    "execution": phrase("execution"),
    # Why a clip needs handling, and what its description found.
    "zero-byte": phrase("file has no content"),
    "unreadable-media": phrase("media cannot be opened"),
    "unknown-content": phrase("content of unknown kind"),
    "unregistered-recorder": phrase("recorder that nobody registered"),
    # Why a file could not be copied.
    "read-error": phrase("the recorder could not read it"),
    "source-vanished": phrase("it was gone from the recorder"),
    "source-changed": phrase("it changed while it was read"),
    "pulled-early": phrase("the recorder was taken too early"),
    "reread-differs": phrase("the copy read back different"),
    "reread-cached": phrase("the copy could not be read back from the disk"),
    "write-error": phrase("the station could not write it"),
    "no-space": phrase("the station had no space"),
    "not-a-file": phrase("not a regular file"),
    "symlink": phrase("symbolic link, never followed"),
    "device-node": phrase("device node, never opened"),
    "fifo": phrase("pipe, never opened"),
    "socket": phrase("socket, never opened"),
    "unreadable-folder": phrase("folder cannot be read"),
    "unreadable-entry": phrase("entry cannot be read"),
    "other-filesystem": phrase("lies on another file system"),
    "nested-too-deep": phrase("nested too deep"),
    "ambiguous-name": phrase("name cannot be told apart from another"),
    "no-filesystem": phrase("no file system that could be read"),
    "not-mounted": phrase("volume could not be mounted read-only"),
    "unrecordable": phrase("does not fit a record"),
    "undecidable": phrase("facts that contradict each other"),
    "moov-missing": phrase("recording was not closed (index missing)"),
    "truncated": phrase("recording is cut off"),
    "duration-implausible": phrase("length is not plausible"),
    "time-implausible": phrase("time is not plausible"),
    "time-unknown": phrase("time is unknown"),
    "exiftool-failed": phrase("metadata could not be read (exiftool)"),
    "ffprobe-failed": phrase("streams could not be read (ffprobe)"),
    "format-guessed": phrase("format only guessed"),
    "no-streams": phrase("no picture and no sound inside"),
    "no-packets": phrase("no media data inside"),
    "no-decoder": phrase("no program here can open it"),
    "encrypted": phrase("encrypted"),
    "type-mismatch": phrase("content is not what the name says"),
    "duration-unproven": phrase("length not proven"),
    "gps-no-fix": phrase("no satellite fix"),
    "time-unconfirmed": phrase("time not confirmed by a second source"),
    "time-local-as-utc": phrase("local time written as UTC"),
    "time-conflict": phrase("times in the file contradict each other"),
    "no-picture": phrase("no picture"),
    "unreadable-picture": phrase("picture cannot be read"),
    "black-picture": phrase("picture is black"),
    "covered-picture": phrase("lens was covered"),
    "frozen-picture": phrase("picture stands still"),
    "officer-unknown": phrase("officer unknown"),
    "no-action": phrase("no action at this time"),
    "kind-not-linked": phrase("this kind is not linked"),
    "ambiguous": phrase("several acts fit equally"),
    "case-time-apart": phrase("case number fits, time does not"),
    # How a clip was linked.
    "officer-time": phrase("officer and time"),
    "case-number": phrase("case number"),
    "manual": phrase("by hand"),
    # Why.
    "officer-ledger": phrase("recorder issued to the officer (ledger)"),
    "officer-stated": phrase("officer as stated by the recorder"),
    "time-overlaps": phrase("time overlaps"),
    "overlap-within-uncertainty": phrase("overlap lies within the clock uncertainty"),
    "within-margin": phrase("just before or after the act"),
    "margin-only": phrase("only just before or after the act"),
    "place-confirms": phrase("place confirms"),
    "place-contradicts": phrase("place contradicts"),
    "concurrent-actions": phrase("several acts at this time"),
    "case-stated": phrase("case number stated"),
    "time-apart": phrase("times lie apart"),
    # Where a time or an officer comes from.
    "ledger": phrase("ledger"),
    "stated": phrase("as stated by the recorder"),
    "gps": phrase("satellite time"),
    "device": phrase("recorder clock"),
    "file-name": phrase("file name"),
    "container": phrase("container metadata"),
    "exif": phrase("EXIF metadata"),
    "mtime": phrase("file modification time"),
    "connect-write": phrase("file written at docking"),
    "future-mtime": phrase("file dated in the future"),
    "driver": phrase("read from the recorder"),
    "unmeasured": phrase("not measured"),
    # What somebody looked at.
    "detail": phrase("the page of the clip"),
    "proxy": phrase("the proxy"),
    # Gaps.
    "no-clip": phrase("no clip"),
    "original-not-as-recorded": phrase("original missing, altered or unreadable"),
    "unusable-picture": phrase("picture unusable"),
    "clip-truncated": phrase("clip cut off"),
    "recorder-missing": phrase("recorder missing"),
}
SELECTION: Final[Mapping[str, str]] = {
    "clips": phrase("clips"),
    "case": phrase("case"),
    "unit": phrase("unit"),
    "officer": phrase("officer"),
    "from": phrase("from"),
    "to": phrase("to"),
    "sample": phrase("random sample"),
}
EVENTS: Final[Mapping[str, str]] = {
    "device.docked": phrase("Recorder docked"),
    "device.identified": phrase("Whose recorder it is"),
    "device.undocked": phrase("Recorder removed"),
    "ingest.seen": phrase("Seen on the recorder"),
    "ingest.copied": phrase("Copied and read back equal"),
    "ingest.verified": phrase("Checked again at the station"),
    "ingest.failed": phrase("Could not be copied"),
    "media.described": phrase("Metadata described"),
    "proxy.created": phrase("Proxy made"),
    "clock.stepped": phrase("The station's clock was set"),
    "proxy.failed": phrase("No proxy could be made"),
    "central.verified": phrase("Verified by the centre"),
    "integrity.checked": phrase("Integrity checked"),
    "case.linked": phrase("Linked to an action"),
    "case.unlinked": phrase("Link withdrawn"),
    "flag.set": phrase("Flag set"),
    "flag.changed": phrase("Flag changed"),
    "flag.cleared": phrase("Flag withdrawn"),
    "station.entries": phrase("Taken into the centre log"),
    "access.exported": phrase("Left the house in a bundle"),
    "checkpoint.anchored": phrase("Anchored outside"),
    "audit.done": phrase("Audited"),
    "access.viewed": phrase("Looked at"),
    "flag.explained": phrase("Flag explained"),
    "flag.reviewed": phrase("Explanation of a flag reviewed"),
    "flag.closed": phrase("Flag closed"),
    "review.submitted": phrase("Handed in for legal review"),
    "review.extended": phrase("Legal review extended"),
    "review.concluded": phrase("Legal review concluded"),
    "decision.made": phrase("Decision recorded"),
    "decision.withdrawn": phrase("Decision withdrawn"),
    "disclosure.published": phrase("Published"),
    "token.created": phrase("Token made"),
    "token.revoked": phrase("Token revoked"),
    "hold.set": phrase("Put on hold"),
    "hold.released": phrase("Hold released"),
    "disposal.approved": phrase("Disposal approved"),
    "disposal.done": phrase("Disposed of"),
    "config.changed": phrase("Configuration changed"),
    "catalogue.changed": phrase("Catalogue of acts changed"),
}
