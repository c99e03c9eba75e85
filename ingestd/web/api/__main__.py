"""``python -m ingestd.web.api > docs/api/openapi.json``: the description of the API as it is now."""

import json
from typing import Any

from ingestd.web.app import create_app


def _nothing(*_: Any) -> Any:
    raise NotImplementedError("only described here")


def main() -> None:
    """Print the OpenAPI document; nothing is read and nobody is asked."""
    reads: Any = None
    app = create_app(reads, reads, counted=_nothing, importer=_nothing)
    print(json.dumps(app.openapi(), ensure_ascii=False, indent=1))  # noqa: T201  # the document is the output


if __name__ == "__main__":
    main()
