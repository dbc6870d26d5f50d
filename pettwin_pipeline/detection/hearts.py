"""Episodes of the heart: alarms with memory on how far a pet is from normal, and how severe.

Each of four alarms (fast and slow, high and low) opens at its threshold and closes clearly below;
a fifth and sixth come from `trend`. An episode goes on while an alarm of its direction is up and
through the cool-down after it. Exercise or a silent collar in between do not end it, unless for
long. Slots are taken a stretch of each pet at a time: who learns is guessed (see `deviation`), and
a stretch holds up to the first slot where the guess was wrong or an episode ends.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import RING, STATE, IndexArray, StateArray
from pettwin_pipeline.detection.blocks import BLOCK_SLOTS
from pettwin_pipeline.detection.clinical import CodeArray
from pettwin_pipeline.detection.deviation import THRESHOLDS, Deviation, Levels, deviate
from pettwin_pipeline.detection.rest import FAST, Rest
from pettwin_pipeline.detection.slots import BoolArray
from pettwin_pipeline.detection.timelines import Timelines
from pettwin_pipeline.detection.trend import HIGH, LIMP, LOW, WINDOWS

SEVERITIES: Final = ("none", "low", "medium", "high", "critical")
MEDIUM: Final = SEVERITIES.index("medium")
COOL: Final = 12
"""Slots judged without an alarm after which an episode has ended."""
FADED: Final = 60
"""Slots judged after which an episode that was medium has ended, if nothing above low is left."""
LOST: Final = 1080
"""Slots without a value at rest (three hours) after which an episode is over, whatever comes."""
SIGNS: Final = (1.0, -1.0)
"""Of the directions of the heart: high lies above, low below."""

STRONG_FAST: Final = np.array([1.4, 1.6])
STRONG_SLOW: Final = np.array([3.0, 1.6])
"""Minutes of which both medians lie so far off, as multiples of their thresholds, up and down, from
what is normal asleep and from what is normal awake, are medium; 1.4 times that is high, twice is
critical. A pet that falls asleep has a slow heart first and is still afterwards."""
HIGHER, HIGHEST = 1.4, 2.0
HIGH_TREND: Final = 2.25
"""The same for half an hour and more, which is low below 1 and medium from there."""
LASTING: Final = 120
"""Slots beyond the limit of the species, by the longer median, after which that is medium."""
OWN_SHARE: Final = 2.0
"""... if it is also so far, in thresholds, from what is the pet's own."""

STRETCH: Final = 256
"""Slots of a pet that are taken together, ..."""
STRETCHES: Final = 65_536
"""... and of all pets, about: they change nothing but speed and memory."""

_EPISODE: Final = ("going", "started", "last_up", "quiet", "weak", "severity", "peak")
_TREND: Final = (
    *("trend", "trend_up", "trend_window", "trend_level"),
    *("average", "average_spread", "gait_average"),
)
SLOW: Final = np.dtype([(name, STATE[name]) for name in (*_TREND, "going", "severity")])
"""The fields of STATE that closed blocks move on, as far as slots look at them."""
_MOVED: Final = np.dtype([(name, STATE[name].base) for name in _EPISODE])


@dataclass(frozen=True, slots=True)
class Past:
    """What slots say before they are held against levels: of rest, and SLOW as it then stood."""

    rest: Rest
    trend: StateArray


@dataclass(frozen=True, slots=True)
class Moment:
    """Slots at which an episode of the heart began, rose or ended, one entry each.

    Attributes:
        one: `STATE` records as they were then.
        seen: how the slots lie.
        direction: HIGH or LOW, of all of them.
        ended: whether it ended.
    """

    one: StateArray
    seen: Deviation
    direction: int
    ended: BoolArray


@dataclass(frozen=True, slots=True)
class Hearts:
    """Score and severity of what goes on after each slot, shape (slots,), and what changed."""

    score: StateArray
    worst: CodeArray
    moments: list[Moment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Way:
    """How far each pet has come, and what is guessed of the slots that follow.

    Attributes:
        lines: where the slots of each pet lie.
        rest: what they say.
        news: the slot at which the collar first says what its pet is, -1 without one.
        begin: the first slot that is not done, shape (pets,).
        known: the last slot that was looked at, shape (pets,).
        learns: whether the level learns from a slot, as far as one has looked, shape (slots,).
    """

    lines: Timelines
    rest: Rest
    news: IndexArray
    begin: IndexArray
    known: IndexArray
    learns: BoolArray

    @classmethod
    def of_slots(cls, rest: Rest, lines: Timelines) -> "_Way":
        """Nothing is done yet."""
        first = lines.first_of(rest.is_news)
        news = np.where(rest.is_news[first], first, -1)
        return cls(lines, rest, news, lines.first.copy(), lines.first - 1, rest.judged.copy())

    def unfinished(self) -> IndexArray:
        """The pets that have slots left."""
        return np.flatnonzero(self.begin <= self.lines.last)

    def stretch(self, pets: IndexArray) -> tuple[IndexArray, Timelines]:
        """Their next slots, up to news of what a pet is: a level may begin anew there."""
        begin, news = self.begin[pets], self.news[pets]
        end = np.where(news > begin, news, self.lines.last[pets] + 1)
        longest = max(1, min(STRETCH, STRETCHES // len(pets)))
        cut = Timelines.of_lengths(np.minimum(end - begin, longest))
        return begin[cut.of] + cut.nth, cut

    def guess(self, pets: IndexArray, at: IndexArray, cut: Timelines, levels: Levels) -> BoolArray:
        """Whether levels learn from slots: as was seen, else as they did before."""
        is_known = at <= self.known[pets][cut.of]
        guess: BoolArray = self.learns[at] & (is_known | levels.learn()[pets][cut.of])
        return guess

    def go_on(self, pets: IndexArray, seen: Deviation, cut: Timelines, stop: IndexArray) -> None:
        """These rows of a stretch were looked at, and up to `stop` they are done."""
        self.learns[seen.at] = seen.learns
        self.begin[pets], self.known[pets] = seen.at[stop] + 1, seen.at[cut.last]


def is_at_least(severity: str, least: str) -> bool:
    """Whether one of SEVERITIES is as severe as another."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def follow_hearts(one: StateArray, past: Past, lines: Timelines) -> Hearts:
    """Hold slots against levels; levels, alarms and episodes in `one` are moved on.

    Args:
        one: `STATE` records of the pets, shape (pets,).
        past: what the slots say.
        lines: where the slots of each pet lie.
    """
    count = len(past.rest.slot)
    found = Hearts(np.empty(count, STATE["score"]), np.zeros(count, np.uint8))
    levels, trend = Levels.of_states(one), past.trend["trend"].max(axis=1)
    way = _Way.of_slots(past.rest, lines)
    while len(pets := way.unfinished()):
        at, cut = way.stretch(pets)
        levels.note_profile(pets, past.rest, at[cut.first])
        guess = way.guess(pets, at, cut, levels)
        ill = _is_ill(one)[pets]
        trend_up = past.trend["trend_up"][at, :LIMP]
        seen = deviate(past.rest, at, levels.of(pets), cut, guess=guess, trend_up=trend_up, ill=ill)
        stop = cut.first_of(seen.learns != guess)
        is_up = seen.up[:, HIGH] | seen.up[:, LOW]
        eventful = np.flatnonzero(ill | (cut.total(is_up)[stop] > 0))
        if len(eventful):
            rows, part = cut.of_some(eventful)
            mine = one[pets[eventful]]
            last = stop[eventful] - cut.first[eventful] + part.first
            last = _follow_episodes(mine, seen.of(rows), past, part, last=last, found=found)
            stop[eventful] = rows[last]
            one[pets[eventful]] = mine
        levels.keep(pets, seen, stop)
        found.score[at] = np.maximum(seen.ratios.max(axis=1), trend[at])
        way.go_on(pets, seen, cut, stop)
    for name in levels.__slots__:
        one[name] = getattr(levels, name)
    return found


def _is_ill(one: StateArray) -> BoolArray:
    ill: BoolArray = one["going"][:, HIGH] | one["going"][:, LOW]
    return ill


def _follow_episodes(
    one: StateArray,
    seen: Deviation,
    past: Past,
    lines: Timelines,
    *,
    last: IndexArray,
    found: Hearts,
) -> IndexArray:
    """Move episodes on up to the row `last` of each pet, and note what changed.

    Returns:
        The same, or the row before at which an episode ended: up to there it holds.
    """
    moved = [_move(one, seen, past, lines, direction) for direction in (HIGH, LOW)]
    last = np.minimum(last, lines.first_of(moved[HIGH].ends | moved[LOW].ends))
    holds = np.arange(len(seen.at)) <= last[lines.of]
    for direction, way in enumerate(moved):
        going = np.where(holds & way.path["going"], way.path["severity"], 0)
        found.worst[seen.at] = np.maximum(found.worst[seen.at], going)
        changed = np.flatnonzero(holds & (way.rises | way.ends))
        if len(changed):
            now = seen.of(changed)
            then = _recall(one[lines.of[changed]], now, past)
            for name in _EPISODE:
                then[name][:, direction] = way.path[name][changed]
            found.moments.append(Moment(then, now, direction, way.ends[changed]))
        for name in _EPISODE:
            one[name][:, direction] = way.path[name][last]
    return last


@dataclass(frozen=True, slots=True)
class _Moved:
    """The episode of a direction after each slot: its fields of STATE, and what happened."""

    path: StateArray
    rises: BoolArray
    ends: BoolArray


def _move(
    one: StateArray,
    seen: Deviation,
    past: Past,
    lines: Timelines,
    direction: int,
) -> _Moved:
    """Move the episodes of a direction on; true up to the first slot at which one ends."""
    was = {name: one[name][:, direction] for name in _EPISODE}
    path = np.empty(len(seen.at), _MOVED)
    up = seen.up[:, direction]
    if not (up.any() or was["going"].any()):
        for name in _EPISODE:
            path[name] = was[name][lines.of]
        return _Moved(path, up, up)
    fast_up, slow_up = seen.alarm[:, direction], seen.alarm[:, direction + 2]
    trend_up = past.trend["trend_up"][seen.at, direction]
    has_begun = lines.total(up) > 0
    going = was["going"][lines.of] | lines.before(has_begun, np.zeros(len(one), np.bool_))
    begins = up & ~going
    is_quiet = going & seen.judged & (past.rest.ring_n[seen.at] == RING) & ~up
    quiet = np.minimum(lines.since(is_quiet, up, was["quiet"]), COOL + 1)
    # a median passes the threshold once half of its slots do: that is when it began
    window = WINDOWS[past.trend["trend_window"][seen.at]].astype(np.int64) * BLOCK_SLOTS
    onset = seen.slot - np.where(fast_up, FAST // 2, np.where(slow_up, RING // 2, window))
    started = lines.held(begins, onset, was["started"])
    grade = _grade(seen, past, lines.before(started, was["started"]), direction)
    before = np.where(was["going"], was["severity"], 0)
    severity = lines.highest(np.where(up, grade, 0), before)
    told = lines.before(severity, before)
    is_much = up & (trend_up | (grade >= MEDIUM))
    is_told = going & (told >= MEDIUM)
    weak = np.minimum(lines.since(seen.judged, is_much | ~is_told, was["weak"]), 255)
    ends = going & ((quiet > COOL) | (weak > FADED) | (seen.silent > LOST))
    ratio = np.maximum(seen.ratios[:, direction], seen.ratios[:, direction + 2])
    ratio = np.where(up, ratio, 0.0).astype(np.float32)
    peak = lines.highest(np.maximum(ratio, 0), np.where(was["going"], was["peak"], np.float32(0)))
    is_one = going | up
    path["going"] = is_one & ~ends
    path["started"] = started
    path["last_up"] = lines.held(up, seen.slot, was["last_up"])
    path["quiet"] = np.where(ends, 0, quiet)
    path["weak"] = np.where(ends, 0, weak)
    path["severity"] = np.where(is_one, np.where(ends, told, severity), was["severity"][lines.of])
    path["peak"] = np.where(is_one, peak, was["peak"][lines.of])
    return _Moved(path, up & ~ends & (grade > told), ends)


def _grade(seen: Deviation, past: Past, started: IndexArray, direction: int) -> CodeArray:
    """How severe an episode is that is up, an index into SEVERITIES."""
    sign = SIGNS[direction]
    critical = clinical.CRITICAL[past.rest.species[seen.at], past.rest.size[seen.at], 1 - direction]
    either = (seen.level * sign).max(axis=1) * sign
    fast = (seen.median - either) / THRESHOLDS[direction]
    slow = (seen.long_median - either) / THRESHOLDS[direction + 2]
    strong = np.minimum(fast / STRONG_FAST[direction], slow / STRONG_SLOW[direction])
    strong = np.where(seen.is_warm, strong, 0.0)
    since = seen.slot - started
    trend_up = past.trend["trend_up"][seen.at, direction]
    trend = np.where(trend_up, past.trend["trend"][seen.at, direction], 0.0)
    is_own = slow >= OWN_SHARE
    is_outside = is_own & (sign * seen.long_median > sign * seen.limits[:, 1 - direction])
    grade = np.ones(len(seen.at), np.uint8)
    grade[(strong >= 1) | (trend >= 1) | (is_outside & (since >= LASTING))] = 2
    grade[(strong >= HIGHER) | (trend >= HIGH_TREND)] = 3
    grade[(strong >= HIGHEST) | (is_own & (sign * seen.long_median > sign * critical))] = 4
    return grade


def _recall(one: StateArray, seen: Deviation, past: Past) -> StateArray:
    """Records of pets as they were at a slot of each."""
    at, rest = seen.at, past.rest
    one[list(_TREND)] = past.trend[list(_TREND)][at]
    one["level"] = seen.level
    one["species"], one["size"] = rest.species[at], rest.size[at]
    one["ring"], one["ring_n"] = rest.rates[at], rest.ring_n[at]
    one["ring_awake"] = rest.was_awake[at, -1]
    return one
