"""The Flask app: guard, pages, API and live events, put together."""

from __future__ import annotations

from typing import Final

import flask

from pumpwatch.dashboard import api, context, pages, problems, stream
from pumpwatch.dashboard.guard import Guard

#: Nothing that is sent to us is larger.
LARGEST_BODY_BYTES: Final = 16_384


def create_app(run: context.Context) -> flask.Flask:
    """Return the app of one run; it answers from any thread."""
    app = flask.Flask("pumpwatch.dashboard", static_folder="static", template_folder="templates")
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES, MAX_FORM_MEMORY_SIZE=LARGEST_BODY_BYTES)
    context.keep(app, run)
    guard = Guard(run.settings.dashboard, action_token=run.action_token)
    guard.register(app)
    problems.register(app)
    app.register_blueprint(pages.blueprint(guard))
    app.register_blueprint(api.blueprint(run))
    app.register_blueprint(stream.blueprint(run))
    return app
