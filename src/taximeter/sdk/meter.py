"""The meter of this process: where events go, and who they are for when nobody says otherwise.

There is one at a time. `init` makes it; whatever needs one before that makes it with the defaults. Without a URL the
events wait in `<data>/spool/` for the server or the command line of this machine; with one they wait in
`<data>/outbox/<hash of the URL>/` and a sender ships them.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taximeter import config
from taximeter.clock import Clock, SystemClock
from taximeter.core.attribution import NOBODY, Attribution, attribution
from taximeter.core.expected import Expectation, ExpectedOutput
from taximeter.core.ids import EventIds
from taximeter.errors import UsageError
from taximeter.sdk import context, lines
from taximeter.sdk.guard import GUARD
from taximeter.sdk.switches import switched_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter.extract.flavour import Flavour
    from taximeter.sdk.call import Call
    from taximeter.sdk.limiting import Limiter
    from taximeter.spool import Spool
    from taximeter.spool.sender import Sender

FLUSH_SECONDS: Final = 5.0
SYNC_INTERVAL_MS: Final = 1000
"""What a loss of power may cost of the events of a process. A killed process loses none. An `fsync` costs the host
as much CPU time as several calls that are metered."""

SHIPPING_INTERVAL_MS: Final = 250
"""The same with a server, to which the events are shipped as often."""

EXIT_SECONDS: Final = 2.0
"""The longest that a process waits for its events to be shipped when it ends. What is left is shipped later."""


_KEPT_IN_MEMORY: Final = "events are kept in memory, lost at exit unless the directory becomes writable"

_NOTE: Final = b'"record":"begin"'
"""In lines of ours that are no events."""


MOST_UNLEARNT: Final = 16
"""Answers that are remembered until somebody asks how long such answers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `init` decided. `url` is the taximeter server without a trailing slash."""

    data: Path
    url: str | None = None
    key: str | None = None
    base: Attribution = NOBODY
    ask_for_usage: bool = True


@dataclass(frozen=True, slots=True)
class About:
    """What calls of one kind, made for the same one, have in common. `members` is JSON, each with a comma before it;
    `said` is what the surrounding code says of whom they are for, `asked_model` the model as the request names it."""

    said: Attribution
    flavour: Flavour | None
    asked_model: object
    provider: str
    region: str | None
    members: str
    expected: Expectation
    operation: str
    model: str | None


class Meter:
    """Takes records and keeps them in the spool. None of its methods raises because of the disk or the network."""

    def __init__(
        self, settings: Settings, spool: Spool, sender: Sender | None, clock: Clock, limiter: Limiter | None = None
    ) -> None:
        self.settings = settings
        self.limiter = limiter
        self.clock = clock
        self.monotonic = clock.monotonic
        self.spool = spool
        self._sender = sender
        self._expected = ExpectedOutput()
        self._latest = About(NOBODY, None, None, "", None, "", Expectation(), "", None)
        self._seen_well = False  # the spool, in this process
        self.ids = EventIds(os.urandom)
        self.unlearnt: deque[tuple[About, str]] = deque(maxlen=MOST_UNLEARNT)
        """Gists of the latest answers that were spooled unread, oldest first, of which `learn` makes expectations."""
        self.begun = spool.begun

    def in_forked_child(self) -> None:
        """This process is a fork of the one that made this meter."""
        self.ids.forget()
        self._seen_well = False

    def about(self, call: Call, asked_model: object) -> About:
        """What such calls have in common. The latest is remembered: calls come in runs. Where answers may be plain the
        flavour and the model tell the kind, and the facts need not be read for it."""
        flavour, said, host, latest = call.flavour, call.attribution, call.host, self._latest
        if (
            latest.said is said
            and latest.flavour is flavour
            and latest.asked_model == asked_model
            and latest.provider == host.provider
            and latest.region == host.region
            and (flavour.read_plain is not None or (latest.operation, latest.model) == call.kind())
        ):
            return latest
        operation, model = call.kind()
        who = said.over(self.settings.base)
        asked = lines.asked(host.provider, operation, model, flavour.region or host.region)
        members = f',"source":"sdk"{asked}{lines.attributed(who)}'
        expected = self._expected.of(host.provider, model, who.feature)
        latest = About(said, flavour, asked_model, host.provider, host.region, members, expected, operation, model)
        self._latest = latest
        return latest

    def learn(self) -> None:
        """Read how long the latest answers were, for what is expected of the next ones. Most calls never need it."""
        from taximeter.extract.unread import output_tokens  # where a call has begun it is there

        unlearnt = self.unlearnt
        while unlearnt:
            try:
                about, gist = unlearnt.popleft()
            except IndexError:  # another thread learns as well
                return
            tokens = output_tokens(about.flavour, gist)
            if tokens is not None:
                about.expected.learn(tokens)

    def append(self, record: str) -> None:
        """Spool one record; it is in the operating system's hands when this returns."""
        self.append_line(f"{record}\n")

    def append_line(self, line: str) -> None:
        """The same with the line break behind it, for who can have it there without another copy."""
        try:
            data = line.encode()
        except UnicodeEncodeError:
            data = line.encode(*lines.UTF8)
        kept = self.spool.append_line(data)
        if not kept or not self._seen_well:
            self._look(kept)

    def _look(self, kept: bool) -> None:
        """After a loss, and after the first record of this process, which may be a fork of another."""
        self._seen_well = True
        health = self.spool.health()
        if not kept:
            GUARD.lost("event_lost", f"an event could not be kept in {health.directory} ({health.problem})")
        elif health.problem:
            GUARD.lost("spool", f"{_KEPT_IN_MEMORY}: {health.directory} ({health.problem})")

    def flush(self, timeout_seconds: float) -> bool:
        """Make everything durable and, with a server, ship it; False when that was not done in time."""
        durable = self.spool.sync()
        if self._sender is None:
            return durable and self.settings.url is None
        return self._sender.flush(timeout_seconds) and durable

    def close(self, timeout_seconds: float) -> None:
        """Ship what can be shipped in time and let go of the files. The rest waits on disk."""
        self.flush(timeout_seconds)
        if self._sender is not None:
            self._sender.stop()
        waiting = self.spool.waiting()
        health = self.spool.health()
        self.spool.close()
        if waiting and self.spool.health().losses != health.losses:
            events = sum(_NOTE not in line for line in waiting)
            why = f"{health.directory} took none until the end ({health.problem})"
            GUARD.lost_for_good("event_lost", events, f"{events} events were lost: {why}")


_lock = threading.Lock()
current: Meter | None = None
"""The meter of this process, once there is one."""

_settings_at_exit: Settings | None = None
"""Those of the meter that ended with the program."""


def init(
    *,
    service: str | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    url: str | None = None,
    key: str | None = None,
    data: str | os.PathLike[str] | None = None,
    ask_for_usage: bool | None = None,
    follow_threads: bool | None = None,
    limits: Sequence[Any] | None = None,
    admission: str | None = None,
) -> None:
    """Say who this process is and where its events go. May be called again; the last call holds.

    Every argument has a `TAXIMETER_*` variable of the same name in capitals, which it overrides. `url` and `key` are
    the taximeter server and an ingest key of it; `data` is the directory events wait in. `ask_for_usage=False` (or
    `TAXIMETER_ASK_FOR_USAGE=0`) stops us asking OpenAI-style streams for their token counts; they are then estimated.
    `follow_threads=False` (or `TAXIMETER_FOLLOW_THREADS=0`) leaves `threading` and thread pools as they are: attributes
    then end where a thread begins.

    `limits` is a list of definitions (docs/limits.md) that hold for this process alone. `admission` (with a `url`) asks
    the server before each call, and says what holds while it does not answer: `deny`, `allow`, or `cached`. Either way
    a call that does not fit raises `LimitExceeded` before it is made. Raises UsageError for limits that are wrong.

    It opens no connection and raises nothing when the directory or the server is out of order: that is logged once to
    the logger `taximeter`, and counted.
    """
    base = attribution(
        service=service or config.variable("SERVICE"),
        service_version=service_version or config.variable("SERVICE_VERSION"),
        environment=environment or config.variable("ENVIRONMENT"),
    )
    server = url or config.variable("URL")
    settings = Settings(
        data=_settled(Path(data) if data is not None else config.data_directory()),
        url=server.rstrip("/") if server else None,
        key=key or config.variable("KEY"),
        base=base,
        ask_for_usage=switched_on("ASK_FOR_USAGE", ask_for_usage),
    )
    context.follow_threads(switched_on("FOLLOW_THREADS", follow_threads))
    limiter = _limiter(settings, limits, admission or config.variable("ADMISSION"))
    GUARD.run("init", _install, settings, limiter)


def _settled(data: Path) -> Path:
    """The same directory wherever the program goes later, as daemons go to `/`."""
    try:
        return data.absolute()
    except OSError:  # the working directory is gone
        return data


def _limiter(settings: Settings, limits: Sequence[Any] | None, admission: str | None) -> Limiter | None:
    """Imported here: most programs have no limits, and start sooner without them. Raises UsageError."""
    if limits:
        from taximeter.sdk.local_limits import LocalLimits

        return LocalLimits(limits, SystemClock())
    if admission is None:
        return None
    from taximeter.sdk.server_limits import ServerLimits

    return ServerLimits(settings.url, settings.key, admission, SystemClock())


def _install(settings: Settings, limiter: Limiter | None = None) -> Meter:
    global current
    fresh = _open(settings, SystemClock(), limiter)
    with _lock:
        former, current = current, fresh
    if former is not None:
        former.close(EXIT_SECONDS)
    return fresh


def _open(settings: Settings, clock: Clock, limiter: Limiter | None = None) -> Meter:
    """A running meter. The spool is imported here, so that `import taximeter` stays small."""
    from taximeter.spool import Spool, SpoolLimits

    limits = SpoolLimits(sync_interval_ms=SYNC_INTERVAL_MS if settings.url is None else SHIPPING_INTERVAL_MS)
    spool = Spool(directory_of(settings), clock=clock, writer="sdk", limits=limits)
    sender = None if settings.url is None else _sender(settings.url, settings.key, spool, clock)
    # Registered after the spool's own exit handler, hence run before it.
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)
    return Meter(settings, spool, sender, clock, limiter)


def _sender(url: str, key: str | None, spool: Spool, clock: Clock) -> Sender | None:
    """Ships what is in the outbox; begins with the first record. None for a URL that is none, which is logged."""
    from taximeter.spool.sender import Sender

    try:
        return Sender(spool, url=url, key=key, clock=clock)
    except (UsageError, ValueError) as error:  # a port that is no number is a ValueError
        GUARD.lost("sender", f"TAXIMETER_URL: {error}; events wait in {spool.directory} and are not shipped")
        return None


def directory_of(settings: Settings) -> Path:
    """Where a process with these settings keeps its events."""
    if settings.url is None:
        return settings.data / "spool"
    import hashlib  # 2 ms that only a sender to a server takes

    return settings.data / "outbox" / hashlib.blake2b(settings.url.encode(), digest_size=8).hexdigest()


def meter() -> Meter:
    """The meter of this process; the first use makes it with the defaults. Call it under the guard."""
    return current or _install_default()


def _install_default() -> Meter:
    if _settings_at_exit is not None:
        return _install(_settings_at_exit)
    init()
    if current is None:
        raise RuntimeError("the meter could not be started; the reason was logged")
    return current


def flush(timeout_seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until every event so far is on disk and, with a server, delivered. False when time ran out."""
    return current is None or bool(GUARD.run("flush", current.flush, timeout_seconds))


def shutdown(timeout_seconds: float = FLUSH_SECONDS) -> None:
    """Flush within `timeout_seconds` and close the files. A later call of ours starts a new meter."""
    global current
    with _lock:
        former, current = current, None
    if former is not None:
        GUARD.run("shutdown", former.close, timeout_seconds)


def _at_exit() -> None:
    """What the program reports after this, in exit handlers of its own, goes where everything went."""
    global _settings_at_exit
    if current is not None:
        _settings_at_exit = current.settings
    shutdown(EXIT_SECONDS)


def _in_child() -> None:
    """A forked child shares nothing with a thread of the parent that was just changing the meter."""
    global _lock
    _lock = threading.Lock()
    if current is not None:
        current.in_forked_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
