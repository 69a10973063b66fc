"""
Read the settings: :func:`load` checks them all and reports every problem at once.

Later wins: the defaults in ``config_model.py``, ``pumpwatch.ini``, ``.env`` beside it, the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from pumpwatch.config_dashboard import SHORTEST_TOKEN, DashboardSettings
from pumpwatch.config_endpoint import Endpoint, beyond_host, secret_parts
from pumpwatch.config_file import CONFIG_NAME, RawSettings, RawValue, variable_name
from pumpwatch.config_model import (
    HELIUS_RPC_URL,
    HELIUS_WS_URL,
    PUBLIC_RPC_URL,
    PUBLIC_WS_URL,
    PUMPPORTAL_URL,
    SECTIONS,
    BackfillSettings,
    BudgetSettings,
    ConnectionSettings,
    HeliusSettings,
    PricesSettings,
    PumpPortalSettings,
    PumpwatchSettings,
    Settings,
    WatchSettings,
    WriterSettings,
    keys_of,
)
from pumpwatch.config_operations import AlertsSettings, MetricsSettings, RetentionSettings
from pumpwatch.config_values import file_system_problem, from_home
from pumpwatch.errors import SettingsError

__all__ = [
    "AlertsSettings",
    "BackfillSettings",
    "BudgetSettings",
    "ConnectionSettings",
    "DashboardSettings",
    "Endpoint",
    "HeliusSettings",
    "MetricsSettings",
    "PricesSettings",
    "PumpPortalSettings",
    "PumpwatchSettings",
    "RetentionSettings",
    "Settings",
    "WatchSettings",
    "WriterSettings",
    "load",
]

CONFIG_FILE: Final = "pumpwatch.ini"

_SHORTEST_KEY = 8
_SHORTEST_PROXY_SECRET = 4
_PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")
_SHORTEST_LONGEST_BACKOFF_SECONDS = 5
_SHORTEST_REFRESH_SECONDS = 15


def load(*, config: Path | None, environ: Mapping[str, str], directory: Path) -> Settings:
    """
    Read and check all settings.

    Args:
        config: The settings file; None = the one PUMPWATCH_CONFIG names, else ``pumpwatch.ini`` in *directory* if there is one.
        environ: The environment, ``os.environ`` in a real process.
        directory: The working directory, absolute.

    Raises:
        SettingsError: With every problem that was found, file and line first, no secret shown.

    """
    raw = RawSettings({section: tuple(key.name for key in keys_of(section)) for section in SECTIONS})
    file = config_file_path(config, environ, directory)
    if file is not None:
        raw.read_ini(file)
    home = file.parent if file is not None else directory
    if (home / ".env").exists():
        raw.read_dotenv(home / ".env")
    raw.read_environment(environ)
    return _Builder(raw, file, home, _proxy_secrets(environ)).build()


def config_file_path(config: Path | None, environ: Mapping[str, str], directory: Path) -> Path | None:
    """
    The settings file that is to be read: one that was named, whether it is there or not, or the usual one if it is there.

    Raises:
        SettingsError: Its name begins with the home of nobody.

    """
    if config is None and environ.get(CONFIG_NAME):
        config = Path(environ[CONFIG_NAME])
    if config is not None:
        try:
            return directory / from_home(config)
        except ValueError as error:
            raise SettingsError([f"the path of the settings file {error}"]) from error
    usual = directory / CONFIG_FILE
    return usual if usual.exists() else None


class _Builder:
    """From raw texts to settings: each value alone first, then what must fit together."""

    def __init__(self, raw: RawSettings, file: Path | None, home: Path, secrets: Iterable[str] = ()) -> None:
        self._raw = raw
        self._file = file
        self._home = home
        self._problems = raw.problems
        self._secrets = list(secrets)

    def build(self) -> Settings:
        keys = {name: self._api_key(name) for name in self._raw.secrets}
        found = {section: self._section(section) for section in SECTIONS}
        self._put_endpoints(found["pumpportal"], found["helius"], keys)
        if "endpoint" in found["prices"]:
            self._put_endpoint(found["prices"], "prices", "url", "endpoint", "", None, "")
        self._put_paths(found["pumpwatch"])
        self._guard_alert_urls(found["alerts"])
        self._guard_dashboard(found["dashboard"])
        settings = Settings(
            **{section: of(**found[section]) for section, of in SECTIONS.items()},
            config_file=self._file,
            directory=self._home,
            secrets=tuple(dict.fromkeys(self._secrets)),
            sentry_dsn=keys.get("SENTRY_DSN"),
        )
        self._check_together(settings)
        if self._problems:
            raise SettingsError(self._problems)
        return settings

    def _api_key(self, name: str) -> str | None:
        raw = self._raw.secrets[name]
        if not raw.text:
            return None
        self._secrets.append(raw.text)
        if name == "SENTRY_DSN":
            return raw.text
        if len(raw.text) < _SHORTEST_KEY or not raw.text.isascii() or not raw.text.isprintable() or " " in raw.text:
            self._problems.append(
                f"{raw.where} is not a key: it is shorter than {_SHORTEST_KEY} characters or holds blanks or odd characters"
            )
        return raw.text

    def _section(self, section: str) -> dict[str, Any]:
        values = {}
        for key in keys_of(section):
            raw = self._raw.values.get((section, key.name))
            if raw is None or (not raw.text and not key.default):  # an empty text is the default of such a key
                continue
            try:
                values[key.field] = key.read(raw.text)
            except ValueError as error:
                comment = " (a comment needs a line of its own)" if " #" in raw.text or " ;" in raw.text else ""
                self._problems.append(_sentence(raw.where, str(error)) + comment)
        return values

    def _put_endpoints(self, pumpportal: dict[str, Any], helius: dict[str, Any], keys: Mapping[str, str | None]) -> None:
        pumpportal_key, helius_key = keys.get("PUMPPORTAL_API_KEY"), keys.get("HELIUS_API_KEY")
        self._put_endpoint(pumpportal, "pumpportal", "url", "endpoint", PUMPPORTAL_URL, pumpportal_key, "pumpportal.fun")
        pumpportal["has_key"] = pumpportal["endpoint"].has_key
        ws_default, rpc_default = (HELIUS_WS_URL, HELIUS_RPC_URL) if helius_key else (PUBLIC_WS_URL, PUBLIC_RPC_URL)
        self._put_endpoint(helius, "helius", "ws_url", "ws", ws_default, helius_key, "helius-rpc.com")
        self._put_endpoint(helius, "helius", "rpc_url", "rpc", rpc_default, helius_key, "helius-rpc.com")
        helius["has_key"] = helius["ws"].has_key

    def _put_endpoint(
        self, values: dict[str, Any], section: str, key: str, field: str, default: str, secret: str | None, domain: str
    ) -> None:
        url: str = values.get(field, default)
        raw = self._raw.values.get((section, key))
        beyond = beyond_host(url)
        if beyond and beyond != beyond_host(default):
            self._secrets += secret_parts(url)
            if raw is not None and not raw.is_private:
                self._problems.append(
                    f"{raw.where} has a path, query or user, which may hold a key: put it into .env beside this file, as "
                    f"{variable_name(section, key)}=..."
                )
        bare = Endpoint.of(url)
        takes_key = bare.is_loopback or bare.belongs_to(domain)
        values[field] = Endpoint.of(url, key=secret) if takes_key else bare

    def _guard_alert_urls(self, values: dict[str, Any]) -> None:
        """Every alert URL is a secret, as a whole and in its parts."""
        urls: tuple[str, ...] = values.get("urls", ())
        for url in urls:
            # Where others have a host, chats have half of the key; a name with a dot in it is a host.
            host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
            self._secrets += [url, *secret_parts(url)]
            self._secrets += [piece for piece in (host, *host.split(":")) if "." not in piece and len(piece) >= _SHORTEST_KEY]
        raw = self._raw.values.get(("alerts", "urls"))
        if urls and raw is not None and not raw.is_private:
            name = variable_name("alerts", "urls")
            self._problems.append(f"{raw.where} is a secret: put it into .env beside this file, as {name}=...")

    def _guard_dashboard(self, values: dict[str, Any]) -> None:
        """What only those with the token may see is not to be seen by others, and the token by nobody."""
        token: str | None = values.get("token")
        raw = self._raw.values.get(("dashboard", "token"))
        if token is not None and raw is not None:
            self._secrets.append(token)
            if not raw.is_private:
                name = variable_name("dashboard", "token")
                self._problems.append(f"{raw.where} is a secret: put it into .env beside this file, as {name}=...")
            if len(token) < SHORTEST_TOKEN:
                self._problems.append(f"{raw.where} is shorter than {SHORTEST_TOKEN} characters: others could guess it")

    def _put_paths(self, values: dict[str, Any]) -> None:
        database = self._home / values.get("database", PumpwatchSettings().database)
        raw = self._raw.values.get(("pumpwatch", "database"), RawValue("", "[pumpwatch] database", is_private=False))
        if problem := file_system_problem(database):
            self._problems.append(f"{raw.where} {problem}")
        values["database"] = database
        if log_file := values.get("log_file"):
            values["log_file"] = self._home / log_file

    def _check_together(self, settings: Settings) -> None:
        feeds = (settings.pumpportal, settings.helius)
        if not any(feed.enabled for feed in feeds):
            self._problems.append(
                f"{self._where('helius', 'enabled')} and [pumpportal] enabled are both no: nothing would be recorded"
            )
        if settings.pumpportal.enabled and settings.pumpportal.trades == "all" and not settings.pumpportal.has_key:
            self._problems.append(
                f"{self._where('pumpportal', 'trades')} is all, which is paid: it needs PUMPPORTAL_API_KEY in .env"
            )
        self._check_helius(settings.helius)
        self._check_connection(settings)
        prices = settings.prices
        is_ours = prices.endpoint is not None and prices.endpoint.is_loopback
        if prices.enabled and prices.refresh_seconds < _SHORTEST_REFRESH_SECONDS and not is_ours:
            self._problems.append(
                f"{self._where('prices', 'refresh_seconds')} ({prices.refresh_seconds:g}) must be at least "
                f"{_SHORTEST_REFRESH_SECONDS}: servers refuse those who hammer them"
            )

    def _check_helius(self, helius: HeliusSettings) -> None:
        if helius.enabled and helius.scope == "all" and helius.ws.belongs_to("helius-rpc.com") and not helius.accept_cost:
            self._problems.append(
                f"{self._where('helius', 'scope')} is all, which costs 14 to 21 million credits a month at Helius: "
                f"set [helius] accept_cost = yes if that is meant"
            )
        given = {key for key in ("ws_url", "rpc_url") if ("helius", key) in self._raw.values}
        if len(given) == 1 and helius.ws.is_loopback != helius.rpc.is_loopback:
            self._problems.append(
                f"{self._where('helius', given.pop())} is this machine, and the other of ws_url and rpc_url is not: set both, "
                f"so that two chains are never mixed"
            )

    def _check_connection(self, settings: Settings) -> None:
        connection = settings.connection
        if connection.ping_interval_seconds <= connection.ping_timeout_seconds:
            self._problems.append(
                f"{self._where('connection', 'ping_interval_seconds')} ({connection.ping_interval_seconds:g}) must be more than "
                f"ping_timeout_seconds ({connection.ping_timeout_seconds:g})"
            )
        longest = connection.backoff_longest_seconds
        if longest < connection.backoff_first_seconds:
            self._problems.append(
                f"{self._where('connection', 'backoff_longest_seconds')} ({longest:g}) is less than backoff_first_seconds "
                f"({connection.backoff_first_seconds:g})"
            )
        endpoints = (settings.pumpportal.endpoint, settings.helius.ws, settings.helius.rpc)
        if longest < _SHORTEST_LONGEST_BACKOFF_SECONDS and not all(endpoint.is_loopback for endpoint in endpoints):
            self._problems.append(
                f"{self._where('connection', 'backoff_longest_seconds')} ({longest:g}) must be at least "
                f"{_SHORTEST_LONGEST_BACKOFF_SECONDS}: servers ban those who hammer them"
            )

    def _where(self, section: str, key: str) -> str:
        raw = self._raw.values.get((section, key))
        return raw.where if raw is not None else f"[{section}] {key}"


def _proxy_secrets(environ: Mapping[str, str]) -> list[str]:
    """What the way to the network is paid with: proxies are named with user and password."""
    urls = [value for name, value in environ.items() if name.lower() in _PROXY_VARIABLES and "@" in value]
    found = [user_info for url in urls for user_info in url.partition("://")[2].rpartition("@")[0].split(":", 1)[1:]]
    return [secret for secret in {*found, *map(unquote, found)} if len(secret) >= _SHORTEST_PROXY_SECRET]


def _sentence(where: str, reason: str) -> str:
    return f"{where} {reason}" if reason.startswith(("is ", "has ", "must ", "lies ")) else f"{where}: {reason}"
