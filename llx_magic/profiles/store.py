"""The store of profiles: finds them by name or path, lists, saves and deletes them, and knows the default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llx_magic.consent.trust import Foreign, Trust
from llx_magic.errors import ProfileError, brief
from llx_magic.files.folders import absolute, config_folder, shipped_folder
from llx_magic.files.names import check_name, name_problem
from llx_magic.files.ownership import read_judged, this_user
from llx_magic.files.private import (
    SUFFIX,
    folder_problem,
    is_regular,
    keep_copy,
    locked,
    profile_files,
    read_file,
    reason,
    set_aside,
    write_file,
)
from llx_magic.hosts import command
from llx_magic.profiles.changes import read_previous, with_kept_keys
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.direct import direct_model, names_a_model, what_is_there
from llx_magic.profiles.document import (
    FIRST_PIECE_NOTE,
    Document,
    LoadBalancerProfile,
    ModelProfile,
    Profile,
    means_first_piece,
)
from llx_magic.profiles.rows import ProfileRow, members_of
from llx_magic.text.wording import as_on_windows, listed, shown_path, with_marks

__all__ = ["SUFFIX", "DeleteResult", "ProfileRow", "ProfileStore", "SaveResult"]

_DEFAULT_FILE = "default-profile"


@dataclass(frozen=True, slots=True)
class SaveResult:
    """The result of a save: the file, the backup of the previous one (None for a new file), and a line for each change.

    ``is_new`` is False where a file was there. If there are no changes, nothing was written.
    """

    path: Path
    backup: Path | None
    changes: tuple[str, ...]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """The result of a deletion: the backup, the profiles that had it as a member, and whether it was the default."""

    path: Path
    backup: Path
    used_by: tuple[str, ...]
    was_default: bool


class ProfileStore:
    """The profiles in one folder, and those that come with the package.

    ``folder`` is by default ``profiles`` in the configuration folder. Our own state is in ``llx_magic`` beside it. The
    files in the folder that nobody but ``user`` can change are the user's own. All others are marked as foreign when
    they are read, and get no key without consent. ``user`` is by default the user that this process runs as.
    """

    def __init__(self, folder: Path | None = None, *, user: int | None = None) -> None:
        self.folder = config_folder() / "profiles" if folder is None else absolute(folder)
        self.state_folder = self.folder.parent / "llx_magic"
        self._user = this_user() if user is None else user
        self.trust = Trust(self.state_folder, self._user)

    def load(self, name_or_path: str | os.PathLike[str]) -> Profile:
        """Return the profile of that name, or in that file, with its members.

        A text with a separator, a leading ``~`` or the ending ``.json`` is a path; one such as ``anthropic:MODEL``, of
        which there is no file, is a model at its provider's usual address. The members of a profile that was
        given by its path are looked for in this order: beside it, in the folder, among the profiles that come with
        the package.

        Raises:
            ProfileError: where it or a member is missing (the nearest name is offered), broken, or not allowed.
        """
        if (direct := _direct(name_or_path, self._folders())) is not None:
            return Profile.single(direct)
        path, beside = self._locate(name_or_path)
        document = self._read(path)
        resolved = path.parent.resolve() / path.name
        if isinstance(document, ModelProfile):
            profile = Profile.single(document, resolved)
        else:
            profile = Profile.assemble(document, self._members(document, beside, f"{shown_path(path)}: "), resolved)
            profile = replace(profile, notes=(*profile.notes, *self._instead_of_own(profile)))
        is_ours = path.parent == shipped_folder()
        written = (document, *profile.members)
        if not is_ours and any(means_first_piece(each, by_path=beside is not None) for each in written):
            return replace(profile, notes=(*profile.notes, FIRST_PIECE_NOTE))
        return profile

    def document(self, name_or_path: str | os.PathLike[str]) -> Document:
        """Return the document in the file; it holds its members by name only.

        Raises:
            ProfileError: where it is missing or broken.
        """
        return _direct(name_or_path, self._folders()) or self._read(self._locate(name_or_path)[0])

    def list(self) -> tuple[ProfileRow, ...]:
        """Return a row for each profile file by name, also for those that cannot be loaded; never raises."""
        try:
            default = self.default()
        except ProfileError:
            default = None
        paths: dict[str, Path] = {}
        for folder in self._folders():
            for path in profile_files(folder):
                paths.setdefault(path.stem, path)
        rows = [self._row(paths[name], default, paths) for name in sorted(paths)]
        if problem := folder_problem(self.folder):
            rows.insert(0, ProfileRow(name=with_marks(self.folder.name), path=self.folder, problem=problem))
        return tuple(rows)

    def save(self, document: Document) -> SaveResult:
        """Write the profile to the folder; the file it replaces is kept as ``NAME.json.bak``.

        Unknown keys of the replaced file are kept. If nothing differs, nothing is written.

        Raises:
            ProfileError: where a member is missing or no model profile, a load balancer would take the name of another
                one's member, the name differs from another one's only in case (some systems hold the two for one), the
                file there is of a newer version than is understood, or the file cannot be written.
        """
        self._check_place(document)
        path = self.folder / f"{document.name}{SUFFIX}"
        with locked(self.folder, self.state_folder):
            same = [each.stem for each in profile_files(self.folder) if each.stem.lower() == document.name.lower()]
            if same and document.name not in same:
                raise ProfileError(
                    f"profile {document.name}: there is {same[0]}, which differs only in case; use that name or another"
                )
            if not is_regular(path):
                write_file(path, write_document(document).encode())
                return SaveResult(path, None, (), is_new=True)
            previous = read_previous(path)
            text = write_document(with_kept_keys(document, previous.document))
            changes = previous.changes(text)
            if not changes:
                return SaveResult(path, None, ())
            backup = path.with_name(path.name + ".bak")
            keep_copy(path, backup)
            write_file(path, text.encode())
        return SaveResult(path, backup, changes)

    def delete(self, name: str) -> DeleteResult:
        """Delete the profile; its file is kept as ``NAME.json.bak``. If it is the default, the default is cleared.

        Raises:
            ProfileError: where there is none in the folder; those that come with the package stay. Also where it is
                deleted and cannot be cleared as the default, which is said.
        """
        path = self.folder / f"{check_name(name)}{SUFFIX}"
        if not os.path.lexists(path):
            where = self._find(name)
            raise ProfileError(f"profile {name} comes with llx_magic ({shown_path(where)}) and cannot be deleted")
        with locked(self.folder, self.state_folder):
            if not is_regular(path):
                raise ProfileError(f"{shown_path(path)}: has gone meanwhile")
            used_by = self._users(name)
            was_default = self._default_text() == name
            backup = path.with_name(path.name + ".bak")
            set_aside(path, backup)
            if was_default:
                self._forget_default(
                    f"profile {name} is deleted, its file is kept as {backup.name}; but it stays the default: "
                )
        return DeleteResult(path, backup, used_by, was_default)

    def default(self) -> str | None:
        """Return the name of the default profile, or None where none is set.

        Raises:
            ProfileError: where the note of it cannot be read; ``clear_default`` mends that.
        """
        if not os.path.lexists(self._default_file):
            return None
        name = self._default_text()
        if name is None:
            where = shown_path(self._default_file)
            raise ProfileError(f"{where}: holds no profile name; type {command('profile set-default --clear')}")
        return name

    def set_default(self, name: str) -> None:
        """Make the profile the default: the one that is used where none is named.

        Raises:
            ProfileError: where it cannot be loaded, or the choice cannot be written.
        """
        check_name(name)
        self.load(name)
        with locked(self.folder, self.state_folder):
            self.load(name)  # it may have been deleted meanwhile
            write_file(self._default_file, f"{name}\n".encode())

    def clear_default(self) -> None:
        """Clear the default profile; harmless if there is none.

        Raises:
            ProfileError: where the choice cannot be removed.
        """
        with locked(self.folder, self.state_folder):
            self._forget_default("the default is not cleared: ")

    def _forget_default(self, before: str) -> None:
        try:
            self._default_file.unlink(missing_ok=True)
        except OSError as problem:
            where, why = shown_path(self._default_file), reason(problem)
            raise ProfileError(f"{before}{where} cannot be removed ({why})") from None

    @property
    def _default_file(self) -> Path:
        return self.state_folder / _DEFAULT_FILE

    def _default_text(self) -> str | None:
        try:
            name = read_file(self._default_file).decode("ascii", "replace").strip()
        except ProfileError:
            return None
        return None if name_problem(name) else name

    def _folders(self, beside: Path | None = None) -> tuple[Path, ...]:
        candidates = (beside, self.folder, shipped_folder())
        return tuple(dict.fromkeys(folder for folder in candidates if folder is not None))

    def _locate(self, name_or_path: str | os.PathLike[str]) -> tuple[Path, Path | None]:
        """Return the file, and the folder in which its members are looked for first."""
        text = _as_text(name_or_path)
        is_path = isinstance(name_or_path, os.PathLike) or text.startswith("~") or text.endswith(SUFFIX)
        if not is_path and not any(mark in text for mark in "/\\"):
            return self._find(check_name(text)), None
        path = absolute(text)
        if path.name and not path.suffix and not os.path.lexists(path):
            path = path.with_name(path.name + SUFFIX)
        if not os.path.lexists(path):
            raise ProfileError(f"{shown_path(path)}: there is no such file{as_on_windows(text)}")
        if problem := name_problem(path.stem):
            raise ProfileError(f"{shown_path(path)}: the file's name without {SUFFIX} {problem}")
        return path, path.parent

    def _find(self, name: str, beside: Path | None = None, before: str = "", what: str = "profile") -> Path:
        folders = self._folders(beside)
        for folder in folders:
            path = folder / f"{name}{SUFFIX}"
            if os.path.lexists(path):
                return path
        stems = (stem for folder in folders for stem in sorted(path.stem for path in profile_files(folder)))
        known = [stem for stem in stems if not name_problem(stem)]  # others cannot be loaded
        looked = listed(folder_problem(folder) or shown_path(folder) for folder in folders)
        raise ProfileError(f"{before}unknown {what} {brief(name)}{what_is_there(name, known)} (looked in {looked})")

    def _read(self, path: Path) -> Document:
        # No variable holds the content: it may have a key in clear, and verbose tracebacks show variables.
        if path.parent == shipped_folder():
            return read_document(read_file(path, follow_links=True), path.stem, label=shown_path(path))
        found = read_judged(path, self._user)
        document = read_document(found.data, path.stem, label=shown_path(path))
        why = found.why_foreign if path.parent == self.folder else "is not one of your own profiles"
        return document if why is None else replace(document, foreign=Foreign(path, why, self.trust))

    def _check_place(self, document: Document) -> None:
        if isinstance(document, ModelProfile):
            return
        self._members(document, None, f"profile {document.name}: ")
        if users := self._users(document.name):
            raise ProfileError(
                f"profile {document.name}: the name is that of a member of {listed(users)}, "
                f"and members must be model profiles; choose another name"
            )

    def _members(self, balancer: LoadBalancerProfile, beside: Path | None, before: str) -> tuple[ModelProfile, ...]:
        found: dict[str, ModelProfile] = {}
        for name in dict.fromkeys(balancer.members):
            member = self._read(self._find(name, beside, before, "member"))
            if isinstance(member, LoadBalancerProfile):
                raise ProfileError(f"{before}member {name} is a load balancer; members must be model profiles")
            found[name] = member
        return tuple(found[name] for name in balancer.members)

    def _instead_of_own(self, profile: Profile) -> tuple[str, ...]:
        """Return a remark for each member that stands in the way of the user's own profile of that name."""
        foreign = {each.name: each.foreign.path for each in profile.members if each.foreign is not None}
        return tuple(
            f"{name} is {shown_path(path)}, not your own profile of that name"
            for name, path in foreign.items()
            if path.parent != self.folder and os.path.lexists(self.folder / path.name)
        )

    def _row(self, path: Path, default: str | None, known: Mapping[str, Path]) -> ProfileRow:
        shipped = path.parent == shipped_folder() and path.parent != self.folder
        row = ProfileRow(name=with_marks(path.stem), path=path, is_default=path.stem == default, shipped=shipped)
        try:
            check_name(path.stem, what="file name")
            document = self._read(path)
            missing = [each for each in members_of(document) if each not in known]
            if missing:  # no nearest name is looked for: there may be many such files, and each search takes time
                raise ProfileError(f"{shown_path(path)}: unknown member {brief(missing[0])}")
            profile = Profile.single(document, path) if isinstance(document, ModelProfile) else self.load(path.stem)
        except ProfileError as problem:
            return replace(row, problem=str(problem))
        return row.with_profile(profile, members_of(document))

    def _users(self, name: str) -> tuple[str, ...]:
        users = []
        for path in profile_files(self.folder):
            try:
                document = self._read(path)
            except ProfileError:
                continue
            if isinstance(document, LoadBalancerProfile) and name in document.members:
                users.append(path.stem)
        return tuple(users)


def _direct(name_or_path: str | os.PathLike[str], folders: tuple[Path, ...]) -> ModelProfile | None:
    """Return the model that ``provider:model`` names, or None for anything else."""
    text = _as_text(name_or_path)
    return None if isinstance(name_or_path, os.PathLike) or not names_a_model(text) else direct_model(text, folders)


def _as_text(given: object) -> str:
    """Return the text of a name or a path; a program may pass anything, whatever the annotation says."""
    text: object = os.fspath(given) if isinstance(given, os.PathLike) else given
    if isinstance(text, str):
        return text
    raise ProfileError(
        f"a profile is given by its name or path, as a text, or as a Profile, not as {type(given).__name__}"
    )
