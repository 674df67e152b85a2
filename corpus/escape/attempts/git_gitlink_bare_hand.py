"""the same without running git: a `.git` file that leads to a git directory elsewhere in the tree, staged by its hash"""
import os
import subprocess

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["git", "init", "-q", "--bare", "store"], **quiet)
    with open("store/config", "a") as config:
        config.write("[core]\n\tbare = false\n\tworktree = ../part\n\tfsmonitor = \"touch %s; false\"\n" % bait.pwned)
    os.mkdir("part")
    with open("part/.git", "w") as file:
        file.write("gitdir: ../store\n")
    subprocess.run(["git", "update-index", "--add", "--cacheinfo", "160000,%s,part" % head], **quiet)
    return "planted"


def escaped(bait):
    bait.git("status")
    bait.git("diff")
    return bait.executed()
