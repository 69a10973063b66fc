"""The JSON API, joined: what a program or the page asks for."""

from __future__ import annotations

import flask

from pumpwatch.dashboard import api_system, api_token, api_tokens, api_wallet, api_watch, openapi
from pumpwatch.dashboard.context import Context
from pumpwatch.dashboard.problems import answer


def blueprint(run: Context) -> flask.Blueprint:
    """All routes under ``/api`` but the live ones."""
    api = flask.Blueprint("api", __name__, url_prefix="/api")
    api_tokens.register(api)
    api_token.register(api)
    api_wallet.register(api)
    api_system.register(api, run)
    api_watch.register(api)

    @api.get("/openapi.json")
    def description() -> flask.Response:
        return answer(openapi.description())

    return api
