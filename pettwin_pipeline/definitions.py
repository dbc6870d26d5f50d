"""The code location: assets, checks, jobs and sensors, composed in the order of the flow.

Loaded by `dagster dev`, by the code server of `pettwin up`, and by tests. Which services are real
and which are local is decided by the settings of the process that runs a stage, not here.
"""

from typing import Final

import dagster as dg

from pettwin_pipeline.defs.ingest import (
    make_new_readings_sensor,
    pet_health_dead_letters,
    pet_health_stream,
    telemetry_batch,
)
from pettwin_pipeline.defs.labels import make_new_labels_sensor, pet_health_labels
from pettwin_pipeline.defs.notifications import (
    make_unsent_notifications_sensor,
    notifications,
)
from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.defs.quality import (
    detection_quality,
    hourly_quality,
    labelled_days,
    quality_job,
)
from pettwin_pipeline.defs.replays import replay_job
from pettwin_pipeline.defs.reporting import make_pipeline_state_sensor, pipeline_metrics
from pettwin_pipeline.defs.scoring import (
    anomaly_scores,
    health_alerts,
    pet_health_alerts_topic,
    verdicts,
)
from pettwin_pipeline.defs.upkeep import (
    compacted_readings,
    compaction_job,
    hourly_compaction,
    hourly_housekeeping,
    housekeeping_job,
)
from pettwin_pipeline.settings import Settings

STREAM: Final = (
    *(telemetry_batch, anomaly_scores, verdicts, health_alerts),
    *(notifications, pipeline_metrics),
)

stream_job = dg.define_asset_job(
    "stream_job",
    selection=dg.AssetSelection.assets(*STREAM),
    description="One offset range: read, score, judge, alert, tell, report.",
    # A failed range is asked for again by the sensor, unchanged: nobody else may retry it.
    tags={"dagster/max_retries": "0"},
)

_interval_s = Settings.load().pettwin_batch_interval_s

defs = dg.Definitions(
    assets=[
        pet_health_stream,
        pet_health_dead_letters,
        *STREAM,
        pet_health_alerts_topic,
        pet_health_labels,
        labelled_days,
        detection_quality,
        compacted_readings,
    ],
    jobs=[stream_job, replay_job, quality_job, compaction_job, housekeeping_job],
    schedules=[hourly_compaction, hourly_housekeeping, hourly_quality],
    sensors=[
        make_new_readings_sensor(stream_job, _interval_s),
        make_new_labels_sensor(quality_job),
        make_unsent_notifications_sensor(min(30, _interval_s)),
        make_pipeline_state_sensor(min(30, _interval_s)),
    ],
    resources={"ports": Ports()},
    executor=dg.in_process_executor,
)
