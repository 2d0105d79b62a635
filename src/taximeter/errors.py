"""The one tree of errors a user can meet.

    TaximeterError               code, message, hint
    ├── ConfigurationError       the file or the environment is wrong (all mistakes at once); exit 2
    ├── UsageError               a command or a request was put wrongly; exit 2, HTTP 422
    │   ├── UnknownModelError    no price is known for a model, or its name means several; exit 1
    │   └── OnlyASampleError     a request about the sample history that would change something; HTTP 409
    ├── AuthenticationError      no credential, or a wrong one; HTTP 401
    ├── PermissionDeniedError    the credential may not do this; HTTP 403
    ├── NotFoundError            HTTP 404
    ├── TooLargeError            a body, a line or a result over a named limit; HTTP 413
    ├── DirectoryInUseError      another process owns the data directory; exit 1
    ├── StoreError               the store cannot do it now (full, read-only, closed); HTTP 503
    │   ├── SchemaError          the store was written by another version
    │   └── QueryStoppedError    a query ran over its time or was cancelled; HTTP 504
    ├── SpoolError               the spool cannot take a record (disk full, read-only)
    ├── UnavailableError         a server we need does not answer; exit 1
    └── LimitExceeded            a limit refuses the call, before it is made; HTTP 429

On the wire every one of them is `{"error": {"code", "message", "hint", ...facts}}`; on the command line it is
one line on stderr. `code` is stable, `message` may change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class TaximeterError(Exception):
    """Base of all errors meant for users.

    `facts` are further machine-readable details (for instance the field that was wrong).
    """

    code = "error"
    http_status = 500
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def as_dict(self) -> dict[str, object]:
        """The wire shape, without the enclosing `error` key."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.facts}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a configuration: where, what, and what would be right."""

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.where}: {self.message}"


class ConfigurationError(TaximeterError):
    """All mistakes of a configuration at once, in `mistakes`."""

    code = "configuration"
    http_status = 500
    exit_code = 2

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        listed = "; ".join(str(mistake) for mistake in self.mistakes)
        super().__init__(f"{source}: {listed}", hint="run `taximeter check` to see them listed")


class UsageError(TaximeterError):
    code = "usage"
    http_status = 422
    exit_code = 2


class UnknownModelError(UsageError):
    code = "unknown_model"
    exit_code = 1


class OnlyASampleError(UsageError):
    code = "only_a_sample"
    http_status = 409


class AuthenticationError(TaximeterError):
    code = "unauthenticated"
    http_status = 401


class PermissionDeniedError(TaximeterError):
    code = "forbidden"
    http_status = 403


class NotFoundError(TaximeterError):
    code = "not_found"
    http_status = 404


class TooLargeError(TaximeterError):
    code = "too_large"
    http_status = 413


class DirectoryInUseError(TaximeterError):
    """Another process owns the data directory; its id is in `pid`."""

    code = "directory_in_use"
    http_status = 503

    def __init__(self, directory: str, pid: int | None) -> None:
        owner = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"{directory} is in use by {owner}",
            hint="stop it, or give this one its own --data",
            pid=pid,
        )
        self.pid = pid


class StoreError(TaximeterError):
    code = "store_unavailable"
    http_status = 503


class SchemaError(StoreError):
    code = "schema"


class QueryStoppedError(StoreError):
    code = "query_stopped"
    http_status = 504


class SpoolError(TaximeterError):
    code = "spool_unavailable"
    http_status = 503


class UnavailableError(TaximeterError):
    code = "unavailable"
    http_status = 503


class LimitExceeded(TaximeterError):  # noqa: N818 - the name is fixed by the SDK's public interface
    """A limit refuses the call, before it is made. Amounts are decimal strings for money, whole numbers otherwise.

    `limit` is its name, `scope` whose spending it is about, `window` how long it is; `reset` is RFC 3339, None where
    the amount is never there anew. `reason` is `limit`, or why the call has no upper bound.
    """

    code = "limit_exceeded"
    http_status = 429

    @property
    def limit(self) -> str | None:
        return self._text("limit")

    @property
    def scope(self) -> Mapping[str, str]:
        scope = self.facts.get("scope")
        return scope if isinstance(scope, Mapping) else {}

    @property
    def window(self) -> str | None:
        return self._text("window")

    @property
    def spent(self) -> str | int | None:
        return self._amount("spent")

    @property
    def held(self) -> str | int | None:
        return self._amount("held")

    @property
    def reset(self) -> str | None:
        return self._text("reset")

    def _text(self, name: str) -> str | None:
        value = self.facts.get(name)
        return value if isinstance(value, str) else None

    def _amount(self, name: str) -> str | int | None:
        value = self.facts.get(name)
        return value if isinstance(value, str | int) else None
