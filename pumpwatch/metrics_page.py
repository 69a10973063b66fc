"""``/metrics`` as text: the library ``prometheus-client`` writes both formats. Imported where the extra ``metrics`` is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pumpwatch.metrics import Family

#: The same page is given again for so long: whoever asks without end costs next to nothing.
_KEPT_SECONDS: Final = 1.0
_OPENMETRICS: Final = "application/openmetrics-text"
_UNITS: Final = ("seconds", "bytes", "ratio")


class MetricsPage:
    """
    Written anew for each scrape from what *families* says then. For one thread.

    It holds a registry of its own: nothing that another part of the process counts gets onto the page, nor ours elsewhere.
    """

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Vitals(families))
        ProcessCollector(registry=self._registry)  # memory, processor time and files of this process, where the system tells
        self._kept: dict[str, tuple[float, bytes]] = {}

    def render(self, accept: str) -> tuple[bytes, str]:
        """
        Return the page and its content type.

        Args:
            accept: The header of the request: OpenMetrics, or else Prometheus' text.

        """
        # The library would repeat the client's version in the answer, and fail on one that is none.
        wants_openmetrics = any(kind.split(";")[0].strip().lower() == _OPENMETRICS for kind in accept.split(","))
        encode, content_type = choose_encoder(f"{_OPENMETRICS}; version=1.0.0" if wants_openmetrics else "")
        rendered_at, page = self._kept.get(content_type, (0.0, b""))
        if not page or time.monotonic() - rendered_at > _KEPT_SECONDS:
            page = encode(self._registry)
            self._kept[content_type] = (time.monotonic(), page)
        return page, content_type


class _Vitals(Collector):
    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return map(_metric, self._families())


def _metric(family: Family) -> Metric:
    unit = next((unit for unit in _UNITS if family.name.endswith(f"_{unit}")), "")
    metric = Metric(family.name, family.meaning, family.kind, unit)
    ending = {"counter": "_total", "info": "_info"}.get(family.kind, "")
    for sample in family.samples:
        metric.add_sample(f"{family.name}{sample.suffix or ending}", sample.labels, sample.value)
    return metric
