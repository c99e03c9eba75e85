"""The stations: what the centre holds of each, and what each last claimed of its health."""

from collections.abc import Callable, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.stations import StationRow
from ingestd.web.site import Site


def add_pages(app: FastAPI, site: Site, stations: Callable[[], Sequence[StationRow]]) -> None:
    """Add ``/stations``."""

    @app.get("/stations", include_in_schema=False)
    def page(request: Request) -> Response:
        return site.page(request, "stations.html", stations=stations())
