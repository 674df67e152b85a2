"""link a file that is shown read-only into the tree, and write through the new name"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    for source in (bait.shown, bait.canary):
        for step in (lambda: os.link(source, bait.ws + "/alias"), lambda: os.link("/proc/self/fd/%d" % os.open(source, os.O_RDONLY), bait.ws + "/alias", follow_symlinks=True)):
            try:
                step()
                with open(bait.ws + "/alias", "w") as file:
                    file.write("PWNED\n")
                return "written"
            except OSError:
                pass


def escaped(bait):
    return any(open(path).read() != "ORIGINAL\n" for path in (bait.shown, bait.canary)) and "a file outside changed"
