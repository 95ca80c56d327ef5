"""Trouble of this machine: it says nothing about whoever is asked, so it is held against nobody."""

from __future__ import annotations

import errno

_WORDS = {
    getattr(errno, "WSAEMFILE", errno.EMFILE): "no sockets left in this process",
    errno.EMFILE: "no file descriptors left in this process (ulimit -n is their number)",
    errno.ENFILE: "no file descriptors left in the whole system",
    errno.ENOMEM: "no memory left",
    errno.ENOBUFS: "no buffers left for the network",
    errno.EADDRNOTAVAIL: "no address or port free for a connection",
    errno.ENETDOWN: "its network is down",
    errno.EAGAIN: "no more processes can be started",
    errno.ENOSPC: "the disk is full",
}


def in_words(what: str) -> str:
    """Return the line that says that something is wrong here and nowhere else."""
    return f"trouble of this machine: {what}"


def trouble_of(error: BaseException) -> str | None:
    """Return in a line what has run out on this machine, where that is what the error says; else None."""
    if isinstance(error, MemoryError):
        return in_words(_WORDS[errno.ENOMEM])
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return in_words("no more threads can be started")
    words = _WORDS.get(error.errno or 0) if isinstance(error, OSError) else None
    return None if words is None else in_words(words)
