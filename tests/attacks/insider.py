"""What attackers do with the keys they hold: logs cut, rewritten, chained and signed anew, as well as can be."""

import base64
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from custody.canonical import canonical_bytes, parse_object
from custody.envelope import open_envelope, seal
from custody.log import CHECKPOINT, SNAPSHOT, Log
from custody.merkle import leaf_hash
from custody.signer import Signer, verify_key
from station_agent.logfiles import ENTRIES, PosixLogFiles
from tests.attacks.house import CENTRE_ORIGIN, House

Record = dict[str, Any]
Edit = Callable[[list[Record]], Iterable[Record]]


def entries(folder: Path) -> list[bytes]:
    """Entries of a log, byte for byte."""
    return (folder / ENTRIES).read_bytes().split(b"\n")[:-1]


def put(folder: Path, lines: Iterable[bytes]) -> None:
    """Make these the entries of a log, and touch nothing else of it."""
    (folder / ENTRIES).write_bytes(b"".join(line + b"\n" for line in lines))


def records(folder: Path) -> list[Record]:
    return [record(line) for line in entries(folder)]


def record(entry: bytes) -> Record:
    """What an entry says, whoever signed it."""
    return dict(parse_object(open_envelope(entry).payload))


def stored(folder: Path) -> list[Record]:
    """Originals that a station's log announces, oldest first."""
    return [dict(one["object"]) for one in records(folder) if one["event"] == "ingest.copied"]


def chained(payloads: Iterable[Record], signer: Signer) -> list[bytes]:
    """Entries of these records with numbers, predecessors and signatures that are all right."""
    lines: list[bytes] = []
    for seq, payload in enumerate(payloads):
        prev = leaf_hash(lines[-1]).hex() if lines else ""
        lines.append(seal(canonical_bytes({**payload, "seq": seq, "prev": prev}), [signer]))
    return lines


def rewrite(folder: Path, origin: str, signer: Signer, edit: Edit) -> None:
    """Another past under the same key: no number, predecessor, signature or checkpoint is wrong in it."""
    put(folder, chained(edit(records(folder)), signer))
    sign_anew(folder, origin, signer)


def sign_anew(folder: Path, origin: str, signer: Signer) -> None:
    """A checkpoint over whatever the log holds now."""
    for name in (CHECKPOINT, SNAPSHOT):
        (folder / name).unlink(missing_ok=True)
    Log(PosixLogFiles(folder), origin, [verify_key(signer)]).checkpoint(signer)


def without(*events: str) -> Edit:
    """Leave out the last record of each event."""

    def edit(found: list[Record]) -> list[Record]:
        for event in events:
            found.remove([one for one in found if one["event"] == event][-1])
        return found

    return edit


def forging(path: str, content: bytes) -> Edit:
    """Have what was sealed of the recorder's file ``path`` say that it held ``content``."""

    def edit(found: list[Record]) -> list[Record]:
        [told] = [one for one in found if one["event"] == "ingest.copied" and one["source"]["path"] == path]
        return [{**one, **_forged(one, content)} if is_about(one, told["object"]["id"]) else one for one in found]

    return edit


def is_about(told: Any, object_id: str) -> bool:
    """Whether it tells of this object."""
    return isinstance(told.get("object"), dict) and told["object"]["id"] == object_id


def _forged(told: Any, content: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    stored = {**told["object"], "size": len(content), "digests": {"sha256": sha256}}
    copy = {"copy": {**told["copy"], "reread_sha256": sha256}} if "copy" in told else {}
    return {"object": stored, **copy}


def sql(database: Path, statement: str, *values: object) -> int:
    """A row changed by hand; returns how many were."""
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(statement, values).rowcount


def follow(house: House) -> None:
    """Have the database say that it follows the centre log as it is now."""
    root = Log(PosixLogFiles(house.centre_log), CENTRE_ORIGIN, [verify_key(house.centre_key)]).chain.root()
    values = len(entries(house.centre_log)), base64.b64encode(root).decode()
    assert sql(house.database, "UPDATE state SET applied_seq = ?, applied_root = ?", *values) == 1


def replace_folder(old: Path, new: Path) -> None:
    shutil.rmtree(old)
    shutil.copytree(new, old)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def swap(one: Path, other: Path) -> None:
    """Each file under the name of the other."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
