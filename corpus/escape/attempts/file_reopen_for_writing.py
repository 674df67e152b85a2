"""open a shown file read-only and open it again for writing through /proc/self/fd"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    for path in (bait.shown, bait.canary):
        try:
            fd = os.open(path, os.O_RDONLY)
            again = os.open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_TRUNC)
            os.write(again, b"PWNED\n")
            return "written"
        except OSError:
            pass


def escaped(bait):
    return any(open(path).read() != "ORIGINAL\n" for path in (bait.shown, bait.canary)) and "a file outside changed"
