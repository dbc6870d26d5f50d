import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pettwin_pipeline.errors import StackError
from pettwin_pipeline.stack.child import describe_exit
from pettwin_pipeline.stack.part_log import last_lines
from pettwin_pipeline.stack.supervisor import Part, RestartRule, Supervisor
from pettwin_pipeline_tests.stack.programs import (
    DIES_ONCE,
    HAS_A_CHILD,
    IS_DEAF,
    NOTES_ITS_END,
    SLEEP,
    is_gone,
    python,
    read_pid,
    wait_for,
)

QUICK = RestartRule(deaths=3, within_s=60.0, first_pause_s=0.01, longest_pause_s=0.02)


def part(folder: Path, name: str, source: str, *arguments: object) -> Part:
    return Part(name, python(source, *arguments), {}, folder / f"{name}.log")


def kill_and_see_it_again(supervisor: Supervisor, name: str) -> int:
    before = supervisor.pids()[name]
    os.kill(before, signal.SIGKILL)

    def again() -> bool:
        supervisor.check()
        return supervisor.pids().get(name, before) != before

    wait_for(again)
    return before


def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    one = part(tmp_path, "one", DIES_ONCE, tmp_path / "mark")
    with Supervisor([one], say=said.append, rule=QUICK) as supervisor:
        supervisor.start()
        first = supervisor.pids()["one"]

        def again() -> bool:
            supervisor.check()
            return any("up again" in line for line in said)

        wait_for(again)
        assert supervisor.pids()["one"] != first
    assert said == [
        "one died (exit code 3); it is started again in 0.01 s",
        "one is up again",
    ]


def test_a_part_that_is_killed_is_started_again_and_the_others_stay(tmp_path: Path) -> None:
    parts = [part(tmp_path, name, SLEEP) for name in ("one", "two")]
    with Supervisor(parts, rule=QUICK) as supervisor:
        supervisor.start()
        two = supervisor.pids()["two"]
        dead = kill_and_see_it_again(supervisor, "one")
        assert is_gone(dead)
        assert supervisor.pids()["two"] == two


def test_a_part_that_keeps_dying_ends_the_whole_with_its_name_exit_and_last_lines(
    tmp_path: Path,
) -> None:
    source = "import sys, time\ntime.sleep(0.05)\nprint('out of cheese')\nsys.exit(4)\n"
    said: list[str] = []
    parts = [part(tmp_path, "one", source), part(tmp_path, "two", SLEEP)]
    supervisor = Supervisor(parts, say=said.append, rule=QUICK)
    told = r"(?s)one died 4 times within 60 s, at last: exit code 4; .*out of cheese"
    with pytest.raises(StackError, match=told):
        supervisor.run()
    assert supervisor.pids() == {}
    assert len(said) == QUICK.deaths + said.count("one is up again")


def test_a_part_that_dies_before_it_was_ready_is_not_tried_again(tmp_path: Path) -> None:
    source = "import sys\nsys.stderr.write('no module named x\\n')\nsys.exit(1)\n"
    one = Part("one", python(source), {}, tmp_path / "one.log", ready=lambda: False)
    two = part(tmp_path, "two", SLEEP)
    with Supervisor([one, two]) as supervisor:
        with pytest.raises(StackError, match=r"one could not be started: exit code 1") as caught:
            supervisor.start()
        assert "no module named x" in str(caught.value)
        assert supervisor.pids() == {}


def test_a_command_that_does_not_exist_is_a_reason(tmp_path: Path) -> None:
    one = Part("one", ("no-such-program",), {}, tmp_path / "one.log", ready=lambda: False)
    with (
        Supervisor([one]) as supervisor,
        pytest.raises(StackError, match="cannot start no-such-program"),
    ):
        supervisor.start()


def test_a_part_that_never_answers_is_stopped_with_a_reason(tmp_path: Path) -> None:
    one = Part(
        "one", python(SLEEP), {}, tmp_path / "one.log", ready=lambda: False, ready_within_s=0.3
    )
    pids: list[int] = []
    with (
        Supervisor([one], on_change=lambda now: pids.extend(now.values())) as supervisor,
        pytest.raises(StackError, match="did not answer within 0 s"),
    ):
        supervisor.start()
    assert is_gone(pids[0])


def test_a_part_that_may_not_be_restarted_ends_the_whole(tmp_path: Path) -> None:
    one = Part("one", python(SLEEP), {}, tmp_path / "one.log", restart=False)
    with Supervisor([one]) as supervisor:
        supervisor.start()
        os.kill(supervisor.pids()["one"], signal.SIGKILL)
        with pytest.raises(StackError, match="one died: killed by SIGKILL"):
            supervisor.watch()


def test_a_part_starts_only_when_the_one_before_is_ready(tmp_path: Path) -> None:
    ready_after = iter([False, False, True])
    seen: list[set[str]] = []

    def ready() -> bool:
        seen.append(set(supervisor.pids()))
        return next(ready_after)

    one = Part("one", python(SLEEP), {}, tmp_path / "one.log", ready=ready)
    supervisor = Supervisor([one, part(tmp_path, "two", SLEEP)], sleep=lambda _: None)
    with supervisor:
        supervisor.start()
        assert seen == [{"one"}] * 3
        assert set(supervisor.pids()) == {"one", "two"}


def says_up(log: Path) -> bool:
    return "up" in last_lines(log)


def test_parts_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    parts = []
    for name in ("one", "two", "three"):
        log = tmp_path / f"{name}.log"
        ready = functools.partial(says_up, log)
        parts.append(Part(name, python(NOTES_ITS_END, ends, name), {}, log, ready))
    with Supervisor(parts) as supervisor:
        supervisor.start()
    assert ends.read_text().split() == ["three", "two", "one"]


def test_stopping_takes_along_what_a_part_started(tmp_path: Path) -> None:
    with Supervisor([part(tmp_path, "one", HAS_A_CHILD, tmp_path / "pid")]) as supervisor:
        supervisor.start()
        grandchild = read_pid(tmp_path / "pid")
        assert not is_gone(grandchild)
    wait_for(lambda: is_gone(grandchild))


def test_what_a_killed_part_left_running_is_stopped_at_the_end(tmp_path: Path) -> None:
    one = part(tmp_path, "one", HAS_A_CHILD, tmp_path / "pid")
    with Supervisor([one], rule=QUICK) as supervisor:
        supervisor.start()
        orphan = read_pid(tmp_path / "pid")
        kill_and_see_it_again(supervisor, "one")
        assert not is_gone(orphan), "a run goes on when its code server dies"
    wait_for(lambda: is_gone(orphan))


def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    one = Part(
        "one",
        python(IS_DEAF, mark),
        {},
        tmp_path / "one.log",
        ready=mark.exists,
        stop_within_s=0.2,
    )
    with Supervisor([one]) as supervisor:
        supervisor.start()
        pid = supervisor.pids()["one"]
    assert is_gone(pid)


def test_process_ids_are_told_whenever_one_changes(tmp_path: Path) -> None:
    told: list[dict[str, int]] = []
    parts = [part(tmp_path, "one", SLEEP)]
    with Supervisor(
        parts, rule=QUICK, on_change=lambda pids: told.append(dict(pids))
    ) as supervisor:
        supervisor.start()
        first = kill_and_see_it_again(supervisor, "one")
        assert told == [{"one": first}, {}, {"one": supervisor.pids()["one"]}]


def test_the_log_holds_stdout_stderr_and_the_given_environment(tmp_path: Path) -> None:
    source = (
        "import os, sys, time\n"
        "print('to stdout', os.environ['COLOUR'], flush=True)\n"
        "sys.stderr.write('to stderr\\n')\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "logs" / "one.log"
    with Supervisor([Part("one", python(source), {"COLOUR": "blue"}, log)]) as supervisor:
        supervisor.start()
        wait_for(lambda: b"to stderr" in log.read_bytes())
    assert b"to stdout blue" in log.read_bytes()


def test_pauses_grow_to_a_limit() -> None:
    rule = RestartRule(first_pause_s=0.5, longest_pause_s=8.0)
    assert [rule.pause_s(n) for n in (1, 2, 3, 4, 5, 6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_deaths_long_ago_are_forgiven(tmp_path: Path) -> None:
    clock = [0.0]
    rule = RestartRule(deaths=1, within_s=60.0, first_pause_s=0.0, longest_pause_s=0.0)
    parts = [part(tmp_path, "one", SLEEP)]
    with Supervisor(parts, rule=rule, now_s=lambda: clock[0]) as supervisor:
        supervisor.start()
        for _ in range(3):
            kill_and_see_it_again(supervisor, "one")
            supervisor.check()
            clock[0] += 61.0
        os.kill(supervisor.pids()["one"], signal.SIGKILL)
        clock[0] -= 61.0
        with pytest.raises(StackError, match="died 2 times within 60 s"):
            supervisor.watch()


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_an_exit_is_told_in_words(code: int, text: str) -> None:
    assert describe_exit(code) == text


OWN_PROCESS = """
import sys
from pathlib import Path
from pettwin_pipeline.stack.supervisor import Part, Supervisor
from pettwin_pipeline_tests.stack.programs import HAS_A_CHILD, SLEEP, python

folder = Path(sys.argv[1])
parts = [
    Part("one", python(SLEEP), {}, folder / "one.log"),
    Part("two", python(HAS_A_CHILD, folder / "grandchild"), {}, folder / "two.log"),
]


def tell(pids):
    (folder / "new").write_text("".join(f"{pid} " for pid in pids.values()))
    (folder / "new").rename(folder / "pids")


supervisor = Supervisor(parts, say=print, on_change=tell)
supervisor.run(lambda: (folder / "ready").touch())
"""


def start_in_its_own_process(folder: Path) -> tuple[subprocess.Popen[bytes], list[int], int]:
    process = subprocess.Popen([sys.executable, "-c", OWN_PROCESS, str(folder)])
    grandchild = read_pid(folder / "grandchild")
    wait_for((folder / "ready").exists)
    return process, [int(pid) for pid in (folder / "pids").read_text().split()], grandchild


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    process, children, grandchild = start_in_its_own_process(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert all(is_gone(pid) for pid in [*children, grandchild])


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_killed_supervisor_takes_its_children_along(tmp_path: Path) -> None:
    process, children, grandchild = start_in_its_own_process(tmp_path)
    assert len(children) == 2
    process.kill()
    process.wait(timeout=20)
    wait_for(lambda: all(is_gone(pid) for pid in children))
    os.kill(grandchild, signal.SIGKILL)  # what a part started itself is not reached
