"""``llx stats --all``, ``%llx_stats --all`` and ``lb.peers()`` with processes of their own on one server."""

from __future__ import annotations

from tests.shared.conftest import KEY
from tests.shared.kit import until


def rows(text: str, first: str) -> list[str]:
    """The rows of the table that begins with this heading."""
    lines = text.splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith(first)) + 2
    return lines[begin : next((place for place in range(begin, len(lines)) if not lines[place]), len(lines))]


def test_a_shell_sees_every_process_and_is_none_of_them(home, start):
    processes = [start(name) for name in ("one", "two", "three")]
    said = home.run("stats", "--all", "-p", "team")
    assert (said.returncode, said.stderr) == (0, "")
    assert "team: shared by 3 processes" in said.stdout
    assert sorted(row.split("  ")[0] for row in rows(said.stdout, "process ")) == sorted(
        f"{name} ({process.pid})" for name, process in zip(("one", "two", "three"), processes, strict=True)
    )
    assert any("of 600" in row for row in rows(said.stdout, "backend "))
    assert KEY not in said.stdout


def test_a_killed_process_is_gone_after_a_while(home, start):
    start("one")
    start("two").kill()
    until(lambda: "shared by 1 process" in home.run("stats", "--all", "-p", "team").stdout, "it is gone", 30.0)


def test_another_key_is_another_backend(home, start):
    start("one")
    start("two", TEAM_KEY="another-key-of-the-test-123")
    assert "team: shared by 1 process" in home.run("stats", "--all", "-p", "team").stdout


def test_a_notebook_sees_itself_first_and_has_a_frame(shell, start):
    one = start("one")
    shell("%llx why").fine()
    shell("shown = %llx_stats lb --all").fine()
    said = str(shell["shown"])
    first, second = rows(said, "process ")
    assert first.startswith("mine.ipynb (")
    assert ", this one" in first
    assert second.startswith(f"one ({one.pid})")
    frame = shell["shown"].frame
    assert {"one", "mine.ipynb"} == set(frame["name"])
    assert "one" in shell["shown"]._repr_html_()


def test_peers_is_a_frame_in_python(shell, start):
    start("one")
    shell("import llx_magic as llx\nlb = llx.load('team')\nawait lb.ask('why')\npeers = await lb.peers()").fine()
    assert {"one", "mine.ipynb"} == set(shell["peers"]["name"])
    assert list(shell["peers"].query("is_here")["name"].unique()) == ["mine.ipynb"]


def test_alone_is_said(shell):
    shell("%llx why\nshown = %llx_stats --all").fine()
    assert "no other process shares these backends now" in str(shell["shown"])


def test_nothing_shared_is_said(home):
    said = home.run("stats", "--all", "-p", "team", LLX_SHARED="")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("team: nothing is shared: LLX_SHARED names no server")


def test_a_server_that_is_away_is_said_and_is_no_success(home, server):
    server.stop()
    said = home.run("stats", "--all", "-p", "team")
    assert said.returncode == 1
    assert "the server of shared facts (LLX_SHARED) does not answer" in said.stdout


def test_simulated_backends_share_nothing_and_say_so(home):
    home.simulated("calm", virtual_time=True)
    assert "calm: it is simulated" in home.run("stats", "--all", "-p", "calm").stdout


def test_a_missing_key_is_said_and_nothing_is_lost(home, start):
    start("one")
    said = home.run("stats", "--all", "-p", "team", TEAM_KEY="")
    assert said.returncode == 0
    assert all("TEAM_KEY" in row for row in rows(said.stdout, "backend "))


def test_a_shell_without_the_option_says_which_is_meant(home):
    said = home.run("stats", "-p", "team")
    assert said.returncode == 2
    assert (
        said.stderr == "llx stats needs --all, or a history, since each command begins anew: a profile that is "
        "saved with --set history_file=FILE keeps one from then on; --stats shows what one prompt came to\n"
    )


def test_resetting_and_looking_at_all_exclude_each_other(shell):
    assert "--reset and --all exclude each other" in shell("%llx_stats --reset --all").failure
