"""Writes the proof of one clip: everything signed about it, and nothing of its content.

A small folder that anybody can check with openssl and jq, or with the verifier that shares no code with us. It is the
bundle of an export without originals: entries, inclusion proofs, checkpoints, anchors, keys, a signed list of files.
Whoever has the file, from whatever source, can hold it against the proof.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from custody.canonical import canonical_bytes
from custody.chain import Entry
from ingestd.audit import verify_bundle
from ingestd.audit.export import (
    Covered,
    House,
    Order,
    check,
    checked,
    key_file,
    name,
    read_centre,
    read_stations,
    sign_tags,
    write_anchors,
    write_keys,
    write_log,
)
from ingestd.audit.export_bag import TAG_MANIFEST, Bag, manifest
from ingestd.audit.words import moment, plain
from ingestd.errors import ExportError
from ingestd.index.rows import object_in, text_in

PAGES: Final = ("check.sh", "README.zh-CN.txt", "README.en.txt")


@dataclass(frozen=True, slots=True)
class Proved:
    """A finished proof and what the independent path says of it."""

    folder: Path
    clip: str
    report: verify_bundle.Report


def prove(order: Order, house: House, out: Path) -> Proved:
    """Make the proof of the one clip in ``order`` as ``out``, a folder that is not there yet.

    Raises ``ExportError`` (exit 2) when it cannot be made, ``NotAsRecordedError`` (exit 1) when a log or the finished
    proof is not as recorded; then ``out`` does not exist.
    """
    check(order, house, out)
    [clip] = order.objects
    choices, logs = read_stations(house, order)
    copies = [choice.copies[clip] for choice in choices if clip in choice.copies]
    if not copies:
        raise ExportError(f"no signed checkpoint covers an entry that brings clip {clip} 没有此片段的签名记录")
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        bag = Bag(Path(folder) / "proof")
        bag.folder.mkdir()
        centre = read_centre(house, order, logs)
        for log in (centre, *logs):
            write_log(bag, log)
        write_anchors(bag, house, centre)
        write_keys(bag, house, (centre, *logs))
        station = next(log for log in logs if log.origin == copies[0].record.log)
        facts = _facts(order, house, copies[0], centre, station)
        bag.add_tag(verify_bundle.PROOF, canonical_bytes(facts) + b"\n")
        for page, content in _pages(facts, order).items():
            bag.add_tag(page, content)
        bag.add_tag("verify_bundle.py", (resources("ingestd.audit") / "verify_bundle.py").read_bytes())
        tags = manifest(bag.tags)
        bag.add_loose(TAG_MANIFEST, tags)
        sign_tags(bag, house, tags)
        report = checked(house, lambda policy, roots: verify_bundle.verify_proof(bag.folder, policy, roots))
        name(bag, out, report)
    return Proved(out, clip, report)


def _facts(order: Order, house: House, copied: Entry, centre: Covered, station: Covered) -> dict[str, Any]:
    """What the pages tell, and ``proof.json`` holds."""
    record = copied.record
    mirrored, receipt = _mirrored(copied, centre), _receipt(text_in(record.block("object"), "id"), centre)
    stored = record.block("object")
    return {
        "type": "bwc.proof/v1",
        "object": text_in(stored, "id"),
        "file": text_in(stored, "name"),
        "size": stored["size"],
        "sha256": text_in(object_in(stored, "digests"), "sha256"),
        "path": text_in(record.block("source"), "path"),
        "recorder": text_in(record.block("camera"), "serial"),
        "station": record.log,
        "entry": _place(copied),
        "copied_ms": record.utc_ms,
        "centre": house.centre.name,
        "mirrored": mirrored,
        "receipt": receipt,
        "keys": {
            "entry": _key_of(station, record.seq),
            "mirrored": _key_of(centre, _seq(mirrored)),
            "receipt": _key_of(centre, _seq(receipt)),
        },
        "operator": order.operator,
        "host": order.host,
        "tool": f"ingestd {order.version}",
        "made_ms": order.now_ms,
    }


def _place(entry: Entry) -> str:
    """Where an entry lies in the folder, without the ending."""
    return f"{entry.record.log}/{entry.seq:09d}"


def _key_of(log: Covered, seq: int) -> str:
    """Name of the file of the key that signed an entry."""
    return key_file(log, log.history.at(seq).note)


def _seq(place: str) -> int:
    return int(place.rpartition("/")[2] or 0)


def _mirrored(copied: Entry, centre: Covered) -> str:
    """The centre's entry that names the one of the station."""
    for entry in centre.entries:
        block = object_in(entry.record.payload, "mirror")
        leaves = block.get("leaves")
        if text_in(block, "log") == copied.record.log and isinstance(leaves, list) and copied.leaf.hex() in leaves:
            return _place(entry)
    return ""


def _receipt(clip: str, centre: Covered) -> str:
    for entry in centre.entries:
        if entry.record.event == "central.verified" and text_in(entry.record.block("object"), "id") == clip:
            return _place(entry)
    return ""


def _pages(facts: Mapping[str, Any], order: Order) -> dict[str, bytes]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ingestd.audit", "templates/proof"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # plain text; what a recorder wrote goes through «plain»
    )
    environment.filters["plain"] = plain
    environment.filters["moment"] = lambda utc_ms: moment(utc_ms, ZoneInfo(order.zone))
    return {page: environment.get_template(page).render(facts).encode() for page in PAGES}
