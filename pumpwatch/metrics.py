"""
PURE. From the worker's vitals to the numbers of ``/metrics``: names, meanings, units, labels. docs/operations.md shows their use.

Names follow https://prometheus.io/docs/practices/naming/: base units, ``_total`` on counters, times as unix seconds. No label's
value comes from the chain or from a server; each has a few fixed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from pumpwatch.feeds.outcome import DROP_CAUSES
from pumpwatch.feeds.state import State
from pumpwatch.vitals import FeedVitals, ProviderCost, Vitals

Kind: TypeAlias = Literal["gauge", "counter", "summary", "info"]

COMPLETENESS: Final = ("complete", "since", "spell", "holes", "unproven")
BACKFILL_STATES: Final = ("idle", "working", "waiting", "refused", "exhausted", "budget", "stopped")
COST_PARTS: Final = ("messages", "streaming", "connections", "calls")
SHED: Final = ("raw", "metadata", "admissions", "unpinned")
GAP_CAUSES: Final = (
    *("break", "budget", "disconnected", "doubt", "limit", "log truncated", "refused", "restart", "silent", "spill full"),
    *("spill torn", "start", "tail", "watched"),
)

#: Kinds beyond so many are counted together: a label that grew would be paid for in every monitoring system.
_MOST_KINDS: Final = 60
_OTHER: Final = "other"

_STATES: Final[tuple[str, ...]] = get_args(State)


class Sample(NamedTuple):
    """One number. *suffix* is that of a summary: ``_count`` or ``_sum``."""

    labels: dict[str, str]
    value: float
    suffix: str = ""


class Family(NamedTuple):
    """All numbers of one *name*: a counter's without its ``_total``, an info's without its ``_info``."""

    name: str
    kind: Kind
    meaning: str
    samples: tuple[Sample, ...]


def families(vitals: Vitals, *, now: float, problems: int = 0) -> tuple[Family, ...]:
    """
    Everything that is shown of *vitals* at unix time *now*. What is unknown has no sample.

    Args:
        problems: How many ``/health`` tells.

    """
    parts = (_process(vitals, problems), _feeds(vitals, now), _intake(vitals), _writing(vitals), _record(vitals, now))
    return tuple(family for part in (*parts, _asking(vitals), _disk(vitals)) for family in part)


def _process(vitals: Vitals, problems: int) -> Iterator[Family]:
    labels = {"version": vitals.version, "origin": vitals.origin}
    yield Family("pumpwatch_build", "info", "Version of pumpwatch, and where its data comes from.", (Sample(labels, 1),))
    yield _gauge("start_timestamp_seconds", "When the worker started, unix time.", vitals.started_at)
    yield _gauge(
        "measured_timestamp_seconds", "When these numbers were taken, unix time; scrapes do not take them anew.", vitals.at
    )
    yield _gauge("healthy", "1: /health says that all is well.", float(not problems))
    yield _gauge("problems", "How many problems /health tells.", problems)
    yield _gauge("programs_changed", "1: the programs on chain speak otherwise than known; update.", vitals.alarm is not None)


def _feeds(vitals: Vitals, now: float) -> Iterator[Family]:
    feeds = vitals.feeds
    states = (Sample({"feed": feed.name, **one.labels}, one.value) for feed in feeds for one in _one_hot(feed.state, _STATES))
    yield Family("pumpwatch_feed_state", "gauge", "1 for the state that the feed is in, 0 for the others.", tuple(states))
    yield _each(feeds, "state_since_timestamp_seconds", "gauge", "When that state began, unix time.", lambda feed: feed.since)
    yield _each(feeds, "delivering", "gauge", "1: connected, and all that is wanted is delivered.", _delivers)
    meaning = "When the last data came, unix time; none before the first."
    yield _each(feeds, "last_data_timestamp_seconds", "gauge", meaning, lambda feed: feed.last_data_at)
    meaning = "Since the last data, before the first since the start."
    yield _each(
        feeds, "data_age_seconds", "gauge", meaning, lambda feed: max(0.0, now - (feed.last_data_at or vitals.started_at))
    )
    yield _each(feeds, "connects", "counter", "Connections that were made.", lambda feed: feed.connects_total)
    yield _by_cause(feeds, "drops", "Connections that ended otherwise than by our stop.", lambda feed: feed.drops_total)
    meaning = "Attempts that became no connection."
    yield _by_cause(feeds, "failed_connects", meaning, lambda feed: feed.failed_connects_total)
    yield _each(feeds, "messages", "counter", "Messages received.", lambda feed: feed.messages_total)
    yield _each(feeds, "trades", "counter", "Trades decoded, repeated ones too.", lambda feed: feed.trades_total)


def _each(
    feeds: Sequence[FeedVitals], name: str, kind: Kind, meaning: str, value: Callable[[FeedVitals], float | None]
) -> Family:
    told = ((feed, value(feed)) for feed in feeds)
    samples = (Sample({"feed": feed.name}, number) for feed, number in told if number is not None)
    return Family(f"pumpwatch_feed_{name}", kind, meaning, tuple(samples))


def _by_cause(feeds: Sequence[FeedVitals], name: str, meaning: str, counts: Callable[[FeedVitals], Mapping[str, int]]) -> Family:
    samples = (
        Sample({"feed": feed.name, **one.labels}, one.value)
        for feed in feeds
        for one in _counted("cause", counts(feed), DROP_CAUSES)
    )
    return Family(f"pumpwatch_feed_{name}", "counter", meaning, tuple(samples))


def _delivers(feed: FeedVitals) -> float:
    return float(feed.state == "connected" and not feed.reason)


def _intake(vitals: Vitals) -> Iterator[Family]:
    yield _kinds("unread", "Messages and payloads that could not be read, and are kept.", vitals.unread_total)
    yield _kinds("passed_over", "What is known and not recorded by design.", vitals.not_ours_total)
    yield _gauge("queue_depth", "Deliveries that wait in memory for the writer.", vitals.queue_depth)
    yield _gauge("queue_size", "The most that may; then they go to the spill file.", vitals.queue_size)
    yield _gauge("spilled_deliveries", "Deliveries that wait in the spill file.", vitals.spilled)


def _writing(vitals: Vitals) -> Iterator[Family]:
    commits = (Sample({}, vitals.commits_total, "_count"), Sample({}, vitals.commit_seconds_total, "_sum"))
    yield Family("pumpwatch_commit_seconds", "summary", "Time that transactions took.", commits)
    yield _gauge("commit_longest_seconds", "The longest transaction of the last minute.", vitals.commit_seconds_longest)
    yield _gauge("last_commit_timestamp_seconds", "When data was stored last, unix time.", vitals.last_commit_at)
    yield _counter("lock_retries", "Batches that had to be tried again: locked, full disk.", vitals.lock_retries_total)
    yield _gauge("database_trouble", "1: the database takes nothing now.", vitals.database_trouble is not None)
    yield _gauge(
        "lag_seconds",
        "From a trade's block time to its storing, median of the last minute; none without trades.",
        vitals.lag_seconds,
    )


def _record(vitals: Vitals, now: float) -> Iterator[Family]:
    yield _gauge("trades", "Trades in the record.", vitals.trades)
    yield _counter("trades_stored", "Trades added to the record since the start.", vitals.trades_stored_total)
    yield _gauge("watched", "Tokens and wallets on the watch list.", vitals.watched)
    tokens = tuple(_counted("completeness", vitals.completeness, COMPLETENESS))
    yield Family("pumpwatch_watched_tokens", "gauge", "Watched tokens by what may be said of their record.", tokens)
    gaps = tuple(_counted("cause", vitals.gaps_open, GAP_CAUSES))
    yield Family("pumpwatch_gaps_open", "gauge", "Gaps that are not closed yet.", gaps)
    age = 0.0 if vitals.gap_oldest_at is None else max(0.0, now - vitals.gap_oldest_at)
    yield _gauge("gap_oldest_age_seconds", "Since the beginning of the oldest open gap; 0: there is none.", age)
    yield _counter("gaps_closed", "Gaps closed since the start.", vitals.gaps_closed_total)


def _asking(vitals: Vitals) -> Iterator[Family]:
    states = tuple(_one_hot(vitals.backfill_state, BACKFILL_STATES)) if vitals.backfill_state is not None else ()
    yield Family("pumpwatch_backfill_state", "gauge", "1 for the state that backfill is in, 0 for the others.", states)
    yield _counter("backfill_requests", "Calls sent to the chain, each of a batch.", vitals.backfill_requests_total)
    yield _counter("backfill_transactions", "Transactions fetched.", vitals.backfill_transactions_total)
    yield _costs(vitals, "cost_spent", "Spent in this period.", lambda cost: cost.spent)
    parts = (
        Sample({"provider": cost.provider, "part": part}, cost.parts[part])
        for cost in vitals.costs
        for part in COST_PARTS
        if part in cost.parts
    )
    yield Family("pumpwatch_cost_part_spent", "gauge", "Of what is spent in this period: on what.", tuple(parts))
    yield _costs(vitals, "cost_limit", "What may be spent in a period; none: not bounded.", lambda cost: cost.limit)
    yield _costs(vitals, "cost_projected", "What it will be at the end of the period.", lambda cost: cost.projected)
    yield _costs(vitals, "cost_used_ratio", "Share of the limit that is spent.", _used)
    yield _messages(vitals, "provider_messages", "Messages of a provider.", lambda cost: cost.messages_total)
    yield _messages(
        vitals, "provider_billed_messages", "Of these: charged for by the message.", lambda cost: cost.billed_messages_total
    )


def _disk(vitals: Vitals) -> Iterator[Family]:
    growth = vitals.database_growth_bytes_per_day
    yield _gauge("database_size_bytes", "Size of the database.", vitals.database_bytes)
    yield _gauge("wal_size_bytes", "Size of its write-ahead log.", vitals.wal_bytes)
    yield _gauge("disk_free_bytes", "Free where the database lies.", vitals.disk_free_bytes)
    yield _gauge(
        "database_growth_bytes_per_second", "How fast it grows, over the last hours.", None if growth is None else growth / 86_400
    )
    shed = tuple(Sample({"what": what}, float(what in vitals.shed)) for what in SHED)
    yield Family("pumpwatch_shed", "gauge", "1: given up for lack of disk or money.", shed)


def _used(cost: ProviderCost) -> float | None:
    return cost.spent / cost.limit if cost.limit else None


def _costs(vitals: Vitals, name: str, meaning: str, value: Callable[[ProviderCost], float | None]) -> Family:
    told = ((cost, value(cost)) for cost in vitals.costs)
    samples = (
        Sample({"provider": cost.provider, "unit": cost.unit, "period": cost.period}, number)
        for cost, number in told
        if number is not None
    )
    return Family(f"pumpwatch_{name}", "gauge", meaning, tuple(samples))


def _messages(vitals: Vitals, name: str, meaning: str, value: Callable[[ProviderCost], float | None]) -> Family:
    told = ((cost, value(cost)) for cost in vitals.costs)
    samples = (Sample({"provider": cost.provider}, number) for cost, number in told if number is not None)
    return Family(f"pumpwatch_{name}", "counter", meaning, tuple(samples))


def _gauge(name: str, meaning: str, value: float | None) -> Family:
    return Family(f"pumpwatch_{name}", "gauge", meaning, () if value is None else (Sample({}, float(value)),))


def _counter(name: str, meaning: str, value: float | None) -> Family:
    return Family(f"pumpwatch_{name}", "counter", meaning, () if value is None else (Sample({}, float(value)),))


def _kinds(name: str, meaning: str, counts: Mapping[str, int]) -> Family:
    known = sorted(counts)[:_MOST_KINDS]
    return Family(f"pumpwatch_{name}", "counter", meaning, tuple(_counted("kind", counts, known)))


def _counted(label: str, counts: Mapping[str, int], known: Sequence[str]) -> Iterator[Sample]:
    """Each of the *known* values of a label, 0 where there is none, and all others together."""
    totals = dict.fromkeys(map(_word, known), 0)
    for value, count in counts.items():
        word = _word(value) if value in known else _OTHER
        totals[word] = totals.get(word, 0) + count
    return (Sample({label: word}, total) for word, total in totals.items())


def _one_hot(state: str, states: Sequence[str]) -> Iterator[Sample]:
    return (Sample({"state": _word(one)}, float(one == state)) for one in states)


def _word(text: str) -> str:
    """``log truncated`` -> ``log_truncated``, ``banned?`` -> ``banned``: how a label's values are spelled."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
