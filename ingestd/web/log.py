"""What a witness in another organisation reads: the newest checkpoint, and proofs that the log only grew."""

import base64
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from ingestd.web.language import phrase
from ingestd.web.ports import LogReads
from ingestd.web.site import PageError


def add_pages(app: FastAPI, log: LogReads) -> None:
    """Add ``/api/v1/log/…``."""

    @app.get("/api/v1/log/checkpoint")
    def checkpoint() -> Response:
        """The newest signed checkpoint of the centre log, byte for byte (C2SP tlog-checkpoint)."""
        note = log.checkpoint()
        if note is None:
            raise PageError(404, phrase("There is no such page."))
        return PlainTextResponse(note)

    @app.get("/api/v1/log/consistency")
    def consistency(start: Annotated[int, Query(alias="from")], stop: Annotated[int, Query(alias="to")]) -> Response:
        """The RFC 6962 consistency proof between two sizes, hashes in base64. 400 when the log has no such sizes."""
        proof = log.consistency(start, stop)
        if proof is None:
            raise PageError(400, phrase("Not usable: %(where)s"), where="from, to")
        return JSONResponse({"from": start, "to": stop, "proof": [base64.b64encode(node).decode() for node in proof]})
