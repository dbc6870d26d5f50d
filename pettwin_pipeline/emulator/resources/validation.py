"""Whether a key is good: the first question of every client and of the Terraform provider."""

from typing import Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.state import State


def _validate(state: State, call: Call) -> Answer:
    del state, call
    return Answer({"valid": True})


ROUTES: Final = (Route("GET", "/api/v1/validate", _validate, "api"),)
