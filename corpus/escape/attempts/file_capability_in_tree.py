"""leave a program with file capabilities in the tree"""
import os
import shutil

STOPS = ["isolate"]
NEEDS = "root"


def attempt(bait):
    path = bait.ws + "/helper"
    shutil.copy("/usr/bin/id", path)
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    return "set"


def escaped(bait):
    path = bait.ws + "/helper"
    return os.path.exists(path) and "security.capability" in os.listxattr(path) and "capabilities in the tree"
