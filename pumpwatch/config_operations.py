"""The settings of those who run it for months: alerts, metrics, retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pumpwatch.config_setting import Setting
from pumpwatch.config_values import alert_urls, host_names, number, pattern_or_none, whole, yes_or_no


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsSettings:
    """
    Attributes:
        urls: Where alerts go, as the library apprise spells it. Each is a secret, and not to be shown.
    """

    enabled: Annotated[
        bool, Setting(yes_or_no, "Judge the rules below. Each alert is a row of table alerts and a line of the log, sent or not.")
    ] = True
    urls: Annotated[
        tuple[str, ...],
        Setting(
            alert_urls,
            "Where alerts are sent, by commas or one a line: discord://, tgram://, slack://, mailto://, json://, ... as the "
            'library apprise spells them (pip install "pumpwatch[alerts]"). Secrets: into .env, as PUMPWATCH_ALERTS_URLS.',
            default="",
        ),
    ] = ()
    cooldown_minutes: Annotated[
        float, Setting(number(0, 100_000), "The same alert of the same subject is not raised again for so long after its end.")
    ] = 15.0
    most_per_hour: Annotated[
        int, Setting(whole(1, 10_000), "Of market alerts; more are counted, and the next one says how many were left out.")
    ] = 60
    feed_down_seconds: Annotated[float, Setting(number(0, 86_400), "A feed is not connected for so long; 0 = no alert.")] = 60.0
    feed_drops_per_hour: Annotated[
        int, Setting(whole(0, 100_000), "A feed lost its connection so often within an hour (it flaps); 0 = no alert.")
    ] = 12
    silent_seconds: Annotated[
        float, Setting(number(0, 86_400), "A feed brought no data for so long, connected or not; 0 = no alert.")
    ] = 180.0
    errors_per_minute: Annotated[
        int, Setting(whole(0, 1_000_000), "So many messages within a minute could not be read; 0 = no alert.")
    ] = 20
    lag_seconds: Annotated[
        float, Setting(number(0, 86_400), "Trades are stored so long after they happened, or wait in the spill; 0 = no alert.")
    ] = 60.0
    holes_minutes: Annotated[float, Setting(number(0, 100_000), "A gap is open for so long; 0 = no alert.")] = 15.0
    disk_free_gb: Annotated[float, Setting(number(0, 1_000_000), "Less is free where the database lies; 0 = no alert.")] = 2.0
    large_trade_sol: Annotated[
        float, Setting(number(0, 1_000_000), "Market: one trade moves so much SOL (tokens that trade against SOL); 0 = no alert.")
    ] = 0.0
    large_trade_curve_percent: Annotated[
        float, Setting(number(0, 100), "Market: one trade moves so much of what the curve had to sell; 0 = no alert.")
    ] = 0.0
    window_seconds: Annotated[
        float, Setting(number(1, 3600), "Market: the stretch over which bursts and moves are measured.")
    ] = 60.0
    burst_volume_sol: Annotated[
        float, Setting(number(0, 1_000_000), "Market: a token trades so much SOL within window_seconds; 0 = no alert.")
    ] = 0.0
    burst_buys: Annotated[int, Setting(whole(0, 1_000_000), "Market: so many buys within window_seconds; 0 = no alert.")] = 0
    price_move_percent: Annotated[
        float, Setting(number(0, 1_000_000), "Market: the price moves so far within window_seconds, up or down; 0 = no alert.")
    ] = 0.0
    creator_sells: Annotated[bool, Setting(yes_or_no, "Market: the creator or developer of a token sells it.")] = False
    graduation_percent: Annotated[
        float, Setting(number(0, 100), "Market: so much of a curve is sold: graduation is near; 0 = no alert.")
    ] = 0.0
    graduated: Annotated[bool, Setting(yes_or_no, "Market: a token graduates.")] = False
    wallet_trades: Annotated[bool, Setting(yes_or_no, "Market: a watched wallet trades.")] = False
    new_tokens: Annotated[
        str | None,
        Setting(
            pattern_or_none,
            "Market: a new token whose name or symbol fits this pattern, such as *DOG*; empty = no alert.",
            default="",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    port: Annotated[
        int,
        Setting(
            whole(0, 65_535),
            'Serve /metrics (Prometheus) and /health on this port of 127.0.0.1; 0 = not (pip install "pumpwatch[metrics]").',
        ),
    ] = 0
    hosts: Annotated[
        tuple[str, ...],
        Setting(
            host_names,
            "Names beside localhost that a request may call this machine by, by commas: others get 403 (DNS rebinding).",
            default="",
        ),
    ] = ()


#: Nobody's record is older: a number beyond it is a mistake, and further on none that a clock can take.
MOST_DAYS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    trade_days: Annotated[
        float,
        Setting(
            number(0, MOST_DAYS),
            "Single trades older than this go; candles, token numbers, positions and the proof stay. 0 = kept for ever.",
        ),
    ] = 0.0
    max_database_gb: Annotated[
        float,
        Setting(number(0, 1_000_000), "Above this size (10^9 bytes) the oldest trades go as well; 0 = no limit."),
    ] = 0.0
    min_free_gb: Annotated[
        float,
        Setting(
            number(0, 1_000_000),
            "With less free disk, one after the other ends: raw messages (--record), metadata, new tokens, all but pinned ones.",
        ),
    ] = 1.0
