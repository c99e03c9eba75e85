"""A centre as small as can be: mirrors a station's log, cosigns, and answers with receipts when it is told to."""

from custody.checkpoint import Checkpoint, NoteKey, cosign, parse_note
from custody.log import Log
from custody.messages import Receipts, decode_records
from custody.receipt import EVENT, body
from custody.record import Draft
from custody.signer import Signer, VerifyKey, verify_key
from station_agent.seal import new_id
from tests.fakes.log_files import MemoryLogFiles
from tests.fakes.station_world import CENTRE, ORIGIN, SIGNER, START_MS, WITNESS

CENTRE_LOG = "custody.example/centre"
WITNESS_NAME = "custody.example/centre-witness"
CENTRE_KEY = NoteKey(CENTRE_LOG, VerifyKey(CENTRE.public_key()))
WITNESS_KEY = NoteKey(WITNESS_NAME, VerifyKey(WITNESS.public_key()), 4)


class FakeCentre:
    """``receive`` takes the bytes of a ``Records`` message and returns those of the answer."""

    def __init__(self) -> None:
        self.mirror = Log(MemoryLogFiles(chunk=65536), ORIGIN, [SIGNER.verify_key()])
        self.log = Log(MemoryLogFiles(chunk=65536), CENTRE_LOG, [CENTRE.verify_key()])
        self.received: list[tuple[int, int]] = []
        self.give_receipts = True
        self.signers: list[Signer] = [CENTRE]
        self.time_s = START_MS // 1000

    def sign_with(self, *signers: Signer) -> None:
        """A log anew, of other keys."""
        self.signers = list(signers)
        self.log = Log(MemoryLogFiles(chunk=65536), CENTRE_LOG, [verify_key(signer) for signer in signers])

    def receive(self, data: bytes) -> bytes:
        message = decode_records(data)
        self.received.append((message.first, len(message.entries)))
        new = message.entries[max(0, self.mirror.size - message.first) :]
        if new and message.first <= self.mirror.size:
            self.mirror.mirror(*self.mirror.verify_next(new))
        receipts = [self._receipt(seq) for seq in range(message.first, message.first + len(message.entries))]
        given = tuple(r for r in receipts if r) if self.give_receipts else ()
        return Receipts(ORIGIN, self.mirror.size, given, self._cosigned(message.checkpoint)).encode()

    def _cosigned(self, note: bytes) -> bytes:
        signed = parse_note(note)
        if signed.checkpoint != Checkpoint(ORIGIN, self.mirror.size, self.mirror.chain.root()):
            return b""
        return cosign(signed, WITNESS_NAME, WITNESS, self.time_s)

    def _receipt(self, seq: int) -> bytes:
        entry = next(self.mirror.entries(seq), None)
        if entry is None or entry.record.event != "ingest.copied":
            return b""
        stored = dict(entry.record.block("object"))
        time = {"utc_ms": START_MS, "source": "none", "boot_id": "x", "mono_ns": "0"}
        facts = body(ORIGIN, seq, entry.leaf.hex(), stored)
        draft = Draft(EVENT, new_id(START_MS), time, facts)  # type: ignore[arg-type]  # a body is canonical by contract
        return self.log.append([draft], self.signers)[0].data
