"""Migrations of the index, run by alembic at start."""
