"""An agent as one would write it in an afternoon: it copies, deletes and trusts, and syncs nothing.

It exists for the invariant checker, which has to see what is wrong with it.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from custody.canonical import JsonObject
from custody.log import Log
from custody.record import Draft
from custody.signer import Ed25519Signer
from station_agent.logfiles import PosixLogFiles
from station_agent.seal import new_id
from tests.fakes.station_world import ORIGIN, START_MS


def offload(card: Path, data: Path, signer: Ed25519Signer, disk: Callable[[bytes], bytes]) -> None:
    """Offload a card in bay 1 and empty it. ``disk`` is what the disk keeps of what it is given."""
    log = Log(PosixLogFiles(data / "log"), ORIGIN, [signer.verify_key()])
    for number, source in enumerate(sorted(path for path in card.iterdir() if path.is_file()), 1):
        target = data / "spool/originals/2026/11/25" / f"{new_id(START_MS + number)}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            content = _copied(source, target, disk)
        except OSError:
            continue  # cannot be helped
        body = _entry(source, str(target.relative_to(data / "spool")), content)
        log.append([Draft("ingest.copied", new_id(START_MS), _time(), body)], [signer])
        source.unlink()


def _copied(source: Path, target: Path, disk: Callable[[bytes], bytes]) -> bytes:
    with target.open("wb") as file:
        file.write(b"HEAD")
        content = source.read_bytes()
        file.seek(0)
        file.write(disk(content))
    return content


def _entry(source: Path, name: str, content: bytes) -> JsonObject:
    digest = hashlib.sha256(content).hexdigest()
    mtime_ms = source.stat().st_mtime_ns // 1_000_000
    return {
        "station": {"id": "station-01", "agent": "naive"},
        "camera": {"serial": "EC2300471", "bay": 1},
        "object": {
            "id": Path(name).stem,
            "name": name,
            "size": len(content),
            "media_type": "video/mp4",
            "digests": {"sha256": digest},
        },
        "source": {"volume_uuid": "6A1F-0C3B", "path": source.name, "size": len(content), "mtime_ms": mtime_ms},
        "copy": {"start_ms": START_MS, "end_ms": START_MS, "reread_sha256": digest, "reread": "uncached"},
    }


def _time() -> JsonObject:
    return {"utc_ms": START_MS, "source": "none", "boot_id": "00000000-0000-4000-8000-000000000000", "mono_ns": "1"}
