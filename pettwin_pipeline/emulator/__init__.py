"""A local Datadog: what is sent can be seen, queried, watched and alarmed on, with no account.

Not Datadog and not affiliated with it. Knows nothing of pets, settings or the stack: it could be
lifted out. `server` starts it, `application` puts the parts together, `resources` holds one entry a
resource of Datadog's API, `control` is its own plane under `/_local/`.
"""
