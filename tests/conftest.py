"""What holds for all tests: none of them is timed, on a busy machine they are only slower."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from postgres_here import own_postgres, postgres_database, postgres_server

__all__ = ["own_postgres", "postgres_database", "postgres_server"]

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
