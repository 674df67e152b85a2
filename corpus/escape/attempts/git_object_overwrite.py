"""write into an object of the user's repository, in place or through a hard link to it"""
import glob
import os

from kernel import works

STOPS = ["read-only", "workspace-write"]


def objects(bait):
    return {path: open(path, "rb").read() for path in glob.glob(bait.ws + "/.git/objects/??/*")}


def prepare(bait):
    bait.state["objects"] = objects(bait)


def attempt(bait):
    path, alias = sorted(glob.glob(bait.ws + "/.git/objects/??/*"))[0], bait.ws + "/alias"
    works(os.link, path, alias)
    for name in (alias, path):
        try:
            os.chmod(name, 0o644)
            with open(name, "r+b") as file:
                file.write(b"\0\0\0\0")
            return "overwritten"
        except OSError:
            pass


def escaped(bait):
    return objects(bait) != bait.state["objects"] and "an object changed"
