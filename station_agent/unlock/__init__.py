"""Recorders that show no storage until they are told to: who speaks to them, and what they are asked.

The functions are those that several makers' libraries share; no standard text fixes them, and no recorder was at hand:
**everything here is untested on hardware**, and off unless ``[unlock] drivers`` names a driver. A driver can do what
``ZfyDriver`` says and nothing else. Formatting, factory defaults, writing an officer's number, and reading or setting
passwords are commands that these devices have and that nothing here can express.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

from station_agent.unlock import vendor_scsi
from station_agent.unlock.transport import Transport
from station_agent.unlock.zfy_info import ZfyInfo


class ZfyDriver(Protocol):
    """One recorder in front of us. Every method raises ``UnlockError`` when the device refuses, or is gone."""

    def identify(self) -> str | None:
        """Its maker and model code; None when it is no device of this driver, of which nothing else was asked."""
        ...

    def read_info(self) -> ZfyInfo:
        """Whose it is, as it states."""
        ...

    def read_battery(self) -> int:
        """Charge in percent."""
        ...

    def set_clock(self, local: datetime) -> None:
        """Set its clock, which is in local time. That it was set shows at the next docking only."""
        ...

    def switch_to_storage(self) -> None:
        """Ask it to come back as a disk. Only its leaving and its return prove that it does."""
        ...


DRIVERS: Final[Mapping[str, Callable[[Transport], ZfyDriver]]] = {"dv16-scsi": vendor_scsi.VendorScsi}
"""Name in ``[unlock] drivers`` → driver."""
