"""The metric catalogue and the points of each stage. Pure: no transport, clock or environment."""
