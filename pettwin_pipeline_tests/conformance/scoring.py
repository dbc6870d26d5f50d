"""How alike answers are, measured as the shared tool does, over what is in scope.

Three things differ from the tool. Tokens of shared dashboards are learnt as ids are. A recorded
value is compared after the ids that the local server drew are put in the place of the recorded
ones. Authors are left out under all their names.
"""

import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pettwin_pipeline_tests.conformance.recordings import Interaction, recorded
from pettwin_pipeline_tests.conformance.scope import reasons

_MANY_DIGITS = re.compile(r"\d{8,}")
_AUTHORS = re.compile(
    r"(^|\.)((creator|updater)_id|(created|modified)_by_handle|(creator|author)\.name"
    r"|included\[\]\.attributes\.\w+)$"
)


@dataclass
class Score:
    """Counts over interactions."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def share(self, part: str, whole: str) -> float:
        """A ratio in percent, 100 where there is nothing to compare."""
        whole_count = self.counts[whole]
        return 100 * self.counts[part] / whole_count if whole_count else 100.0

    @property
    def ratios(self) -> dict[str, float]:
        """The four that the issue names."""
        return {
            "status": self.share("status", "interactions"),
            "paths": self.share("paths_ok", "paths"),
            "values": self.share("values_ok", "values"),
            "extra": self.share("extra", "paths"),
        }

    def __add__(self, other: "Score") -> "Score":
        return Score(self.counts + other.counts, self.differences + other.differences)


@dataclass
class Scored:
    """One interaction: which request, its score, or why it was left out."""

    recording: str
    request: dict[str, Any]
    score: Score | None
    reason: str | None = None


def score_recordings(tool: Any, base: str, pattern: str = ".") -> Iterator[Scored]:
    """Replay every recording against a server, interaction by interaction."""
    tool.ID_KEYS.add("token")
    for name, interactions in recorded(tool, pattern):
        answers = [tool.response_json(one["response"].get("body")) for one in interactions]
        ids: dict[str, str] = {}
        for interaction, answer, reason in zip(
            interactions, answers, reasons(interactions, answers), strict=True
        ):
            score = None if reason else _scored(tool, base, interaction, answer, ids)
            yield Scored(name, interaction["request"], score, reason)


def _scored(
    tool: Any, base: str, interaction: Interaction, recorded_answer: Any, ids: dict[str, str]
) -> Score:
    request, response = interaction["request"], interaction["response"]
    query = urllib.parse.urlencode([tuple(pair) for pair in request["query"]])
    path = request["path"] + (f"?{query}" if query else "")
    body = tool.substitute(tool.request_text(request["body"]), ids)
    status, local = tool.call(base, request["method"], tool.substitute(path, ids), body)
    if request["method"] == "POST" and response["status"] < 300:
        tool.learn_ids(recorded_answer, local, ids)
    want, got = tool.flatten(recorded_answer), tool.flatten(local)
    score = Score()
    score.counts.update(interactions=1, status=status == response["status"], paths=len(want))
    if status != response["status"]:
        score.differences.append(f"status {response['status']} -> {status}")
    for place, (kind, leaf) in want.items():
        if place not in got or (got[place][0] != kind and "null" not in (kind, got[place][0])):
            score.differences.append(f"missing {place}")
            continue
        score.counts["paths_ok"] += 1
        if tool.VOLATILE.search(place) or _AUTHORS.search(place) or _MANY_DIGITS.search(str(leaf)):
            continue
        told = tool.substitute(leaf, ids) if isinstance(leaf, str) else leaf
        same = got[place][1] == told or str(got[place][1]) == ids.get(str(leaf))
        score.counts.update(values=1, values_ok=same)
        if not same:
            score.differences.append(f"value {place}: {told!r} -> {got[place][1]!r}")
    more = [place for place in got if place not in want]
    score.counts["extra"] += len(more)
    score.differences += [f"extra {place}" for place in more]
    return score
