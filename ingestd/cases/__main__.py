"""``python -m ingestd.cases FOLDER > docs/import.md``: the import formats, with the examples in FOLDER."""

import sys
from pathlib import Path

from ingestd.cases.document import document

if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).iterdir())
    sys.stdout.write(document({file.name: file.read_text(encoding="utf-8") for file in files}))
