"""``%llx_replay`` and ``%llx_tune``: both sides, how much is known, and the best three changes."""

from __future__ import annotations

import asyncio
import re
from types import MappingProxyType

import pytest

from llx_magic.commands.earlier import count_earlier
from llx_magic.errors import ProfileError, SettingError, UsageProblem
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.history_file import flush_histories
from llx_magic.session.replaying import Replayer
from llx_magic.session.session import Session
from tests.commands.command import Home
from tests.replay.profiles import asked, member, profile
from tests.typed import Typed

replay, tune, profiles = Typed("replay"), Typed("tune"), Typed("profile")


def ask_60_times(balancer, of=MappingProxyType({})) -> None:
    """Ask every half minute; some prompts are for one backend."""

    async def ask() -> None:
        for number in range(60):
            await balancer.ask(f"prompt {number}", backend=of.get(number))
            await balancer.clock.sleep(30)

    asyncio.run(ask())


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    """A profile that has been asked: its first backend takes long or fails, its second is slower and sure."""
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "config"))
    session = Session(ProfileStore())
    line = "--provider simulated --model m --param virtual_time=true --param latency_ms"
    profiles.run(session, f"save model first {line}=900 --param script=ok,slow:9000,503,503,ok --param cycle=true")
    profiles.run(session, f"save model second {line}=2000")
    profiles.run(session, "save loadbalancer pair failover first second")
    ask_60_times(session.load("pair").balancer)
    return session


def test_both_sides_stand_beside_each_other(session):
    text = replay.run(session, "--set timeout_ms=4000").text
    lines = text.splitlines()
    assert lines[0] == "60 prompts of pair, replayed with timeout_ms=4000"
    assert lines[2].split() == ["was", "would", "be", "from", "to"]
    assert len({len(line) for line in lines[2:5]}) == 1  # numbers are right-aligned
    slow = next(line for line in lines if line.startswith("19 of 20 within"))
    assert slow.split()[4:6] == ["9", "s"]
    assert float(slow.split()[6]) < 9


def test_what_is_said_of_the_figures_stands_below_their_table_and_does_not_widen_it(session):
    shown = replay.run(session, "--policy roundrobin")
    caption, table, below = re.fullmatch(
        r".*<caption[^>]*>(.*)</caption>(.*)</table>(.*)", shown.html, re.DOTALL
    ).groups()
    assert caption == "60 prompts of pair, replayed with policy=roundrobin"
    assert "are drawn" in below
    assert "are drawn" not in table


def test_it_says_how_much_was_drawn(session):
    assert (
        "% of the attempts are drawn from what each backend answered; the others are known"
        in replay.run(session, "--policy roundrobin").text
    )
    assert "every attempt is known from this history" in replay.run(session, "").text


def test_what_is_drawn_is_told_with_how_far_it_may_be_off(session):
    lines = replay.run(session, "--policy roundrobin").text.splitlines()
    assert any(" to " in line for line in lines[4:10])
    assert "drawn 9 times: would be is the middle, and a real run mostly lies within the last column" in lines
    assert "from to" not in replay.run(session, "").text


def test_it_says_of_whom_little_is_known(session):
    text = replay.run(session, "--policy roundrobin").text
    assert "little is known of second: it was asked" in text


@pytest.fixture
def lopsided(session) -> Session:
    """A profile whose first backend is slow, and whose second would be quick, as far as two prompts tell."""
    line = "--provider simulated --model m --param virtual_time=true --param latency_ms"
    profiles.run(session, f"save model slow {line}=10000")
    profiles.run(session, f"save model quick {line}=500")
    profiles.run(session, "save loadbalancer lopsided failover slow quick")
    ask_60_times(session.load("lopsided").balancer, {10: "quick", 40: "quick"})
    return session


def test_where_a_backend_was_hardly_asked_it_says_that_a_figure_cannot_be_told(lopsided):
    lines = replay.run(lopsided, "--policy fastest").text.splitlines()
    (slow,) = (line for line in lines if line.startswith("19 of 20 within  "))
    assert "cannot be told" in slow
    assert slow.split()[-2:] != slow.split()[4:6]  # from where to where it may be is said beside it
    assert any(line.endswith("19 of 20 within: cannot be told, since quick was asked 2 times") for line in lines)


def test_tuning_does_not_recommend_what_cannot_be_told(lopsided):
    lines = tune.run(lopsided, "--for latency").text.splitlines()
    assert not any("policy=fastest" in line for line in lines[:-1])
    assert lines[-1].startswith("not recommended, since it cannot be told how much better: ")
    assert "policy=fastest" in lines[-1]
    assert lines[-1].endswith("(quick was asked 2 times)")


def test_a_few_prompts_are_no_ground_for_a_recommendation(session):
    balancer = session.balancer("pair")
    balancer.reset_statistics()
    asyncio.run(balancer.ask("why"))
    asyncio.run(balancer.ask("why"))
    with pytest.raises(UsageProblem, match="2 prompts cannot tell which setting is better; ask 20 or more first"):
        tune.run(session, "")
    text = replay.run(session, "").text
    assert "every attempt is known from this history" in text
    assert "2 prompts: too few to conclude anything from; ask 20 or more" in text


@pytest.mark.parametrize(("prompts", "are_few"), [(5, True), (30, False)])
def test_of_a_backend_that_never_answered_it_says_that_a_figure_cannot_be_told(session, prompts, are_few):
    line = "--provider simulated --model m --param virtual_time=true --param latency_ms"
    profiles.run(session, f"save model mute {line}=3000 --param completion_tokens=28 --param tokens_per_second=10")
    profiles.run(session, f"save model good {line}=200")
    limits = "--set first_token_timeout_ms=2000 --set failover_retry_count=1"
    profiles.run(session, f"save loadbalancer impatient failover mute good {limits}")
    balancer = session.load("impatient").balancer

    async def ask() -> None:
        for number in range(prompts):
            await balancer.ask(f"prompt {number}")

    asyncio.run(ask())
    text = replay.run(session, "--set first_token_timeout_ms=4000").text
    assert re.search(r"19 of 20 within: cannot be told, since mute was asked \d times and never answered", text)
    assert ("too few to conclude anything from" in text) == are_few
    assert "little is known of mute" not in text


def test_without_a_prompt_it_says_where_a_history_may_come_from(session):
    session.balancer("pair").reset_statistics()
    for command in (replay, tune):
        with pytest.raises(UsageProblem, match=r"no prompt of pair .* ask it first, or give .* \(--history FILE\)"):
            command.run(session, "")


def test_its_value_has_the_frame(session):
    frame = replay.run(session, "--set timeout_ms=4000").frame
    assert len(frame) == 60
    assert (frame["was_backend"] == "first").sum() > 20


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("--set timeout_ms=soon", SettingError, "timeout_ms must be a number of milliseconds, got 'soon'"),
        ("--policy quick", ProfileError, "unknown policy 'quick'"),
        ("--history gone.jsonl", UsageProblem, r"gone\.jsonl: cannot be read"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(session, line, error, says):
    with pytest.raises(error, match=says):
        replay.run(session, line)


def test_the_best_changes_are_told_in_a_sentence_each(session):
    lines = tune.run(session, "--for latency").text.splitlines()
    assert lines[0].startswith("60 prompts of pair; the settings in force come to 100.0% answered, 19 of 20 within 9 s")
    told = [line for line in lines[1:] if line.startswith("  ")]
    assert 1 <= len(told) <= 3
    assert all("answered (now" in line and "19 of 20 within" in line and "of that is known." in line for line in told)


def test_tuning_changes_nothing(session):
    before = session.resolved(), session.active.snapshot(), session.active.profile
    tune.run(session, "--for latency")
    assert (session.resolved(), session.active.snapshot(), session.active.profile) == before


def test_where_nothing_is_better_it_says_so(session):
    assert tune.run(session, "--for cost").text.splitlines()[-1] == "none of them is better"


def test_an_aim_that_is_none_is_refused(session):
    with pytest.raises(UsageProblem, match="success"):
        tune.run(session, "--for glory")


status, stats = Typed("status"), Typed("stats")
KEEPING = "a profile that is saved with --set history_file=FILE keeps one"


@pytest.mark.parametrize("command", [replay, tune, stats], ids=["replay", "tune", "stats"])
def test_a_shell_without_a_history_says_that_it_needs_one_and_how_to_keep_it(session, command):
    with pytest.raises(UsageProblem, match=rf"^llx .*, since each command begins anew: .*{KEEPING}"):
        command.run(Session(ProfileStore()), "-p pair", f"llx {command.row.name}")


def test_the_status_of_a_shell_says_what_it_looked_at_and_how_to_see_more(tmp_path):
    home = Home(tmp_path)
    home.simulated("a")
    home.simulated("b")
    home.balancer("pair", "a", "b")
    done = home.run("status", "-p", "pair")
    assert "Nobody has been asked yet: a is first, b is spare." in done.stdout
    assert "only the profile and its keys were looked at: llx profile test asks each backend" in done.stderr
    assert KEEPING in done.stderr


@pytest.mark.parametrize("command", ["replay", "stats", "status"])
def test_a_shell_says_when_there_will_be_a_history_that_a_profile_keeps(tmp_path, command):
    home = Home(tmp_path)
    home.simulated("a")
    home.simulated("b")
    home.balancer("pair", "a", "b", history_file=str(tmp_path / "h.jsonl"))
    told = home.run(command, "-p", "pair").stderr
    assert re.search(r"pair keeps one in \S*h\.jsonl from its first prompt on", told)


def test_the_status_of_a_shell_stands_also_where_the_history_cannot_be_read(tmp_path):
    (tmp_path / "h.jsonl").write_text("junk\njunk\n")
    home = Home(tmp_path)
    home.simulated("a")
    home.simulated("b")
    home.balancer("pair", "a", "b", history_file=str(tmp_path / "h.jsonl"))
    done = home.run("status", "-p", "pair")
    assert "Nobody has been asked yet" in done.stdout
    assert "nothing is counted: " in done.stderr
    assert "h.jsonl: line 1 is no event of a history" in done.stderr


def test_the_status_of_a_shell_stands_also_where_nobody_can_tell_whether_there_is_a_history(tmp_path):
    home = Home(tmp_path)
    home.simulated("a")
    home.simulated("b")
    home.balancer("pair", "a", "b", history_file=str(tmp_path / f"{'h' * 300}.jsonl"))
    done = home.run("status", "-p", "pair")
    assert "Nobody has been asked yet" in done.stdout
    assert re.search(r"nothing is counted: .*cannot be read \(.*too long", done.stderr)


def test_a_notebook_says_nothing_of_that_beside_its_status(session):
    assert status.run(session, "-p pair").aside == ""


def test_a_shell_replays_and_counts_what_the_profiles_history_file_holds(tmp_path):
    file = tmp_path / "h.jsonl"
    asyncio.run(asked(profile(member("a", "ok, 503"), member("b"), history_file=str(file)), 4))
    asyncio.run(asked(profile(member("c"), history_file=str(file)), 3))
    flush_histories(30.0)
    home = Home(tmp_path)
    home.simulated("a")
    home.simulated("b")
    home.balancer("pair", "a", "b", history_file=str(file))
    assert home.run("replay", "-p", "pair").stdout.startswith("4 prompts of pair, replayed with the settings in force")
    assert "4 prompts cannot tell which setting is better" in home.run("tune", "-p", "pair").stderr
    shown = home.run("stats", "-p", "pair")
    assert shown.stdout.splitlines()[:3] == ["Load Balancer Statistics", "Profile: pair", "Total Requests: 4"]
    assert re.match(r"counted from .*h\.jsonl until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d; circuits and", shown.stderr)
    assert "Prompts: 4 asked, 4 answered, 0 failed" in home.run("status", "-p", "pair").stdout


@pytest.mark.parametrize(
    ("others", "counted"),
    [
        ([("b", "c")], 4),
        ([("a", "b", "c")], 4),
        ([("a",)], 7),
        ([("c",)], 4),
    ],
    ids=["a backend is shared", "a larger one", "a part of it", "nothing is shared"],
)
def test_status_and_replay_count_the_same_prompts_of_a_file_into_which_several_profiles_write(
    others, counted, tmp_path
):
    file = tmp_path / "h.jsonl"
    asyncio.run(asked(profile(member("a", "ok, 503"), member("b"), history_file=str(file)), 4))
    for names in others:
        asyncio.run(asked(profile(*map(member, names), history_file=str(file)), 3))
    flush_histories(30.0)
    balancer = LoadBalancer(profile(member("a"), member("b"), history_file=str(file)), isolated=True)
    assert count_earlier(balancer) is not None
    assert balancer.snapshot().prompts.asked == counted
    assert len(Replayer(balancer, file, 0).asked) == counted


def test_a_history_of_simulated_time_is_said_to_end_after_so_many_seconds_of_it(tmp_path):
    file = tmp_path / "h.jsonl"
    history = profile(member("a"), member("b"), history_file=str(file))
    asyncio.run(asked(history, 4))
    flush_histories(30.0)
    told = count_earlier(LoadBalancer(history, isolated=True))
    assert "h.jsonl until 34 s of simulated time; circuits and" in told


def test_a_profile_that_has_lost_a_backend_is_still_told_its_past(tmp_path):
    file = tmp_path / "h.jsonl"
    asyncio.run(asked(profile(*map(member, "abc"), history_file=str(file)), 3))
    flush_histories(30.0)
    balancer = LoadBalancer(profile(member("a"), member("b"), history_file=str(file)), isolated=True)
    count_earlier(balancer)
    assert balancer.snapshot().prompts.asked == len(Replayer(balancer, file, 0).asked) == 3


def test_the_command_line_replays_a_file(tmp_path):
    home = Home(tmp_path)
    home.simulated("a")
    home.simulated("b")
    home.balancer("pair", "a", "b")
    balancer = asyncio.run(asked(profile(member("a", "ok, 503"), member("b")), 10))
    balancer.save_history(tmp_path / "week.jsonl")
    done = home.run("replay", "-p", "pair", "--history", "week.jsonl", "--set", "failover_retry_count=2")
    assert done.returncode == 0
    assert "10 prompts of pair, replayed with failover_retry_count=2" in done.stdout


def test_a_history_of_another_profile_is_said_to_be_that(session, tmp_path):
    session.balancer("pair").save_history(tmp_path / "pair.jsonl")
    profiles.run(session, "save model other --provider simulated --model m")
    with pytest.raises(
        UsageProblem, match=r"pair\.jsonl holds prompts to first, second, none of other; name the profile"
    ):
        replay.run(session, f"-p other --history {tmp_path}/pair.jsonl")


def test_prompts_that_were_cancelled_are_said_to_be_left_out_of_answered(session):
    balancer = session.balancer("pair")

    async def give_up() -> None:
        async with asyncio.timeout(0):
            await balancer.ask("why")

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    text = replay.run(session, "").text
    assert "1 prompt was cancelled: answered is of the others" in text
