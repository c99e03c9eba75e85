"""An import as a process of its own, which says what memory it needed and can be killed at a chosen step.

``python -m tests.fakes.import_process CONFIG FILE [STEP ROWS]``: with a step, ``kill -9`` once it is so many rows far.
"""

import json
import os
import signal
import sys
from pathlib import Path

from ingestd import config, service
from ingestd.progress import Step


def main() -> None:
    """Import and say."""
    configuration, file, *killed = sys.argv[1:]

    def watch(step: Step) -> None:
        if killed and step.what.startswith(killed[0]) and step.done >= int(killed[1]):
            os.kill(os.getpid(), signal.SIGKILL)

    centre = service.build(config.load(Path(configuration)))
    path = Path(file)
    imported, changes = centre.pipeline.import_cases(path.read_bytes(), path.name, progress=watch)
    said = {"errors": len(imported.errors), "changed": len(changes.actions), "peak_kib": peak_kib()}
    sys.stdout.write(json.dumps(said) + "\n")


def peak_kib() -> int:
    """High-water mark of resident memory (proc(5), VmHWM); getrusage would count what the parent needed as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
