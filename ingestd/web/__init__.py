"""Pages of the centre (主管端): work queues, clips, actions, flags. They read frozen values and decide nothing.

There is no login in this first form: the pages are served on loopback, and whoever reaches that port may read all.
``app.create_app`` makes them; commands that only borrow words from ``language`` need no web server for it.
"""
