"""What ``check`` asks the servers: can they be reached, do they let us in, is it the chain we mean, does their clock agree?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Final

from pumpwatch.backfill.rpc import Rpc, RpcFailed
from pumpwatch.cli.finding import Finding
from pumpwatch.config import Endpoint, Settings
from pumpwatch.feeds.connection import Connection
from pumpwatch.feeds.opens import Opens, state_folder
from pumpwatch.feeds.outcome import Ending
from pumpwatch.feeds.waits import LOOPBACK_WAITS, Waits
from pumpwatch.providers import ORIGIN_HEADER

_MAINNET: Final = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"

#: The header by which the simulator tells that nothing it says is real.
_METHOD_NOT_FOUND: Final = -32601
_LARGEST_CLOCK_DIFFERENCE_SECONDS: Final = 5.0

_WHAT_TO_DO: Final = {
    "refused": "the key is wrong or was revoked, or (without a key) this address is blocked",
    "exhausted": "the plan's credits are used up: wait for the next month or change the plan",
    "slow down": "we were asked to come less often: wait some minutes",
    "unwelcome": "it is not what we expected there: check the URL",
    "not opened": "check network, firewall and proxy",
    "lost": "check network, firewall, proxy and the URL's host and port",
}


def endpoint_findings(settings: Settings) -> Iterator[Finding]:
    """Ask every endpoint of the enabled feeds. When all of their WebSockets refuse us, each such finding has status 5."""
    sockets = []
    if settings.pumpportal.enabled:
        sockets.append(("pumpportal", settings.pumpportal.endpoint))
    if settings.helius.enabled:
        sockets.append(("helius", settings.helius.ws))
    outcomes = [(name, endpoint, _handshake(name, endpoint, settings)) for name, endpoint in sockets]
    all_refused = all(outcome is not None and outcome.kind == "refused" for _, _, outcome in outcomes)
    for name, endpoint, outcome in outcomes:
        yield _socket_finding(name, endpoint, outcome, status=5 if all_refused else 1)
    if settings.helius.enabled:
        yield from rpc_findings(settings.helius.rpc, timeout_seconds=settings.connection.connect_timeout_seconds)


class _Greeting:
    """Ends a connection as soon as it is open, and keeps the headers of the answer."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] | None = None

    def opened(self, headers: Mapping[str, str]) -> Ending | None:
        self.headers = headers
        return Ending(kind="stopped", reason="checked")

    def receive(self, message: bytes, *, is_binary: bool) -> bool:  # noqa: ARG002 - nothing is asked for
        return True


def _handshake(name: str, endpoint: Endpoint, settings: Settings) -> Ending | None:
    """
    How one WebSocket handshake ended; kind ``stopped``: well. None: it was not tried, as another process is connected.

    PumpPortal bans those who open a second connection, or too many: this one takes part in the same accounts as the worker's.
    """
    waits = LOOPBACK_WAITS if endpoint.is_loopback else Waits()
    is_counted = name == "pumpportal" and not endpoint.is_loopback
    opens = Opens(endpoint, folder=state_folder() if is_counted else None, waits=waits)
    if not opens.take_place():
        return None
    try:
        if wait := opens.wait_before_next():
            minutes = max(1, round((wait.until - time.time()) / 60))
            reason = f"{wait.reason}; not asked again for {minutes} min"
            return Ending(kind="refused" if wait.state == "refused" else "slow down", reason=reason)
        opens.note_open()
        greeting = _Greeting()
        connection = Connection(endpoint, greeting, settings=settings.connection, idle_seconds=60)
        ending = _run(connection, settings.connection.connect_timeout_seconds)
        if not connection.reached:
            opens.take_back_open()
        origin = (greeting.headers or {}).get(ORIGIN_HEADER)
        if ending.kind == "stopped" and origin:
            return Ending(kind="stopped", reason=f"it answers, but is a {origin}: nothing from there is real")
        return ending
    finally:
        opens.leave_place()


def _run(connection: Connection, timeout_seconds: float) -> Ending:
    too_late = Ending(kind="not opened", reason=f"no connection within {timeout_seconds:g} s")
    deadline = threading.Timer(timeout_seconds, connection.end, (too_late,))
    deadline.start()
    try:
        return connection.run()
    finally:
        deadline.cancel()
        deadline.join()


def _socket_finding(name: str, endpoint: Endpoint, outcome: Ending | None, *, status: int) -> Finding:
    shown = f"{endpoint.shown}: "
    if outcome is None:
        return Finding(name, "ok", f"{shown}not tried, another pumpwatch of this user is connected to it")
    if outcome.kind == "stopped":
        return Finding(name, "ok", shown + (outcome.reason if outcome.reason != "checked" else "it answers"))
    return Finding(name, "wrong", f"{shown}{outcome.reason}: {_WHAT_TO_DO.get(outcome.kind, 'try again later')}", status)


def rpc_findings(endpoint: Endpoint, *, timeout_seconds: float) -> Iterator[Finding]:
    """Is the RPC endpoint healthy, is it mainnet, and does its clock agree with ours?"""
    with Rpc(endpoint, timeout_seconds=timeout_seconds, tries=1) as rpc:
        try:
            rpc.call("getHealth")
            genesis = rpc.call("getGenesisHash")
        except RpcFailed as error:
            yield _rpc_failure(endpoint, error)
            return
        if genesis != _MAINNET and not endpoint.is_loopback:
            text = f"{endpoint.shown}: not Solana's mainnet: check [helius] rpc_url and ws_url"
            yield Finding("rpc", "wrong", text, 1)
            return
        yield Finding("rpc", "ok", f"{endpoint.shown}: healthy" + ("" if genesis == _MAINNET else ", not mainnet (this machine)"))
        difference = abs((rpc.server_time() or time.time()) - time.time())
    if difference > _LARGEST_CLOCK_DIFFERENCE_SECONDS:
        yield Finding(
            "clock", "wrong", f"it differs by {difference:.0f} s from {endpoint.host}'s: let this machine set it by NTP", 1
        )


def _rpc_failure(endpoint: Endpoint, error: RpcFailed) -> Finding:
    if error.code == _METHOD_NOT_FOUND and endpoint.is_loopback:
        return Finding("rpc", "ok", f"{endpoint.shown}: it answers")
    if error.status in (401, 403):
        return Finding("rpc", "wrong", f"{endpoint.shown}: {error}: {_WHAT_TO_DO['refused']}", 1)
    if error.status in (429, 503):
        return Finding("rpc", "wrong", f"{endpoint.shown}: {error}: {_WHAT_TO_DO['slow down']}", 1)
    return Finding("rpc", "wrong", f"{endpoint.shown}: {error}: check network, proxy, and [helius] rpc_url", 1)
