"""Composition of an export from the configuration: which keys, logs, store and choice of clips."""

import getpass
import json
import os
import socket
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from custody.canonical import JsonObject
from custody.identifiers import uuid7
from ingestd import premises
from ingestd.audit.export import EVENT, Authority, House, Order
from ingestd.config import Config
from ingestd.errors import ExportError
from ingestd.index.queries import ClipFilter, Queries
from ingestd.index.rows import Row
from ingestd.keys import load_signer
from ingestd.logfiles import PosixLogFiles
from ingestd.pipeline import Pipeline
from ingestd.store import EvidenceReader

_PAGE = 500


def house_of(config: Config, pipeline: Pipeline) -> House:
    """Everything an export needs of the centre."""

    def record(body: JsonObject) -> None:
        pipeline.record([(EVENT, body)])
        pipeline.checkpoint()

    first, *later = premises.centre_keys(config)
    stations, rows = pipeline.stations(), pipeline.log_keys()
    seconds = [first.second, *(station.second_key for station in stations)]
    return House(
        centre=first.note,
        centre_later=later,
        certificates=certificates(rows, config.ca_cert, config.crl),
        signer=pipeline.signers()[0],
        cosigner=config.cosigner,
        witness=load_signer(config.witness_key),
        stations=stations,
        files=lambda name: PosixLogFiles(premises.log_folder(config, name)),
        store=EvidenceReader(config.store.url),
        record=record,
        anchors=config.paths.data / "anchors",
        seconds=[key for key in seconds if key is not None],
        witnesses=config.anchors.witness_keys(),
        authorities=[Authority(one.name, one.ca, one.tsa_cert) for one in config.anchors.tsa],
    )


def certificates(rows: Sequence[Row], ca: Path, crl: Path) -> dict[str, bytes]:
    """What was issued for keys, by its place in a bundle, with the authority's own certificate and its CRL."""
    found = {
        f"keys/certificates/{row['station']}.{row['keyid'].replace(':', '-')}.{name}.crt": str(pem).encode()
        for row in rows
        for name, pem in json.loads(row["certificates"]).items()
        if name != "ca"
    }
    beside = {"keys/certificates/ca.crt": ca, "keys/certificates/ca.crl": crl}
    return {**found, **{name: path.read_bytes() for name, path in beside.items() if path.is_file()}}


def order_of(  # noqa: PLR0913  # options of one command
    config: Config, objects: Sequence[str], case: str, reason: str, *, mhl: bool, proxies: bool
) -> Order:
    """Who takes what: the person is the one the operating system knows, and is not asked."""
    now_ms = premises.SystemClock().now_ms()
    return Order(
        export_id=uuid7(now_ms, os.urandom(10)),
        objects=objects,
        case=case,
        reason=reason,
        operator=getpass.getuser(),
        host=socket.gethostname(),
        version=version("bodycam-custody"),
        now_ms=now_ms,
        zone=str(config.zone),
        mhl=mhl,
        proxies=proxies,
    )


def choose(queries: Queries, case: str, clips: Sequence[str]) -> list[str]:
    """Clips of a case, or those named. Raises ``ExportError`` when there is none, or one of them is not known."""
    if bool(case) == bool(clips):
        raise ExportError("give --case, or --clip once or more, one of them")
    if not case:
        unknown = [one for one in clips if not _is_known(queries, one)]
        if unknown:
            raise ExportError(f"there is no clip {', '.join(unknown)} 没有此片段")
        return sorted(set(clips))
    found: list[str] = []
    after: str | None = None
    while True:
        page = queries.clips(ClipFilter(case=case), after, _PAGE)
        found.extend(row.object_id for row in page.rows)
        after = page.next
        if after is None:
            break
    if not found:
        raise ExportError(f"no clip is linked to case {case} 该案没有关联的片段")
    return sorted(found)


def _is_known(queries: Queries, object_id: str) -> bool:
    return any(row.object_id == object_id for row in queries.clips(ClipFilter(text=object_id), None, 2).rows)
