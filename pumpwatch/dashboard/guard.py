"""
Who may ask for what. Everything is refused that a page of the web, on this machine's own browser, could try.

A request must call this machine by a name that is its own (DNS rebinding), show the token where one is set, and, to change
something, come from our own page of this very run.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import flask

from pumpwatch.config import DashboardSettings
from pumpwatch.dashboard.problems import METHODS, Problem
from pumpwatch.loopback import OWN_NAMES, means_us

#: The cookie that has the token.
COOKIE: Final = "pumpwatch_token"
ACTION_HEADER: Final = "X-Pumpwatch-Action"

#: What a page may load and do: nothing but its own.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

#: What everybody may have: what the login page is made of.
_OPEN_PATHS: Final = ("/login", "/static/base.css", "/static/favicon.svg")

_MOST_GUESSES: Final = 10
_GUESSES_SECONDS: Final = 60.0


class Guard:
    """
    Lets requests through, or raises Problem. From any thread.

    Args:
        action_token: Of this run; what changes something must show it.
        clock: Seconds that never go back.

    """

    def __init__(self, settings: DashboardSettings, *, action_token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._names = {*OWN_NAMES, *settings.hosts}
        self._token = settings.token
        self._action_token = action_token
        self._clock = clock
        self._guesses: list[float] = []
        self._lock = threading.Lock()

    def register(self, app: flask.Flask) -> None:
        """Stand before every request of *app*, and put the headers onto every answer."""
        app.before_request(self.check)
        app.after_request(protected)

    def check(self) -> None:
        """
        Let the running request through.

        Raises:
            Problem: 403, 401, 405 or 429.

        """
        request = flask.request
        if request.method not in METHODS:
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET, HEAD and POST are understood.")
        self._check_name(request.headers.get_all("Host"))
        if request.path not in _OPEN_PATHS and not self._knows_token(request):
            if request.path.startswith("/api/"):
                raise Problem(HTTPStatus.UNAUTHORIZED, "This page asks for its token: log in at /login.")
            flask.abort(flask.redirect("/login", HTTPStatus.SEE_OTHER))
        if request.method == "POST":
            self._check_origin(request)
            if request.path != "/login":
                self._check_action(request)

    def admit(self, token: str) -> bool:
        """
        Whether this is the token: for the login.

        Raises:
            Problem: Too many wrong ones came lately.

        """
        with self._lock:
            now = self._clock()
            self._guesses = [at for at in self._guesses if now - at < _GUESSES_SECONDS]
            if len(self._guesses) >= _MOST_GUESSES:
                raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong tokens: wait a minute, then try again.")
            if self._is_token(token):
                return True
            self._guesses.append(now)
        return False

    def _check_name(self, given: list[str]) -> None:
        if not means_us(given, self._names):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "This page answers to localhost alone: open it as http://127.0.0.1, or add the name to [dashboard] hosts.",
            )

    def _knows_token(self, request: flask.Request) -> bool:
        if self._token is None:
            return True
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.admit(shown.strip())
        cookie = request.cookies.get(COOKIE)
        return cookie is not None and self._is_token(cookie)

    def _is_token(self, shown: str) -> bool:
        return self._token is not None and hmac.compare_digest(shown.encode("utf-8", "replace"), self._token.encode())

    def _check_origin(self, request: flask.Request) -> None:
        """Behind TLS we see no https: the name and port alone are compared."""
        origins = request.headers.get_all("Origin")
        origin = urlsplit(origins[0]) if len(origins) == 1 else None
        if origin is None or origin.scheme not in ("http", "https") or origin.netloc.lower() != request.host.lower():
            raise Problem(HTTPStatus.FORBIDDEN, "This may be asked for by our own page alone: the Origin is another.")

    def _check_action(self, request: flask.Request) -> None:
        shown = request.headers.get(ACTION_HEADER, "")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self._action_token.encode()):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "The page is of an earlier start of `pumpwatch dashboard`: load it anew.",
                code="stale_page",
            )
        if request.mimetype != "application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with Content-Type: application/json.")


def protected(answer: flask.Response) -> flask.Response:
    """The answer with what tells a browser to do no more than we mean."""
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer
