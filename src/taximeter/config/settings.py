"""The settings of a server: every one has a default, a unit in its name and a description.

`docs/configuration.md` is rendered from these models (`reference.py`), so the description here is the manual.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, SkipValidation, model_validator

from taximeter.config.alerting import AlertSettings, RuleSettings
from taximeter.config.anomalies import AnomalySettings
from taximeter.config.chargeback import ChargebackSettings
from taximeter.config.exporting import ExporterSettings
from taximeter.config.known import ALWAYS, KNOWN, ProviderKind
from taximeter.config.limits import Limit
from taximeter.config.section import Section

HangupPolicy = Literal["drain", "cancel"]

MEBIBYTE: Final = 1024 * 1024


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    url = urlsplit(text)
    if "@" in url.netloc:
        raise ValueError("should have no user name and password in it: they would be shown; use api_key")
    if not url.hostname or not _has_a_port_or_none(url):
        raise ValueError("should name a host, and a port only as a number up to 65535")
    return text.rstrip("/")


def _has_a_port_or_none(url: SplitResult) -> bool:
    try:
        return url.port is None or url.port >= 0
    except ValueError:
        return False


EMBEDDED: Final = "embedded"
POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")
CLICKHOUSE_SCHEMES: Final = ("clickhouse://", "clickhouses://")


def _embedded_or_postgres(text: str) -> str:
    return _embedded_or_address(text, POSTGRES_SCHEMES, "postgresql://")


def _embedded_or_clickhouse(text: str) -> str:
    return _embedded_or_address(text, CLICKHOUSE_SCHEMES, "clickhouse:// or clickhouses://")


def _embedded_or_address(text: str, schemes: tuple[str, ...], named: str) -> str:
    if text == EMBEDDED:
        return text
    if not text.startswith(schemes):
        raise ValueError(f"should be 'embedded', or an address that begins with {named}")
    netloc, *rest = re.split("[/?]", text.partition("://")[2], maxsplit=1)
    if netloc.count("@") > 1 or "@" in "".join(rest):
        # Otherwise a part of the password would be taken for a name that is shown.
        raise ValueError("should have special characters of a name or password encoded: @ is %40, / is %2F, ? is %3F")
    return text


REDIS_SCHEMES: Final = ("redis://", "rediss://", "redis+cluster://")


def _memory_or_redis(text: str) -> str:
    if text != "memory" and not text.startswith(REDIS_SCHEMES):
        raise ValueError("should be 'memory', or an address that begins with " + ", ".join(REDIS_SCHEMES))
    return text


def _retried(text: object) -> object:
    """YAML reads 429 as a number."""
    return str(text) if isinstance(text, int) else text


def _is_retried(text: str) -> str:
    if not _RETRIED.fullmatch(text):
        raise ValueError("should be a status such as 429, 5xx, 'timeout' or 'connect'")
    return text


def _off(value: object) -> object:
    """YAML reads off as false."""
    return "off" if value is False else value


def _proxy_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text not in ("none", "") and not text.startswith("http://"):
        raise ValueError("should begin with http://, or be 'none'")
    return secret


_RETRIED: Final = re.compile(r"[45]\d\d|[45]xx|timeout|connect")


class Retries(Section):
    """When a call is tried again at the same provider."""

    attempts: int = Field(default=2, ge=1, le=10, description="Attempts in all, the first included.")
    on: tuple[Annotated[str, BeforeValidator(_retried), AfterValidator(_is_retried)], ...] = Field(
        default=("429", "5xx", "timeout", "connect"),
        description="What is tried again: statuses, `timeout` (no answer in time), `connect` (no connection). It "
        "decides about `fallback`, too.",
    )
    backoff_seconds: float = Field(
        default=0.5, ge=0, le=30, description="Pause before the second attempt; it doubles each time. A `Retry-After` "
        "of the provider is kept when it is longer, up to 30 seconds."
    )  # fmt: skip


class Provider(Section):
    """One upstream, served under `/{name}/...`."""

    kind: ProviderKind = Field(
        default="openai",
        description="The protocol it speaks. Default: that of a well-known name (docs/gateway.md), `openai` for all "
        "others.",
    )
    base_url: Annotated[str, AfterValidator(_http_url)] = Field(
        description="Where its API begins, as its own client is given it. Needed, except for well-known names."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Its real key, used for clients that come with a taximeter key. Without one, clients bring "
        "their own and put the taximeter key into `X-Taximeter-Key`.",
    )
    key_header: str | None = Field(
        default=None, description="The header that carries its key, where that is not the protocol's own (`api-key`)."
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates to trust for it instead of the machine's; relative to this file."
    )
    client_cert_file: Path | None = Field(
        default=None, description="A certificate to show to it (PEM, its key in it or in `client_key_file`)."
    )
    client_key_file: Path | None = Field(default=None, description="The key of `client_cert_file`.")
    proxy: Annotated[SecretStr, AfterValidator(_proxy_url)] | None = Field(
        default=None,
        description="An HTTP proxy on the way to it, `http://name:password@host:port`, or `none`. Default: what "
        "`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say; never for this machine itself.",
    )
    http2: bool = Field(
        default=False,
        description="Ask it in HTTP/2, many calls on one connection, if it speaks that; else in HTTP/1.1.",
    )
    retries: Retries | None = Field(
        default=None, description="When a failed call is tried again; without it, never. Settings below."
    )
    fallback: tuple[str, ...] = Field(
        default=(),
        description="Who is asked when it fails: `provider` or `provider/model`, in this order, of the same protocol.",
    )
    ask_for_usage: bool = Field(
        default=True, description="Whether streams may be asked for their usage; some compatible hosts refuse that."
    )


class Store(Section):
    """Where events, keys and counters live."""

    events: Annotated[str, AfterValidator(_embedded_or_clickhouse)] = Field(
        default="embedded",
        repr=False,
        description="The events: `embedded` is DuckDB in the data directory; "
        "`clickhouse://USER:PASSWORD@HOST:8123/DATABASE` (`clickhouses://` over TLS) is a ClickHouse server, which "
        "several collectors may share (docs/clickhouse.md).",
    )
    metadata: Annotated[str, AfterValidator(_embedded_or_postgres)] = Field(
        default="embedded",
        repr=False,
        description="Keys, sessions, limits, findings, alerts: `embedded` is SQLite in the data directory, "
        "`postgresql://USER:PASSWORD@HOST:5432/DATABASE` is shared by all that name it.",
    )
    counters: Annotated[str, AfterValidator(_memory_or_redis)] = Field(
        default="memory",
        description="What limits have counted: `memory` is this process alone, `redis://HOST:6379/0` (`rediss://`, "
        "`redis+cluster://`) is shared by all that name it.",
    )


class RetentionSettings(Section):
    """How long things are kept. Sums outlive the events they are of: what was spent stays known."""

    events_days: int | None = Field(
        default=None, gt=0, description="Days that events are kept; for ever when it is not set."
    )
    outcomes_days: int | None = Field(
        default=None, gt=0, description="Days that outcomes are kept; for ever when it is not set."
    )
    hourly_sums_days: int | None = Field(
        default=None,
        gt=0,
        description="Days that the sums of hours, the sums of days by one dimension, and how many calls of a day took "
        "how long, are kept; at least as long as events.",
    )
    daily_user_sums_days: int | None = Field(
        default=None,
        gt=0,
        description="Days that each user's sums of days, and how many of each user's calls took how long, are kept; at "
        "least as long as events.",
    )

    @model_validator(mode="after")
    def _sums_outlive_events(self) -> RetentionSettings:
        for days in (self.hourly_sums_days, self.daily_user_sums_days):
            if days is not None and (self.events_days is None or days < self.events_days):
                raise ValueError("sums are kept at least as long as the events they are of")
        return self


class Prices(Section):
    """What calls cost."""

    overrides: Path | None = Field(
        default=None, description="A YAML file of your own prices, laid over the built-in ones; relative to this file."
    )
    prefer_reported: tuple[str, ...] = Field(
        default=(),
        description="Providers whose own amount of a call counts more than the computed one. OpenRouter, xAI and "
        "Perplexity name one.",
    )


class ResponseCacheSettings(Section):
    """Whole answers that are given again to identical requests of the same tenant and key; off unless features or keys
    are named."""

    features: tuple[str, ...] = Field(default=(), description="Features whose answers are kept.")
    keys: tuple[str, ...] = Field(default=(), description="Ids of keys whose answers are kept.")
    ttl_seconds: float = Field(default=3600.0, gt=0, description="How long an answer is given again.")
    size_bytes: int = Field(
        default=64 * MEBIBYTE, gt=0, description="Most that is kept; beyond, the answer used least lately goes."
    )
    answer_bytes: int = Field(default=MEBIBYTE, gt=0, description="Largest answer that is kept.")


class GatewaySettings(Section):
    """The reverse proxy in front of the providers."""

    connect_timeout_seconds: float = Field(
        default=10.0, gt=0, description="Longest wait for a connection to a provider."
    )
    read_timeout_seconds: float = Field(
        default=600.0, gt=0, description="Longest silence of a provider, before or within an answer."
    )
    connections_max: int = Field(
        default=1000, gt=0, description="Connections to one provider; further calls wait for one of them."
    )
    body_limit_bytes: int = Field(
        default=64 * MEBIBYTE, gt=0, description="Largest request body; a larger one is refused with 413."
    )
    on_hangup: HangupPolicy = Field(
        default="drain",
        description="When the client hangs up: `drain` reads the provider's answer to its end, because it is billed "
        "anyway and its usage arrives last; `cancel` drops it and estimates the usage.",
    )
    drain_timeout_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Longest time an answer is drained after its client hung up. Drained answers take half of the "
        "connections to a provider at most; where they would take more, the oldest is dropped and estimated.",
    )
    drain_limit_bytes: int = Field(
        default=64 * MEBIBYTE, gt=0, description="Most that is drained of an answer after its client hung up."
    )
    when_unrecordable: Literal["serve", "refuse"] = Field(
        default="serve",
        description="When the disk does not take a call's record: `serve` the call, its records waiting in memory (8 "
        "MiB; beyond, each loss is counted) where a crash would lose them, or `refuse` it with 503.",
    )


class AdmissionSettings(Section):
    """Calls before their limits."""

    fail: Literal["closed", "open"] = Field(
        default="closed",
        description="While the counters of limits do not answer: `closed` refuses calls under hard limits, `open` lets "
        "them through; they are counted when the counters are back.",
    )
    wait_seconds: float = Field(
        default=30.0,
        ge=0,
        description="How long a call waits at most while only what other calls hold stands in its way.",
    )


class SpoolSettings(Section):
    """The durable log between capture and store."""

    total_bytes: int = Field(
        default=2048 * MEBIBYTE, gt=0, description="Largest size of the spool; what does not fit is counted as lost."
    )
    age_seconds: float = Field(
        default=30 * 86_400.0,
        gt=0,
        description="A finished segment nobody collected for so long is deleted, and counted.",
    )
    segment_bytes: int = Field(
        default=16 * MEBIBYTE, gt=0, description="Size at which a segment is finished and a new one begun."
    )
    sync_interval_ms: int = Field(
        default=50, gt=0, description="Shortest time between two `fsync`; power loss costs at most this much."
    )


class ServerSettings(Section):
    """The one port."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; only this machine unless you say otherwise."
    )
    port: int = Field(default=8787, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        default=None, description="How people reach the server, when a proxy stands before it; used in links."
    )
    auth: Annotated[Literal["required", "off"], BeforeValidator(_off)] = Field(
        default="required",
        description="`off` answers everybody who can reach the port as an administrator, "
        "under no other name than localhost, the address it listens on and `public_url`.",
    )
    ingest_limit_bytes: int = Field(
        default=32 * MEBIBYTE, gt=0, description="Largest body of `POST /v1/events`, also after unpacking."
    )
    session_hours: float = Field(default=24.0 * 14, gt=0, description="How long a browser stays signed in.")
    query_timeout_seconds: float = Field(default=30.0, gt=0, description="Longest run of one query.")


RESERVED_NAMES: Final = frozenset(
    {"alert", "api", "assets", "healthz", "metrics", "odata", "readyz", "signin", "signout", "v1"}
)
"""First path segments that are ours and cannot name a provider."""


_PROVIDER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


def why_no_provider_name(name: str) -> str | None:
    """Why a name cannot be a provider's, None when it can."""
    if name in RESERVED_NAMES:
        return f"'{name}' cannot name a provider: the path /{name} is taximeter's own"
    if not _PROVIDER_NAME.fullmatch(name):
        return f"'{name}' cannot name a provider: small letters, digits, '-' and '_' only ([a-z0-9][a-z0-9_-]*)"
    return None


class Settings(Section):
    """Everything `taximeter.yaml` can say."""

    providers: dict[str, Provider] = Field(
        default_factory=lambda: {name: Provider.model_validate(KNOWN[name].defaults({})) for name in ALWAYS},
        description="The upstreams, by the name under which the gateway serves them.",
    )
    store: Store = Field(default_factory=Store)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    prices: Prices = Field(default_factory=Prices)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    spool: SpoolSettings = Field(default_factory=SpoolSettings)
    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    response_cache: ResponseCacheSettings = Field(default_factory=ResponseCacheSettings)
    limits: Annotated[tuple[Limit, ...], SkipValidation] = Field(
        default=(), description="What may be spent; see the manual on limits."
    )
    server: ServerSettings = Field(default_factory=ServerSettings)
    rules: list[RuleSettings] = Field(default_factory=list, description="Rules of your own.")
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    anomalies: AnomalySettings = Field(default_factory=AnomalySettings)
    exporters: ExporterSettings = Field(default_factory=ExporterSettings)
    chargeback: ChargebackSettings = Field(default_factory=ChargebackSettings)

    @model_validator(mode="before")
    @classmethod
    def _known_providers(cls, given: object) -> object:
        """Lays what is given for a provider over its defaults, and the kind over its name."""
        if not isinstance(given, dict):
            return given
        named = given.get("providers")
        if named is not None and not isinstance(named, dict):
            return given
        return {**given, "providers": _with_defaults(named or {})}


def _with_defaults(named: dict[object, object]) -> dict[object, object]:
    whole: dict[object, object] = {name: KNOWN[name].defaults({}) for name in ALWAYS}
    for name, given in named.items():
        known = KNOWN.get(str(name))
        base = {} if known is None else known.defaults({})
        said = {} if given is None else given
        whole[name] = {**base, **said} if isinstance(said, dict) else said
    return whole
