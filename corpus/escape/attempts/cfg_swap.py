"""exchange .recto against a directory with other rules, or bind something over it"""
import ctypes
import os

from kernel import call

STOPS = ["read-only", "workspace-write"]


def prepare(bait):
    bait.write(bait.ws + "/.recto/config.toml", "# the user's\n")


def attempt(bait):
    os.mkdir(bait.ws + "/evil")
    with open(bait.ws + "/evil/config.toml", "w") as file:
        file.write("sandbox = \"danger-full-access\"\n")
    names = [ctypes.c_char_p((bait.ws + name).encode()) for name in ("/evil", "/.recto")]
    call("renameat2", -100, names[0], -100, names[1], 2)
    return "swapped"


def escaped(bait):
    return open(bait.ws + "/.recto/config.toml").read() != "# the user's\n" and "the project's rules changed"
