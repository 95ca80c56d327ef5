"""Tells whether a file lies on a drive that other machines share."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

_NETWORK = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "fuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "smb3", "smbfs", "virtiofs", "vboxsf", "vmhgfs",
))  # fmt: skip
"""Kinds of file systems whose files other machines may change, or whose memory maps are not shared."""

_MOUNTS = Path("/proc/self/mounts")


def is_shared_drive(path: Path) -> bool:
    """Return whether a file lies on a network drive or one that a virtual machine shares; False where nobody says."""
    if sys.platform == "win32":
        return path.drive.startswith("\\\\")
    try:
        return kind_of_drive(path.resolve(), _MOUNTS.read_text("utf-8", "surrogateescape")) in _NETWORK
    except (OSError, RuntimeError):
        return False


@functools.lru_cache(maxsize=16)
def kind_of_drive(path: Path, mounts: str) -> str:
    """Return the kind of the file system that a path without links is on, from the table of what is mounted.

    Its lines are of https://man7.org/linux/man-pages/man5/fstab.5.html; a kind such as ``fuse.sshfs`` counts as
    ``fuse``.
    """
    longest, kind = -1, ""
    for line in mounts.splitlines():
        _device, point, found, *_ = [*line.split(" "), "", "", ""]
        place = Path(point.encode("latin-1", "replace").decode("unicode_escape") if "\\" in point else point)
        if point and path.is_relative_to(place) and len(place.parts) >= longest:
            longest, kind = len(place.parts), found
    return kind.partition(".")[0]
