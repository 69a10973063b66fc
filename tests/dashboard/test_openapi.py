"""The API is what its description says: asked at random by that description alone, and each answer held against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import schemathesis
from api_record import ACTION_TOKEN, Api, Shown
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from pumpwatch.dashboard.openapi import ROUTES, description

#: A cursor is more than its characters: what was made up is refused.
WITHOUT_CURSORS = ("positive_data_acceptance",)
OWN_PAGE = {"Origin": "http://localhost", "X-Pumpwatch-Action": ACTION_TOKEN}


class Asked(NamedTuple):
    """One that was asked at random: how often, and the statuses of the answers."""

    requests: int
    statuses: set[int]


@pytest.fixture
def described(api: Api) -> Iterator[Any]:
    api.run.live.start()
    yield schemathesis.openapi.from_wsgi("/api/openapi.json", api.app)
    api.run.live.stop()
    api.run.live.join(5)


def ask(
    described: Any,
    path: str,
    mode: GenerationMode,
    *,
    times: int = 10,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    without: tuple[str, ...] = (),
    **fixed: Any,
) -> Asked:
    """
    Ask at random, and have each answer checked: its status, its content type, its fields, and that it fits the question.

    Args:
        without: Checks that are left out.

    """
    load_all_checks()
    left_out: list[Any] = list(CHECKS.get_by_names(without))
    statuses: list[int] = []

    @settings(max_examples=times, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=described[path][method].as_strategy(generation_mode=mode, **fixed))
    def each(case: Case[Any]) -> None:
        answer = case.call_and_validate(headers=headers, excluded_checks=left_out)
        statuses.append(answer.status_code)

    each()
    return Asked(len(statuses), set(statuses))


@pytest.mark.parametrize("path", [route.path for route in ROUTES])
def test_what_is_asked_for_as_described_is_answered_as_described(described: Any, path: str) -> None:
    without = WITHOUT_CURSORS if path == "/api/changes" else ()

    asked = ask(described, path, GenerationMode.POSITIVE, without=without)

    assert asked.requests > 0
    assert asked.statuses <= ({200, 400} if path == "/api/changes" else {200, 404})


@pytest.mark.parametrize("path", [route.path for route in ROUTES if "{" in route.path])
def test_of_what_is_in_the_record_every_answer_is_whole(described: Any, shown: Shown, path: str) -> None:
    for mint in shown.mints if "{mint}" in path else [""]:
        place = {"mint": mint} if mint else {"address": shown.wallet}
        asked = ask(described, path, GenerationMode.POSITIVE, times=3, path_parameters=place)
        assert asked.statuses == {200}


@pytest.mark.parametrize("path", [route.path for route in ROUTES if route.query or "{" in route.path])
def test_what_is_not_as_described_is_refused(described: Any, path: str) -> None:
    asked = ask(described, path, GenerationMode.NEGATIVE)

    assert asked.requests > 0
    assert asked.statuses <= {400, 404, 405}


@pytest.mark.parametrize("path", [route.path for route in ROUTES])
def test_at_each_border_of_what_is_described_the_answer_is_as_described(described: Any, shown: Shown, path: str) -> None:
    """The least and the most of each argument, one less and one more, each word, none, twice, other methods."""
    load_all_checks()
    operation = described[path]["GET"]
    left_out: list[Any] = list(CHECKS.get_by_names(WITHOUT_CURSORS if path == "/api/changes" else ()))
    cases = described.iter_coverage_cases(
        operation,
        generation_modes=list(GenerationMode),
        generation_config=described.config.generation_for(operation=operation),
    )
    known = {"mint": shown.cat, "address": shown.wallet}
    for case in cases:
        if case.path_parameters and set(case.path_parameters.values()) == {"1" * 32}:  # its own example of an address
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        answer = case.call_and_validate(excluded_checks=left_out)
        assert answer.status_code in (200, 400, 403, 404, 405)


@pytest.mark.parametrize("mode", GenerationMode)
def test_whatever_is_sent_to_be_pinned_is_answered_as_described(described: Any, mode: GenerationMode) -> None:
    asked = ask(described, "/api/watch", mode, method="POST", headers=OWN_PAGE, without=("positive_data_acceptance",))

    assert asked.requests > 0
    assert asked.statuses <= {400, 403, 405, 415, 503}


def test_the_description_is_valid(described: Any) -> None:
    described.validate()

    ids = [operation["operationId"] for path in description()["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_route_of_the_api_is_described_and_nothing_else(api: Api) -> None:
    routes = {
        rule.rule.replace("<", "{").replace(">", "}"): rule.methods & {"GET", "POST"}
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.methods is not None
    }
    del routes["/api/openapi.json"]

    assert {path: {method.upper() for method in of} for path, of in description()["paths"].items()} == routes
