"""A fleet of simulated pets: readings in the order of time, and what was true beside them.

Pure and deterministic: the same arguments give the same bytes. Labels never lie in a reading.
"""

from pettwin_pipeline.readings.simulator.confounders import OUTINGS, STORMS
from pettwin_pipeline.readings.simulator.fleet import Fleet, Pet
from pettwin_pipeline.readings.simulator.illness import ACUTE, ILLNESSES, PERSISTENT, Illness
from pettwin_pipeline.readings.simulator.labels import Label, encode_label, parse_label
from pettwin_pipeline.readings.simulator.simulation import COLUMNS, SimulatedChunk, simulate

__all__ = [
    "ACUTE",
    "COLUMNS",
    "ILLNESSES",
    "OUTINGS",
    "PERSISTENT",
    "STORMS",
    "Fleet",
    "Illness",
    "Label",
    "Pet",
    "SimulatedChunk",
    "encode_label",
    "parse_label",
    "simulate",
]
