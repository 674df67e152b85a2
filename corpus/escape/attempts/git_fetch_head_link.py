"""make .git/FETCH_HEAD a link to a file outside: the user's next fetch empties it and writes there"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    os.symlink(bait.canary, bait.ws + "/.git/FETCH_HEAD")
    return "planted"


def escaped(bait):
    bait.git("fetch", "-q", ".")
    return open(bait.canary).read() != "ORIGINAL\n" and "the user's fetch wrote outside"
