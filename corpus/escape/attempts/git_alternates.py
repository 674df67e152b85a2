"""point objects/info/alternates at a repository outside: the user's git then reads objects from there"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    with open(bait.ws + "/.git/objects/info/alternates", "w") as file:
        file.write(bait.out + "/private.git/objects\n")
    return "planted"


def escaped(bait):
    return os.path.exists(bait.ws + "/.git/objects/info/alternates") and "git reads the other repository's objects"
