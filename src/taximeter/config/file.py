"""`taximeter.yaml` and the environment → `Settings`, or every mistake at once with its line.

Later ones win: defaults, the file, `TAXIMETER_<SECTION>_<SETTING>` variables, the command's own flags.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from taximeter.config import PREFIX, variable
from taximeter.config import lines as yaml_lines
from taximeter.config.effective import Origin, Origins
from taximeter.config.known import KNOWN, protocol_of
from taximeter.config.limits import Limit, LimitProblems, read_limits
from taximeter.config.lines import Document, dotted
from taximeter.config.lines import Path as SettingPath
from taximeter.config.proxies import is_proxy, proxy_for
from taximeter.config.section import Section
from taximeter.config.settings import Provider, Retries, Settings, why_no_provider_name
from taximeter.errors import ConfigurationError, Mistake

FILE_NAME: Final = "taximeter.yaml"
PROVIDER_FILES: Final = ("ca_file", "client_cert_file", "client_key_file")
SECRETS: Final = frozenset({"api_key", "proxy", "metadata"})
"""Settings whose value is never shown, whatever is wrong with it."""
SECTIONS: Final = tuple(
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
)
"""Those whose settings have variables."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where they came from; `path` is None when there was no file."""

    settings: Settings
    path: Path | None
    origins: Origins = field(default_factory=dict)

    def with_flags(self, section: str, flags: Mapping[str, object]) -> Loaded:
        """The same with what a command's own flags said of one section; None is nothing."""
        said = {name: value for name, value in flags.items() if value is not None}
        changed = getattr(self.settings, section).model_copy(update=said)
        flagged: dict[SettingPath, Origin] = {(section, name): Origin("command line", f"--{name}") for name in said}
        settings = self.settings.model_copy(update={section: changed})
        return replace(self, settings=settings, origins={**self.origins, **flagged})


def find(named: Path | None = None) -> Path | None:
    """The file to read: the named one, else `$TAXIMETER_CONFIG`, else `./taximeter.yaml` when it is there."""
    if named is not None:
        return named
    from_environment = variable("CONFIG")
    if from_environment:
        return Path(from_environment).expanduser()
    here = Path(FILE_NAME)
    return here if here.is_file() else None


def load(named: Path | None = None, environment: Mapping[str, str] | None = None) -> Loaded:
    """The settings of the file that `find` finds. Raises ConfigurationError with all mistakes."""
    path = find(named)
    given = os.environ if environment is None else environment
    text = _text_of(path) if path is not None else ""
    source, directory = str(path or "environment"), path.parent if path else None
    settings, origins = _parsed(text, given, source, directory)
    return Loaded(settings, path, origins)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(str(path), [Mistake("file", f"cannot be read: {reason}")]) from None


def parse(
    text: str, environment: Mapping[str, str], *, source: str = FILE_NAME, directory: Path | None = None
) -> Settings:
    """The settings in the text of a file under an environment. Raises ConfigurationError with all mistakes.

    Relative paths in it are relative to `directory`.
    """
    return _parsed(text, environment, source, directory)[0]


def _parsed(
    text: str, environment: Mapping[str, str], source: str, directory: Path | None
) -> tuple[Settings, dict[SettingPath, Origin]]:
    """The settings, and where what was said of them is said."""
    document = yaml_lines.read(text, environment)
    values = _checked_form(document)
    mistakes = document.mistakes + _unset_variables(document)
    known = dict(values)
    origins = _written(values, document)
    _apply_environment(known, environment, mistakes, origins)
    limits, wrong_limits = _limits(known.pop("limits", None), document)
    mistakes += wrong_limits
    settings = _validated(known, document, origins, mistakes)
    mistakes += _provider_names(known, document) + _missing_files(known, directory, document)
    if settings is not None:
        mistakes += _wrong_fallbacks(settings, document) + _odd_proxies(settings, environment, document)
    if mistakes or settings is None:
        raise ConfigurationError(source, sorted(mistakes, key=lambda mistake: mistake.line or 0))
    settings = _with_proxies(_with_absolute_paths(settings, directory), environment)
    return settings.model_copy(update={"limits": limits}), origins


def _written(value: object, document: Document, path: SettingPath = ()) -> dict[SettingPath, Origin]:
    """Every value that stands in the file, with its line."""
    if not isinstance(value, dict):
        return {path: Origin("file", str(document.line_of(path)))} if path and value is not None else {}
    found: dict[SettingPath, Origin] = {}
    for name, inner in value.items():
        found |= _written(inner, document, (*path, str(name)))
    return found


def _limits(definitions: object, document: Document) -> tuple[tuple[Limit, ...], list[Mistake]]:
    """The limits of the file, or what is wrong with them."""
    try:
        return read_limits(definitions), []
    except LimitProblems as found:
        paths = [(("limits", *problem.path), problem.message) for problem in found.problems]
        return (), [Mistake(dotted(path), message, document.line_of(path)) for path, message in paths]


def named_price_file(named: Path | None = None, environment: Mapping[str, str] | None = None) -> Path | None:
    """The price file that a configuration names, whatever else is wrong with it; None when there is none."""
    path = find(named)
    given = os.environ if environment is None else environment
    try:
        values = yaml_lines.read(_text_of(path), given).values if path is not None else {}
    except ConfigurationError:
        return None
    known = dict(values) if isinstance(values, dict) else {}
    _apply_environment(known, given, [], {})
    overrides = _file_at(known, ("prices", "overrides"), path.parent if path else None)
    return overrides if overrides is not None and overrides.is_file() else None


def _checked_form(document: Document) -> dict[str, Any]:
    if document.values is None:
        return {}
    if not isinstance(document.values, dict):
        document.mistakes.append(Mistake("file", "should be a mapping of settings", document.line_of(())))
        return {}
    return document.values


def _unset_variables(document: Document) -> list[Mistake]:
    """An unset variable is a mistake, except for a provider's key: then clients bring their own."""
    return [
        Mistake(dotted(path), f"the variable {name} is not set", document.line_of(path))
        for path, name in document.unset.items()
        if not (len(path) == 3 and path[0] == "providers" and path[2] == "api_key")
    ]


# ── the environment ────────────────────────────────────────────────────────────────────────────────────────


def _apply_environment(
    values: dict[str, Any],
    environment: Mapping[str, str],
    mistakes: list[Mistake],
    origins: dict[SettingPath, Origin],
) -> None:
    for section in SECTIONS:
        _override(values, (section,), f"{PREFIX}{section.upper()}_", environment, mistakes, origins)
    for name in [*KNOWN, *(n for n in _mapping_at(values, "providers") if n not in KNOWN)]:
        prefix = f"{PREFIX}PROVIDERS_{_shouted(str(name))}_"
        _override(values, ("providers", str(name)), prefix, environment, mistakes, origins)
    _apply_known(values, environment, origins)


def _apply_known(values: dict[str, Any], environment: Mapping[str, str], origins: dict[SettingPath, Origin]) -> None:
    """Well-known providers that are named somewhere, or have a key in the environment."""
    for name, known in KNOWN.items():
        key = known.key_in(environment)
        if key is None and name not in _mapping_at(values, "providers"):
            continue
        provider = _mapping_at(values, "providers", name)
        if key is not None and not provider.get("api_key"):
            provider["api_key"] = key
            origins["providers", name, "api_key"] = Origin("environment", known.key_variable_in(environment))
        base_url = known.base_url_in(environment)
        if base_url is not None and provider.get("base_url") is None:
            provider["base_url"] = base_url
            if base_url != known.base_url_in({}):
                origins["providers", name, "base_url"] = Origin("environment")


def _override(
    values: dict[str, Any],
    path: tuple[str, ...],
    prefix: str,
    environment: Mapping[str, str],
    mistakes: list[Mistake],
    origins: dict[SettingPath, Origin],
) -> None:
    allowed = {_shouted(name): name for name in allowed_keys(path)}
    for variable_name, value in environment.items():
        if not variable_name.startswith(prefix) or not value:
            continue
        setting = allowed.get(variable_name.removeprefix(prefix))
        if setting is None:
            suggestion = _suggestion(variable_name, [prefix + name for name in allowed])
            mistakes.append(Mistake(variable_name, f"there is no such setting{suggestion}"))
        else:
            _mapping_at(values, *path)[setting] = value
            origins[*path, setting] = Origin("environment", variable_name)


def _shouted(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).upper()


def _mapping_at(values: dict[str, Any], *path: str) -> dict[str, Any]:
    """The mapping at `path`, made when it is missing; a detached one where the file has something else."""
    for name in path:
        inner = values.get(name)
        if inner is None:
            inner = values[name] = {}
        if not isinstance(inner, dict):
            return {}
        values = inner
    return values


# ── validation ─────────────────────────────────────────────────────────────────────────────────────────────


def _validated(
    values: dict[str, Any], document: Document, origins: Mapping[SettingPath, Origin], mistakes: list[Mistake]
) -> Settings | None:
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        unset = {tuple(map(str, path)) for path in document.unset}
        mistakes += [_mistake(e, document, origins) for e in error.errors() if tuple(map(str, e["loc"])) not in unset]
        return None


def _mistake(error: ErrorDetails, document: Document, origins: Mapping[SettingPath, Origin]) -> Mistake:
    path = tuple(part for part in error["loc"])
    origin = origins.get(path)
    if origin is not None and origin.kind == "environment" and origin.at:
        return Mistake(f"{dotted(path)} ({origin.at})", _sentence(error, path))
    return Mistake(dotted(path), _sentence(error, path), document.line_of(path))


def _sentence(error: ErrorDetails, path: tuple[str | int, ...]) -> str:
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        return f"there is no such setting{_suggestion(str(path[-1]), allowed_keys(path[:-1]))}"
    if kind == "missing":
        return "is needed"
    message = message.removeprefix("Value error, ").replace("Input should be", "should be")
    if isinstance(error["input"], str | int | float) and not {*path[-1:]} & SECRETS:
        message += f", not {_without_secrets(repr(error['input']))}"
    return message


def _without_secrets(shown: str) -> str:
    """Everything before the last `@` may be a name and a password, the scheme is not; so may what an address asks."""
    before, at, host = shown.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    shown = f"{scheme + slashes if slashes else shown[:1]}***@{host}" if at else shown
    place, asks, _ = shown.partition("?")
    return f"{place}?***{shown[-1:]}" if asks and "://" in place else shown


def _suggestion(wrong: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(wrong, allowed, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(sorted(allowed))}"


def allowed_keys(path: tuple[str | int, ...]) -> list[str]:
    """The settings that may stand directly under a path."""
    if not path:
        return list(Settings.model_fields)
    if path[0] == "providers":
        if len(path) == 3 and path[2] == "retries":
            return list(Retries.model_fields)
        return list(Provider.model_fields) if len(path) == 2 else []
    section = Settings.model_fields[str(path[0])].annotation
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _absolute(path: Path | None, directory: Path | None) -> Path | None:
    return (directory or Path()) / path.expanduser() if path is not None else None


def _with_absolute_paths(settings: Settings, directory: Path | None) -> Settings:
    prices = settings.prices.model_copy(update={"overrides": _absolute(settings.prices.overrides, directory)})
    providers = {
        name: provider.model_copy(update={key: _absolute(getattr(provider, key), directory) for key in PROVIDER_FILES})
        for name, provider in settings.providers.items()
    }
    alerts = settings.alerts.model_copy(update={"runbooks": _absolute(settings.alerts.runbooks, directory)})
    return settings.model_copy(update={"prices": prices, "providers": providers, "alerts": alerts})


def _proxy_of(provider: Provider, environment: Mapping[str, str]) -> str | None:
    configured = None if provider.proxy is None else provider.proxy.get_secret_value()
    return proxy_for(provider.base_url, configured, environment)


def _odd_proxies(settings: Settings, environment: Mapping[str, str], document: Document) -> list[Mistake]:
    """Proxies that cannot be used; going around them silently would be worse."""
    found = []
    for name, provider in settings.providers.items():
        proxy = _proxy_of(provider, environment)
        if proxy is not None and not is_proxy(proxy):
            where = "its value" if provider.proxy is not None else "what the environment says"
            path = ("providers", name, "proxy")
            problem = f"{where} is no address such as http://host:3128; 'none' leads past a proxy"
            found.append(Mistake(dotted(path), problem, document.line_of(path)))
    return found


def _with_proxies(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The proxy of every provider, decided."""
    providers = {}
    for name, provider in settings.providers.items():
        proxy = _proxy_of(provider, environment)
        providers[name] = provider.model_copy(update={"proxy": None if proxy is None else SecretStr(proxy)})
    return settings.model_copy(update={"providers": providers})


def _wrong_fallbacks(settings: Settings, document: Document) -> list[Mistake]:
    found = []
    for name, provider in settings.providers.items():
        for index, said in enumerate(provider.fallback):
            path = ("providers", name, "fallback", index)
            other = settings.providers.get(said.partition("/")[0])
            if other is None:
                found.append(Mistake(dotted(path), f"there is no provider for '{said}'", document.line_of(path)))
            elif protocol_of(other.kind) != protocol_of(provider.kind):
                problem = f"'{said}' speaks another protocol ({other.kind}) than {name} ({provider.kind})"
                found.append(Mistake(dotted(path), problem, document.line_of(path)))
    return found


def _provider_names(values: dict[str, Any], document: Document) -> list[Mistake]:
    return [
        Mistake(dotted(("providers", name)), problem, document.line_of(("providers", name)))
        for name in map(str, _mapping_at(values, "providers"))
        if (problem := why_no_provider_name(name)) is not None
    ]


def _missing_files(values: dict[str, Any], directory: Path | None, document: Document) -> list[Mistake]:
    """Looked for in what was written, so that they are told beside every other mistake."""
    providers = [("providers", name, key) for name in _mapping_at(values, "providers") for key in PROVIDER_FILES]
    named = [("prices", "overrides"), *providers]
    return [
        Mistake(dotted(path), f"there is no file {file}", document.line_of(path))
        for path in named
        if (file := _file_at(values, path, directory)) is not None and not file.is_file()
    ]


def _file_at(values: dict[str, Any], path: tuple[str, ...], directory: Path | None) -> Path | None:
    given = _mapping_at(values, *path[:-1]).get(path[-1])
    return _absolute(Path(given), directory) if isinstance(given, str) else None
