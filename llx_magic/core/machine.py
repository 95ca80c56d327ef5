"""Trouble of this machine, such as missing memory. It says nothing about a backend, so it counts against none."""

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
    """Return the message for something that is wrong on this machine."""
    return f"trouble of this machine: {what}"


def trouble_of(error: BaseException) -> str | None:
    """Return a message if the error says that this machine has run out of something, otherwise None."""
    if isinstance(error, MemoryError):
        return in_words(_WORDS[errno.ENOMEM])
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return in_words("no more threads can be started")
    words = _WORDS.get(error.errno or 0) if isinstance(error, OSError) else None
    return None if words is None else in_words(words)
