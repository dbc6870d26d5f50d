"""What the local Datadog answers, one entry a resource of Datadog's API."""

from typing import Final

from pettwin_pipeline.emulator import control
from pettwin_pipeline.emulator.exchange import Route
from pettwin_pipeline.emulator.resources import (
    dashboard_lists,
    dashboards,
    downtimes_v1,
    downtimes_v2,
    events_v1,
    events_v2,
    intake,
    metric_insights,
    metric_metadata,
    metric_tags,
    monitor_muting,
    monitor_policies,
    monitor_search,
    monitors,
    powerpacks,
    public_dashboards,
    queries,
    slo_corrections,
    slo_history,
    slo_reports,
    slo_search,
    slos,
    tag_indexing_rules,
    validation,
    webhooks,
)

ROUTES: Final[tuple[Route, ...]] = (
    *intake.ROUTES,
    *validation.ROUTES,
    *queries.ROUTES,
    *events_v1.ROUTES,
    *events_v2.ROUTES,
    *monitor_search.ROUTES,
    *monitor_muting.ROUTES,
    *monitors.ROUTES,
    *monitor_policies.ROUTES,
    *downtimes_v1.ROUTES,
    *downtimes_v2.ROUTES,
    *slo_corrections.ROUTES,
    *slo_search.ROUTES,
    *slo_reports.ROUTES,
    *slo_history.ROUTES,
    *slos.ROUTES,
    *dashboard_lists.ROUTES,
    *public_dashboards.ROUTES,
    *dashboards.ROUTES,
    *powerpacks.ROUTES,
    *webhooks.ROUTES,
    *tag_indexing_rules.ROUTES,
    *metric_tags.ROUTES,
    *metric_insights.ROUTES,
    *metric_metadata.ROUTES,
    *control.ROUTES,
)
"""In this order: of two paths that fit a request, the first is taken."""
