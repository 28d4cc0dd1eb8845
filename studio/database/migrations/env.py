"""Runs the migrations on the connection that `Database.migrate` hands over. Needs no alembic.ini."""

from __future__ import annotations

from alembic import context

from studio.database.schema import Base

# The caller's transaction goes on: a migration is applied whole or not at all.
context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
