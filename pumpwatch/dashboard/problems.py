"""What goes wrong, as a client of the API is told: a status, a word for programs and a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import flask
import msgspec
from loguru import logger
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pumpwatch.errors import DatabaseBusy, DatabaseError, TransientError, UsageError
from pumpwatch.telemetry import visible

_CODES: Final = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "login_needed",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.CONFLICT: "refused",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "not_json",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}
_SENTENCES: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing here; GET /api/openapi.json lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This cannot be asked that way; GET /api/openapi.json lists what there is.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is too large.",
}


#: What is understood at all.
METHODS: Final = ("GET", "HEAD", "POST")


class Problem(Exception):
    """A request ends with this *status*; *code* is for programs, *message* one sentence for people."""

    def __init__(self, status: HTTPStatus, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _CODES[status]
        self.message = message


def answer(document: object, status: int = HTTPStatus.OK) -> flask.Response:
    """The document as JSON."""
    return flask.Response(msgspec.json.encode(document), status=status, content_type="application/json")


def register(app: flask.Flask) -> None:
    """Turn every error of a request into such an answer."""
    app.register_error_handler(Exception, _told)


def _told(error: Exception) -> flask.Response:
    problem = _problem(error)
    if flask.request.path.startswith("/api/"):
        told = answer({"error": {"code": problem.code, "message": problem.message}}, problem.status)
    else:
        told = flask.Response(f"{problem.message}\n", status=problem.status, content_type="text/plain; charset=utf-8")
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        told.headers["Allow"] = ", ".join(method for method in METHODS if method in set(_methods(flask.request)))
    return told


def _methods(request: flask.Request) -> Iterable[str]:
    """What may be done with what was asked for."""
    if request.url_rule is not None:
        return request.url_rule.methods or METHODS
    refused = request.routing_exception
    return (refused.valid_methods if isinstance(refused, MethodNotAllowed) else None) or METHODS


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        message = _SENTENCES.get(status, f"The request is none that can be answered: {status.phrase.lower()}.")
        return Problem(status, message, code=_CODES.get(status, "bad_request"))
    if isinstance(error, UsageError):
        return Problem(HTTPStatus.BAD_REQUEST, visible(error, limit=500))
    if isinstance(error, DatabaseError):
        code = "busy" if isinstance(error.__cause__, DatabaseBusy) else "database" if _is_there() else "no_database"
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, visible(error, limit=500), code=code)
    if isinstance(error, TransientError):
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, visible(error, limit=500), code="busy")
    logger.opt(exception=error).error("{} {} failed", flask.request.method, visible(flask.request.path, limit=200))
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A defect of pumpwatch: the log of `pumpwatch dashboard` has what happened.",
        code="defect",
    )


def _is_there() -> bool:
    from pumpwatch.dashboard.context import context

    return context().database.is_file()
