"""The fault matrix as data: each fault, how it is injected, and what must hold besides the invariants."""

from dataclasses import dataclass
from typing import Final

from tests.faults import scenarios
from tests.faults.scenarios import Scenario

LOOP: Final = "loop"
"""The loop dock: real uevents, udev and block devices of the host's kernel."""
QEMU: Final = "qemu"
"""A guest with Debian's own kernel: xHCI, usb-storage, vfat, exfat, power cut."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. It is proved by a scenario of ours, by tests that are there already, or by both."""

    fault: str
    chinese: str
    injected: str
    holds: str
    """Besides the twelve invariants."""
    scenario: Scenario | None = None
    site: str = ""
    """Scenarios of one site follow each other in one life of its station; an empty one has a site of its own."""
    tests: tuple[str, ...] = ()
    """``path::test`` of existing tests that prove the same, or more of it."""
    starts: bool = True
    """Whether the site starts the station, or the scenario does."""
    in_suite: bool = True
    """Whether ``./dev test`` runs it, small; ``./dev faults`` runs every row in its full size."""


_DOCK: Final = "tests/integration/test_dock_offload.py::test_"
_STATION: Final = "tests/integration/test_station_dock.py::test_"
_ERASE: Final = "tests/integration/test_erase.py::test_"
_PUBLISH: Final = "tests/integration/test_station_publish.py::test_"
_KILL: Final = "tests/integration/test_station_kill.py::test_"

MATRIX: Final = (
    Row(
        "unplug idle",
        "空闲时拔出",
        "unplug after the last entry; the same recorder once more",
        "bay free; nothing copied twice",
        scenarios.unplug_idle,
        "dock",
        (f"{_STATION}plug_copy_unplug",),
        in_suite=False,
    ),
    Row(
        "yank mid-copy",
        "复制中拔出",
        "EIO on every read, then `remove` uevents",
        "被提前拔出; the rest is copied when it is back",
        scenarios.yank_in_mid_copy,
        "dock",
        (
            f"{_STATION}pulled_early_and_put_back",
            f"{_DOCK}a_yank_in_mid_copy_is_a_reason_and_an_undocking_and_the_mount_goes",
        ),
    ),
    Row(
        "replug elsewhere",
        "换仓位重插",
        "yank in mid-copy, then another bay",
        "resumes; no file twice",
        scenarios.replug_elsewhere,
        "dock",
    ),
    Row(
        "bad sector",
        "坏扇区",
        "nbdkit: EIO at one sector inside a clip",
        "error on the screen; read-error names the clip; all others copied",
        scenarios.bad_sector,
        "dock",
        (
            f"{_DOCK}a_bad_sector_spoils_one_file_and_not_the_others",
            f"{_DOCK}a_failing_medium_that_heals_can_be_read_again",
        ),
    ),
    Row(
        "slow device",
        "慢速介质",
        "nbdkit: 1 MiB/s",
        "no time-out kills what makes progress",
        scenarios.slow_device,
        "dock",
        in_suite=False,
    ),
    Row(
        "two recorders, one serial",
        "两台同序列号",
        "both docked at once",
        "told apart by bay, nothing mixed",
        scenarios.twins,
        "dock",
        (f"{_DOCK}the_same_serial_in_two_bays_is_told_apart",),
    ),
    Row(
        "corrupted file system",
        "文件系统损坏",
        "random bytes behind the boot region of exFAT",
        "error on the screen, ingest.failed in the log",
        scenarios.corrupted_filesystem,
        "dock",
        (
            f"{_STATION}a_recorder_whose_file_system_is_destroyed_is_an_error_and_a_record",
            f"{_DOCK}a_dirty_journal_is_not_replayed",
        ),
        in_suite=False,
    ),
    Row(
        "hostile names",
        "恶意文件名",
        "newlines, escapes, no UTF-8, case twins, bidi, link, FIFO",
        "every regular file copied; link and FIFO refused with a reason",
        scenarios.hostile_names,
        "dock",
        (
            f"{_DOCK}hostile_entries_are_listed_refused_and_never_followed",
            f"{_DOCK}names_that_exfat_cannot_tell_apart_are_refused",
        ),
    ),
    Row(
        "many small files",
        "大量小文件",
        "files of up to 4 KiB, 10,000 by default (100 in the suite)",
        "every one copied once",
        scenarios.many_small_files,
        "dock",
        (f"{_KILL}killed_within_a_batch_of_small_files",),
    ),
    Row(
        "one big file",
        "单个大文件",
        "one sparse file, 8 GiB by default",
        "copied and stored equal",
        scenarios.one_big_file,
        "dock",
        in_suite=False,
    ),
    Row(
        "16 recorders at once",
        "16 台同时插入",
        "all bays (4 in the suite), one of them slow",
        "the others do not wait for it",
        scenarios.all_bays_at_once,
        "dock",
    ),
    Row(
        "broker down",
        "消息服务中断",
        "kill -9 of mosquitto while a recorder is read",
        "copied all the same; outbox empties afterwards",
        scenarios.broker_down,
        "system",
        (f"{_PUBLISH}a_broker_that_is_killed_and_away_loses_nothing",),
        in_suite=False,
    ),
    Row(
        "store down",
        "证据库中断",
        "a file where the store's folder was",
        "copied all the same; uploaded afterwards",
        scenarios.store_down,
        "system",
    ),
    Row(
        "centre down",
        "中心中断",
        "kill -9 of ingestd",
        "not said to be safe; receipts afterwards",
        scenarios.centre_down,
        "system",
        (f"{_PUBLISH}an_acknowledged_message_that_nobody_answered_is_sent_again",),
    ),
    Row(
        "emptied after receipts",
        "收到回执后清空",
        "policy after-receipt, the real centre",
        "only what a receipt names is gone",
        scenarios.emptied_after_receipts,
        "system",
        (
            f"{_ERASE}pulled_in_the_middle_is_told_at_the_next_docking",
            f"{_ERASE}a_killed_erase_process_leaves_a_true_record_and_no_writable_mount",
        ),
    ),
    Row(
        "disk full while copying",
        "复制时磁盘满",
        "a disk of 160 MiB, filled",
        "空间不足; goes on when there is room",
        scenarios.disk_full_while_copying,
        starts=False,
        in_suite=False,
    ),
    Row(
        "disk full while sealing",
        "入证时磁盘满",
        "no byte left for log and journal",
        "the station ends with 74; the next start goes on",
        scenarios.disk_full_while_sealing,
        starts=False,
    ),
    Row(
        "disk full while storing",
        "入库时磁盘满",
        "a store of 16 MiB, filled",
        "uploaded when there is room",
        scenarios.disk_full_while_storing,
        starts=False,
        in_suite=False,
    ),
    Row(
        "kill -9",
        "进程被强杀",
        "SIGKILL at random moments, 1,000 by default",
        "every restart reaches the same end",
        scenarios.killed_at_random,
        tests=(f"{_KILL}killed_at_random_points_and_started_again", f"{_STATION}killed_while_a_recorder_is_docked"),
        starts=False,
        in_suite=False,
    ),
    Row(
        "clock jump",
        "时钟跳变",
        "the station's wall clock 400 days back and forth in mid-copy",
        "order by boot id and monotonic time",
        scenarios.clock_jumps,
        starts=False,
        in_suite=False,
    ),
)
"""In the order in which they are run and printed."""
