"""``python -m ingestd.rules CATALOGUE > docs/rules.md``: the rules as a document."""

import sys
from pathlib import Path

from ingestd.catalogue import load
from ingestd.rules.document import document

if __name__ == "__main__":
    sys.stdout.write(document(load(Path(sys.argv[1]))))
