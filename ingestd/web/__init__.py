"""Pages of the centre (主管端): work queues, clips, actions, flags. They read frozen values and decide nothing.

There is no login in this first form: the pages are served on loopback, and whoever reaches that port may read all.
"""

from ingestd.web.app import create_app
from ingestd.web.ports import Media, Reads

__all__ = ["Media", "Reads", "create_app"]
