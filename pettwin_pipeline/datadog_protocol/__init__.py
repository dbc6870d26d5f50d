"""Datadog's language: datagrams, payloads, queries, aggregation, monitors and their states. Pure.

Bytes and values in, values out: it knows no pets, sockets, clocks, files or HTTP. Start with
`parsing` (text to the values of `syntax` and `monitor_syntax`) and `rendering` (the way back).
"""
