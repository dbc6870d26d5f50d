"""The local Datadog evaluates its monitors: rounds on its clock, states, events, notifications.

What a condition, a state or a message means is in `datadog_protocol`; here it is asked at its time,
remembered, and told.
"""
