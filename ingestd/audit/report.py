"""Writes an audit report: pages, facts, keys and a signed list of them, as a folder that goes to whoever asked.

Signed is ``SHA256SUMS``, by the centre's key, in the forms that openssl and ssh-keygen check. The signature says that
this centre reports so; what it reports can be redone by anybody with the logs and the seed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from custody.signer import ED25519, Signer
from ingestd.audit import export_sign
from ingestd.audit.export_bag import manifest
from ingestd.audit.report_pages import LANGUAGES, page
from ingestd.audit.report_pdf import pdf
from ingestd.errors import AuditError
from ingestd.logfiles import fsync_dir

NAMESPACE: Final = "bwc-report"
"""What an SSH signature of a report is about (``ssh-keygen -Y verify -n``)."""
SUMS: Final = "SHA256SUMS"
FACTS: Final = "report.json"


def check(signer: Signer, out: Path) -> None:
    """Raises ``AuditError`` when no report can be made here, before hours are spent on reading."""
    if signer.suite() != ED25519:
        raise AuditError("a report is signed with Ed25519; the centre's key is of another suite")
    if out.exists() or not out.parent.is_dir() or not out.name:
        raise AuditError(f"{out}: a folder that is not there yet, in one that is, is needed")


def write(facts: Mapping[str, Any], signer: Signer, out: Path, *, with_pdf: bool) -> str:
    """Make the folder ``out``; returns why there is no PDF, or an empty string.

    Raises ``AuditError`` when it cannot be written. The pages are written whether or not a PDF can be.
    """
    pages = {f"report.{tag}.html": page(facts, language) for language, tag in LANGUAGES.items()}
    files = {FACTS: json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"}
    files |= {name: html.encode() for name, html in pages.items()}
    problem = ""
    if with_pdf:
        try:
            files |= {name.replace(".html", ".pdf"): pdf(html) for name, html in pages.items()}
        except AuditError as error:
            problem = str(error)
    files |= {
        "centre.pem": export_sign.pem(signer.public_key()),
        "allowed_signers": export_sign.allowed_signers(facts["centre"], signer.public_key(), NAMESPACE).encode(),
    }
    sums = manifest({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    files |= {
        SUMS: sums,
        f"{SUMS}.ed25519": signer.sign(sums),
        f"{SUMS}.sshsig": export_sign.sshsig(signer, sums, NAMESPACE),
    }
    try:
        _write(files, out)
    except OSError as error:
        raise AuditError(f"{out}: cannot be written: {error.strerror}") from error
    return problem


def _write(files: Mapping[str, bytes], out: Path) -> None:
    """All of it, durably, under its name; or nothing."""
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        made = Path(folder) / "report"
        made.mkdir()
        for name, data in files.items():
            with (made / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        fsync_dir(made)
        made.rename(out)
    fsync_dir(out.parent)
