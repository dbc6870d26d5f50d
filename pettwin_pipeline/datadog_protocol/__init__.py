"""Datadog's language: datagrams, payloads, queries, aggregation, monitors and their states. Pure.

Bytes and values in, values out: it knows no pets, sockets, clocks, files or HTTP.

Queries: `parsing` (text to the values of `syntax` and `monitor_syntax`, by `query.lark` and the two
`building` modules), `rendering` (the way back), `functions` and `monitor_rules` (what is allowed,
as tables), `searching` (logs and events).
Points: `datagram` and `payloads` (what came in), `aggregation` and `sketches` (ten seconds of it).
Answers: `rolling` (buckets, and `PointStore`: what a store has to answer), `matching` (scopes),
`selection` and `evaluation` (an expression to a `Frame`), `series_functions`, `algorithms`.
Monitors: `monitor_options`; `monitor_evaluation`, `check_alerts`, `search_alerts` (what is found),
`monitor_states` (what becomes of it), `composites`, `slos`, `monitor_messages` with `templates`.
"""
