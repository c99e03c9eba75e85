"""The index: a projection of the logs, written through ``repository`` and read through ``queries``."""
