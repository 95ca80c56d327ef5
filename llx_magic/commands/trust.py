"""Consent to what profiles from elsewhere ask for: the question in a terminal, and the commands that answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, bullet_list
from llx_magic.commands.reading import Asked
from llx_magic.consent.pairs import Pair, listed_pairs
from llx_magic.consent.trust import VARIABLE
from llx_magic.errors import UsageProblem
from llx_magic.session import consent
from llx_magic.session.consent import Asker, Request
from llx_magic.text.wording import shown_path


def asker(read: Callable[[str], str]) -> Asker:
    """Return what asks in a terminal; ``read`` shows a question and returns the line that was typed."""

    def ask(profile: str, requests: Sequence[Request]) -> list[Pair]:
        try:
            answer = read(_question(profile, requests)).strip().lower()
        except EOFError:
            return []
        pairs = [each.pair for each in requests]
        if answer in ("y", "yes"):
            return pairs
        numbers = set(answer.replace(",", " ").split())
        return [pair for number, pair in enumerate(pairs, 1) if len(pairs) > 1 and str(number) in numbers]

    return ask


def _question(profile: str, requests: Sequence[Request]) -> str:
    if len(requests) == 1:
        only = requests[0]
        return f"profile {profile} ({shown_path(only.path)}) wants to send {only.pair.said}: allow? [y/N] "
    asked = [f"{number}. {each.pair.said} ({shown_path(each.path)})" for number, each in enumerate(requests, 1)]
    return bullet_list(f"profile {profile} wants to send", asked) + "\nallow all? [y/N, or the numbers of some] "


def trust(here: Here, asked: Asked) -> Output:
    """Allow all that the profile's files ask for now.

    Raises:
        UsageProblem: for a profile that cannot be loaded.
        ProfileError: where nothing can be remembered and nothing else would be of use.
    """
    store = here.session.store
    profile = store.load(asked["profile"])
    wanted = consent.foreign_pairs(profile)
    if not wanted:
        return Output(f"profile {profile.name} asks for no key that needs consent")
    pairs = [each.pair for each in wanted]
    problem = consent.allow(store.trust, pairs) if here.lasts else store.trust.remember(pairs)
    said = [each.pair.said for each in wanted]
    return Output(bullet_list(f"profile {profile.name} may send", [*said, *([problem] if problem else [])]))


def untrust(here: Here, asked: Asked) -> Output:
    """Take consent back: to one pair in the form in which ``trusted`` lists it, to a profile's pairs, or to all.

    Raises:
        UsageProblem: for a profile that cannot be loaded, or where it is not said what to take back.
        ProfileError: where the file cannot be written.
    """
    store, named = here.session.store, asked.get("profile")
    if ("all" in asked) == (named is not None):
        raise UsageProblem("untrust takes the name or path of a profile, KEY@HOST, or --all")
    allowed, _problem = store.trust.look_up()
    if named is None:
        gone = set(allowed)
    elif (pair := Pair.read(named)) in allowed and pair is not None:
        gone = {pair}
    else:
        gone = {each.pair for each in consent.foreign_pairs(store.load(named))} & allowed
    if not gone:
        return Output("nothing was allowed that could be taken back")
    store.trust.forget(gone)
    left = gone & store.trust.look_up()[0]
    still = [f"{pair} is named by {VARIABLE} and so still allowed" for pair in listed_pairs(left)]
    return Output(bullet_list("no longer allowed:", [*listed_pairs(gone - left), *still]))


def trusted(here: Here, _asked: Asked) -> Output:
    """List the pairs that are allowed, and say where the list cannot be read."""
    allowed, problem = here.session.store.trust.look_up()
    wrong = [f"note: {problem}"] if problem else []
    if not allowed:
        return Output(bullet_list("no profile from elsewhere may use a key of yours", wrong))
    return Output(bullet_list("allowed, as KEY@HOST:", [*listed_pairs(allowed), *wrong]))
