"""Numbered steps of the metadata schema, run by Alembic."""
