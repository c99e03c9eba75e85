"""A dock in a busy minute, as the station's status tells it: every bay state at once."""

from typing import Any

GB = 1_000_000_000


def bay(number: int, state: str, **more: Any) -> dict[str, Any]:
    """One bay of the status; what is not given is nothing."""
    plain = {
        "serial": "",
        "label": "",
        "filesystem": "exfat",
        "kernel_event": True,
        "files_done": 0,
        "files_total": 0,
        "bytes_done": 0,
        "bytes_total": 0,
        "rate_bytes_s": 0,
        "eta_s": None,
        "warnings": [],
    }
    return {"bay": number, "state": state, **plain, **more}


def status(*bays: dict[str, Any], online: bool = True, outbox: int = 0) -> dict[str, Any]:
    """The value of ``/api/status``."""
    return {
        "station": "station-07",
        "state": "running",
        "bays": list(bays),
        "waiting": {"describe": 0, "transcode": 2, "upload": 3 if outbox else 0, "receipts": outbox, "outbox": outbox},
        "log": {
            "origin": "custody.example/station-07",
            "size": 1284,
            "root": "q1Zt0m2hTn4g3H0y7S8vQkq8l1k6",
        },
        "centre": {"online": online, "since_ms": 1_795_300_000_000},
    }


def busy() -> dict[str, Any]:
    """Twelve bays, each in another state."""
    moving = {"rate_bytes_s": 61_400_000, "files_total": 12, "bytes_total": 18 * GB}
    return status(
        bay(1, "safe", label="DSJ-8A 2200417", files_done=9, files_total=9, bytes_done=7 * GB, bytes_total=7 * GB),
        bay(2, "reading", label="DSJ-8A 2200418", files_done=3, bytes_done=6_420_000_000, eta_s=189, **moving),
        bay(3, "verifying", label="DSJ-8A 2200431", files_done=11, bytes_done=17_800_000_000, eta_s=21, **moving),
        bay(4, "waiting-upload", label="H22-0093", files_done=4, files_total=4, bytes_done=GB, bytes_total=GB),
        bay(
            5,
            "safe-with-warnings",
            label="DSJ-8A 2200420",
            files_done=6,
            files_total=6,
            bytes_done=3 * GB,
            bytes_total=3 * GB,
            warnings=["clock-offset:94000"],
        ),
        bay(6, "pulled-early", label="H22-0101", files_done=10, files_total=12, bytes_done=GB, bytes_total=2 * GB),
        bay(7, "no-new-data", label="DSJ-8A 2200402"),
        bay(8, "identifying"),
        bay(9, "error", label="A9-30517", files_done=2, files_total=3, warnings=["DCIM/100/MOV_0003.MP4: read-error"]),
        bay(10, "unregistered", label="USB DISK 3.0"),
        bay(11, "no-space", label="DSJ-8A 2200433", files_total=8, bytes_total=9 * GB),
        bay(12, "idle"),
        online=False,
        outbox=17,
    )


def filled(bays: int) -> dict[str, Any]:
    """A dock of so many bays: as many of the busy ones as fit, the rest free."""
    known = busy()["bays"][: min(bays, 11)]
    return status(*known, *(bay(number, "idle") for number in range(len(known) + 1, bays + 1)), online=False, outbox=17)


def beside(_status: Any = None) -> dict[str, Any]:
    """What stands beside the status: the value of ``/api/dock``."""
    return {
        "clock": {"source": "ntp", "utc_ms": 1_795_300_000_000 + 3 * 3600_000},
        "disk": {"free_bytes": 440 * GB, "video_hours": 122},
        "dockings_today": 14,
        "bays": {
            "1": {"officer": "***0417"},
            "2": {"officer": "***0418", "mark": "priority"},
            "3": {"officer": "***0431"},
            "5": {"officer": "***0420", "mark": "important"},
        },
        "receipts": [receipt(12)],
        "technician": {
            "ports": {
                str(number): {
                    "wanted": f"*usb-0:{number}:1.0*",
                    "found": f"pci-0000:00:14.0-usb-0:{number}:1.0-scsi-0:0:0:0" if number < 12 else "",
                }
                for number in range(1, 13)
            },
            "failures": [
                {
                    "seq": 1270 - number,
                    "at": "11-22 11:58:07 +0800",
                    "at_ms": 0,
                    "bay": 9,
                    "serial": "A9-30517",
                    "path": f"DCIM/100/MOV_{number:04}.MP4",
                    "reason": "read-error",
                }
                for number in range(3, 7)
            ],
            "set_aside": {"read-error": 4, "symlink": 1},
            "cosigned": {"size": 1267, "at_s": 1_795_299_000},
        },
    }


def receipt(number: int, **more: Any) -> dict[str, Any]:
    """A receipt over one bay."""
    plain = {
        "bay": number,
        "left_s": 17,
        "recorder": "DSJ-8A 2200466",
        "officer": "***0466",
        "files": 12,
        "bytes": 18 * GB,
        "duration_ms": 5 * 3_600_000 + 754_000,
        "described": 12,
        "span": "11-21 20:03 – 11-22 04:41 +0800",
        "warnings": ["clock-offset:-94000", "gap:08:12:00–08:19:30"],
        "level": "uncached",
        "number": {"log": "custody.example/station-07", "seq": 1283, "leaf": "5f3c9a71" * 8},
    }
    return {**plain, **more}


def demo() -> dict[str, Any]:
    """Two bays, as in the demo."""
    return status(
        bay(
            1,
            "reading",
            serial="BWC0001",
            label="BWC0001",
            files_done=3,
            files_total=7,
            bytes_done=21_000_000,
            bytes_total=54_000_000,
            rate_bytes_s=48_000_000,
            eta_s=1,
        ),
        bay(2, "idle"),
    )
