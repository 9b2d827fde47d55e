"""Health as text that Prometheus reads (its text format, version 0.0.4): GET /v1/health/metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pronghorn.control.health.views import CheckView, HealthView

MEDIA = "text/plain; version=0.0.4"
SERVER: dict[str, tuple[str, str, Callable[[HealthView], int]]] = {
    "health_up": ("gauge", "1 while the server can be used", lambda view: int(view.state not in ("down", "maint"))),
    "health_share": ("gauge", "the weight that counts now", lambda view: view.share),
    "health_downs_total": ("counter", "times that it became down", lambda view: view.downs),
    "health_passive_downs_total": ("counter", "of these, by traffic", lambda view: view.passive_downs),
}
CHECK: dict[str, tuple[str, str, Callable[[CheckView], float]]] = {
    "check_up": ("gauge", "1 while the check is up", lambda check: int(check.state == "up")),
    "check_passed_total": ("counter", "checks that passed", lambda check: check.ok),
    "check_failed_total": ("counter", "checks that failed", lambda check: check.failed),
    "check_seconds": ("gauge", "how long the last check took", lambda check: check.took / 1e3),
}


def metrics(views: Sequence[HealthView]) -> str:
    """All servers and their checks."""
    lines: list[str] = []
    for name, (kind, text, value) in SERVER.items():
        lines += _head(name, kind, text)
        lines += [f"pronghorn_{name}{_labels(view)} {value(view)}" for view in views]
    for name, (kind, text, measure) in CHECK.items():
        lines += _head(name, kind, text)
        lines += [
            f"pronghorn_{name}{_labels(view, check.name)} {measure(check)}" for view in views for check in view.checks
        ]
    return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    return f"# HELP pronghorn_{name} {text}", f"# TYPE pronghorn_{name} {kind}"


def _labels(view: HealthView, check: str | None = None) -> str:
    more = f',check="{check}"' if check is not None else ""  # names have no quotes (fields.py)
    return f'{{service="{view.service}",server="{view.server}"{more}}}'
