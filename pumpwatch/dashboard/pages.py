"""The pages themselves: shells that hold no data, what they are made of, and the login."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
from http import HTTPStatus
from typing import Final

import flask
from werkzeug.wrappers import Response

from pumpwatch import __version__
from pumpwatch.dashboard.context import context
from pumpwatch.dashboard.guard import COOKIE, Guard
from pumpwatch.dashboard.problems import Problem

_ADDRESS: Final = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_TOKEN_DAYS: Final = 30
_MONTH_SECONDS: Final = 30 * 86_400


def blueprint(guard: Guard) -> flask.Blueprint:
    """The routes of people."""
    pages = flask.Blueprint("pages", __name__)

    @pages.get("/")
    def tokens() -> str:
        return _shell("tokens")

    @pages.get("/token/<address>")
    def token(address: str) -> str:
        return _shell("token", _checked(address))

    @pages.get("/wallet/<address>")
    def wallet(address: str) -> str:
        return _shell("wallet", _checked(address))

    @pages.get("/system")
    def system() -> str:
        return _shell("system")

    @pages.get("/vendor/plotly-<version>.js")
    def plotly(version: str) -> flask.Response:
        if version != plotly_version():
            raise Problem(HTTPStatus.NOT_FOUND, "That version of plotly is not installed.")
        script = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
        found = flask.Response(script.read_bytes(), content_type="text/javascript; charset=utf-8")
        found.headers["Cache-Control"] = f"private, max-age={_MONTH_SECONDS}, immutable"
        return found

    @pages.get("/login")
    def login() -> flask.Response:
        return _login(None)

    @pages.post("/login")
    def log_in() -> Response:
        shown = flask.request.form.get("token", "").strip()
        if not guard.admit(shown):
            return _login("This is not the token.", HTTPStatus.FORBIDDEN)
        answer = flask.redirect("/", HTTPStatus.SEE_OTHER)
        is_secure = flask.request.headers.get("Origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE, shown, max_age=_TOKEN_DAYS * 86_400, httponly=True, samesite="Strict", secure=is_secure, path="/"
        )
        return answer

    return pages


def plotly_version() -> str:
    """Of the installed package, which brings the script for charts."""
    return importlib.metadata.version("plotly")


def _checked(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise Problem(HTTPStatus.NOT_FOUND, "That is no Solana address.")
    return address


def _shell(page: str, address: str = "") -> str:
    found = context()
    return flask.render_template(
        f"{page}.html",
        page=page,
        address=address,
        origin=found.origin(),
        action_token=found.action_token,
        version=__version__,
        plotly_url=f"/vendor/plotly-{plotly_version()}.js",
    )


def _login(problem: str | None, status: int = HTTPStatus.OK) -> flask.Response:
    page = flask.render_template(
        "login.html", page="login", address="", origin="", action_token="", version=__version__, problem=problem
    )
    answer = flask.Response(page, status=status)
    # With no-referrer a browser would send the form with the Origin "null", as a stranger's page does. No other server gets it.
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer
