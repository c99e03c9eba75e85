"""The dock screen (采集站大屏): one page for officers, readable from three metres, useful with the centre offline.

It shows what the station's status says and decides nothing. It never shows a green bay that the status contradicts.
"""

from station_agent.screen.app import StatusSource, create_app

__all__ = ["StatusSource", "create_app"]
