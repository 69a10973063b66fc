"""The settings as records: every key with its default, unit, range and meaning. All defaults are here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

from pumpwatch.config_dashboard import DashboardSettings
from pumpwatch.config_endpoint import Endpoint
from pumpwatch.config_operations import AlertsSettings, MetricsSettings, RetentionSettings
from pumpwatch.config_setting import Key, Setting
from pumpwatch.config_values import (
    addresses,
    admission,
    choice,
    database_path,
    gateway_urls,
    http_url,
    number,
    optional_path,
    websocket_url,
    whole,
    yes_or_no,
)

PUMPPORTAL_URL: Final = "wss://pumpportal.fun/api/data"
HELIUS_WS_URL: Final = "wss://mainnet.helius-rpc.com"
HELIUS_RPC_URL: Final = "https://mainnet.helius-rpc.com"
PUBLIC_WS_URL: Final = "wss://api.mainnet-beta.solana.com"
PUBLIC_RPC_URL: Final = "https://api.mainnet-beta.solana.com"

_PUMPPORTAL = Endpoint.of(PUMPPORTAL_URL)
_PUBLIC_WS = Endpoint.of(PUBLIC_WS_URL)
_PUBLIC_RPC = Endpoint.of(PUBLIC_RPC_URL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpwatchSettings:
    database: Annotated[
        Path, Setting(database_path, "The SQLite file. A relative path starts at the folder of this file. Local disks only.")
    ] = Path("pumpwatch.db")
    log_level: Annotated[
        str,
        Setting(
            choice("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
            "The least grave messages that are logged: TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        ),
    ] = "INFO"
    log_file: Annotated[
        Path | None,
        Setting(
            optional_path,
            "Also log into this file; empty = standard error only. It starts anew at 10 MB, log_files old ones are kept. Where "
            "standard error is a file too, as with cron, that gets warnings and worse alone then.",
        ),
    ] = None
    log_files: Annotated[int, Setting(whole(1, 1000), "How many old log files are kept beside log_file.")] = 5
    log_format: Annotated[
        Literal["text", "json"],
        Setting(choice("text", "json"), "What log_file holds: text, or one JSON object a line for programs. Consoles get text."),
    ] = "text"
    stuck_after_seconds: Annotated[
        float,
        Setting(
            number(10, 86_400),
            "A thread whose loop has not turned for so long ends the process with status 70 and every thread's stack in the "
            "log: whatever started it starts it anew.",
        ),
    ] = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpPortalSettings:
    enabled: Annotated[bool, Setting(yes_or_no, "Use this feed.")] = True
    endpoint: Annotated[
        Endpoint,
        Setting(
            websocket_url,
            "The WebSocket. The key is added to it for pumpportal.fun and this machine only.",
            key="url",
            default=PUMPPORTAL_URL,
        ),
    ] = _PUMPPORTAL
    trades: Annotated[
        Literal["no", "pinned", "all"],
        Setting(
            choice("no", "pinned", "all"),
            "Whose trades are subscribed, paid with PUMPPORTAL_API_KEY at 0.01 SOL per 10,000 messages: no; pinned = the mints "
            "and wallets of [watch]; all = every watched token. New tokens and migrations are free and always on.",
        ),
    ] = "pinned"
    has_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeliusSettings:
    enabled: Annotated[bool, Setting(yes_or_no, "Use this feed.")] = True
    ws: Annotated[
        Endpoint,
        Setting(
            websocket_url,
            "The WebSocket; empty = Helius when HELIUS_API_KEY is set, else Solana's public mainnet. Any Solana endpoint will "
            "do; one with a path or query goes into .env as PUMPWATCH_HELIUS_WS_URL.",
            key="ws_url",
            default="",
        ),
    ] = _PUBLIC_WS
    rpc: Annotated[
        Endpoint,
        Setting(http_url, "JSON-RPC over HTTP, for backfill; as above (PUMPWATCH_HELIUS_RPC_URL).", key="rpc_url", default=""),
    ] = _PUBLIC_RPC
    commitment: Annotated[
        Literal["processed", "confirmed", "finalized"],
        Setting(
            choice("processed", "confirmed", "finalized"),
            "How settled a transaction must be when it is delivered: processed (may be undone), confirmed, or finalized (about "
            "13 s later).",
        ),
    ] = "confirmed"
    scope: Annotated[
        Literal["watched", "all"],
        Setting(
            choice("watched", "all"),
            "watched = the tokens of the watch list; all = every token of both programs, whatever max_tokens says.",
        ),
    ] = "watched"
    accept_cost: Annotated[
        bool,
        Setting(
            yes_or_no,
            "scope = all costs 14 to 21 million Helius credits a month: it needs yes here on an endpoint that charges by volume.",
        ),
    ] = False
    has_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    mints: Annotated[
        tuple[str, ...], Setting(addresses, "Tokens that are always watched (pinned): mint addresses, by commas or one a line.")
    ] = ()
    wallets: Annotated[
        tuple[str, ...],
        Setting(
            addresses,
            "Wallets whose trades are always subscribed, by commas or one a line. The tokens they trade are watched too.",
        ),
    ] = ()
    admit: Annotated[
        str,
        Setting(
            admission,
            "Which new tokens are watched as well: auto = as many as the provider and the budget carry; all; none; or a pattern "
            "for symbols such as *DOG*.",
        ),
    ] = "auto"
    max_tokens: Annotated[int, Setting(whole(0, 100_000), "The most tokens watched at once, pinned ones included.")] = 50
    minimum_watch_minutes: Annotated[
        float, Setting(number(0, 100_000), "A new token keeps its place at least this long, in minutes.")
    ] = 15.0
    idle_minutes: Annotated[float, Setting(number(0.01, 100_000), "It leaves after this long without a trade, in minutes.")] = (
        30.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    pumpportal_sol_per_day: Annotated[
        float, Setting(number(0, 1000), "The most spent on PumpPortal's paid messages in a UTC day, in SOL.")
    ] = 0.02
    helius_credits_per_month: Annotated[
        int,
        Setting(
            whole(0, 10_000_000_000), "Credits of your Helius plan in a month, a fifth of them kept for repairs; 0 = not counted."
        ),
    ] = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    connect_timeout_seconds: Annotated[
        float, Setting(number(0.1, 300), "The most a connect with its TLS and WebSocket handshakes may take.")
    ] = 10.0
    ping_interval_seconds: Annotated[
        float, Setting(number(0.1, 3600), "Time between pings; must be more than ping_timeout_seconds.")
    ] = 20.0
    ping_timeout_seconds: Annotated[
        float, Setting(number(0.1, 3600), "A pong that stays away this long ends the connection.")
    ] = 10.0
    pumpportal_idle_seconds: Annotated[
        float, Setting(number(0.1, 86_400), "Without a new token or trade for this long, the connection is made anew.")
    ] = 75.0
    helius_idle_seconds: Annotated[
        float, Setting(number(0.1, 86_400), "Without a new slot for this long, the connection is made anew.")
    ] = 10.0
    backoff_first_seconds: Annotated[
        float, Setting(number(0.05, 3600), "The longest wait before the first reconnect; it doubles with each.")
    ] = 1.0
    backoff_longest_seconds: Annotated[
        float, Setting(number(0.05, 3600), "The longest wait of all; at least 5 unless all endpoints are this machine.")
    ] = 30.0
    healthy_after_seconds: Annotated[
        float, Setting(number(0, 3600), "A connection that held this long, with data, begins again at the first wait.")
    ] = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSettings:
    batch_size: Annotated[int, Setting(whole(1, 100_000), "The most messages in one transaction.")] = 1000
    queue_size: Annotated[
        int, Setting(whole(1, 10_000_000), "Messages kept in memory for the writer; more go to the spill file.")
    ] = 10_000
    spill_megabytes: Annotated[
        int, Setting(whole(1, 1_000_000), "The most the spill file takes, beside the database; full = the feeds pause.")
    ] = 256
    busy_timeout_seconds: Annotated[
        float, Setting(number(0, 60), "How long one write waits for another program's lock before it is tried anew.")
    ] = 5.0
    synchronous: Annotated[
        Literal["normal", "full"],
        Setting(
            choice("normal", "full"),
            "normal: a power cut may cost the last moments, which are then a gap and fetched again; full: each commit waits "
            "for the disk.",
        ),
    ] = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSettings:
    enabled: Annotated[
        bool, Setting(yes_or_no, "Fetch what the feeds missed from [helius] rpc_url, and prove there that nothing is missing.")
    ] = True
    requests_per_second: Annotated[
        float,
        Setting(number(0, 10_000), "The most calls in a second; 0 = what the provider allows, which is never exceeded."),
    ] = 0.0
    anchor_active_seconds: Annotated[
        float,
        Setting(
            number(1, 86_400), "How often the account of a token that trades is read, to prove its record; slower on a budget."
        ),
    ] = 15.0
    anchor_idle_seconds: Annotated[float, Setting(number(1, 86_400), "The same for a token that does not trade.")] = 300.0
    break_grace_seconds: Annotated[
        float,
        Setting(number(0, 3600), "How long two trades may not link, or an account be ahead of the record, before it is a gap."),
    ] = 5.0
    give_up_after_minutes: Annotated[
        float, Setting(number(0.1, 100_000), "A gap that cannot be filled for so long becomes unfillable, with the reason.")
    ] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesSettings:
    enabled: Annotated[
        bool,
        Setting(
            yes_or_no,
            "Ask what SOL and the other quotes cost in US dollars, now and in the past; no = USD stays unknown. Simulated data "
            "never gets real prices.",
        ),
    ] = True
    refresh_seconds: Annotated[
        float, Setting(number(1, 86_400), "Time between two prices of now; at least 15 unless url is this machine.")
    ] = 60.0
    endpoint: Annotated[
        Endpoint | None,
        Setting(
            http_url,
            "One server that answers like Coinbase's spot prices and candles; empty = Coinbase, Jupiter, CoinGecko and Binance, "
            "without a key, compared with each other.",
            key="url",
            default="",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataSettings:
    fetch: Annotated[
        Literal["off", "ipfs", "https"],
        Setting(
            choice("off", "ipfs", "https"),
            "Fetch the files behind tokens' uris, which hold descriptions and links: off; ipfs = what lies on IPFS, from the "
            "gateways alone; https = for pinned tokens also from the server that their maker chose, who sees your address then. "
            "No proxy is used for that, whatever the environment says.",
        ),
    ] = "off"
    gateways: Annotated[
        tuple[Endpoint, ...],
        Setting(
            gateway_urls,
            "Servers that are asked for what lies on IPFS, by commas or one a line. They see what you are interested in.",
            default="https://ipfs.io, https://dweb.link",
        ),
    ] = (Endpoint.of("https://ipfs.io"), Endpoint.of("https://dweb.link"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    All settings of one process.

    Attributes:
        config_file: The settings file that was read; None when there was none.
        directory: Where relative paths start: the folder of that file, else the one given to :func:`load`.
        secrets: Every secret value, for :func:`pumpwatch.telemetry.set_up_logging`. Never to be shown.
        sentry_dsn: Where errors are sent; None: nowhere.
    """

    pumpwatch: PumpwatchSettings = PumpwatchSettings()
    pumpportal: PumpPortalSettings = PumpPortalSettings()
    helius: HeliusSettings = HeliusSettings()
    watch: WatchSettings = WatchSettings()
    budget: BudgetSettings = BudgetSettings()
    connection: ConnectionSettings = ConnectionSettings()
    writer: WriterSettings = WriterSettings()
    backfill: BackfillSettings = BackfillSettings()
    prices: PricesSettings = PricesSettings()
    metadata: MetadataSettings = MetadataSettings()
    alerts: AlertsSettings = field(default_factory=AlertsSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    dashboard: DashboardSettings = field(default_factory=DashboardSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    config_file: Path | None = None
    directory: Path = Path()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    sentry_dsn: str | None = field(default=None, repr=False)


SECTIONS: Final[dict[str, type[Any]]] = {
    "pumpwatch": PumpwatchSettings,
    "pumpportal": PumpPortalSettings,
    "helius": HeliusSettings,
    "watch": WatchSettings,
    "budget": BudgetSettings,
    "connection": ConnectionSettings,
    "writer": WriterSettings,
    "backfill": BackfillSettings,
    "prices": PricesSettings,
    "metadata": MetadataSettings,
    "alerts": AlertsSettings,
    "metrics": MetricsSettings,
    "dashboard": DashboardSettings,
    "retention": RetentionSettings,
}


def keys_of(section: str) -> Iterator[Key]:
    """The keys of *section*, in the order of the shipped file."""
    hints = get_type_hints(SECTIONS[section], include_extras=True)
    for of in fields(SECTIONS[section]):
        for about in getattr(hints[of.name], "__metadata__", ()):
            default = as_written(of.default) if about.default is None else about.default
            yield Key(about.key or of.name, of.name, about.read, about.meaning, default)


def as_written(value: object) -> str:
    """A value as the settings file has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None or value == () else str(value)
