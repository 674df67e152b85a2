"""in a linked worktree: plant hooks and configuration in the main repository, and redirect its worktree's files"""
import os

STOPS = ["read-only", "workspace-write"]


def prepare(bait):
    bait.context["main"] = bait.base + "/main"
    os.rename(bait.ws, bait.context["main"])
    bait.git("worktree", "add", "-q", "-b", "side", bait.ws, directory=bait.context["main"])
    bait.context["own"] = open(bait.ws + "/.git").read().split(": ")[1].strip()


def attempt(bait):
    hook = "#!/bin/sh\ntouch %s\n" % bait.pwned
    config = "[core]\n\tfsmonitor = \"touch %s; false\"\n\tworktree = %s\n" % (bait.pwned, bait.ws)
    tries = [(bait.main + "/.git/hooks/pre-commit", hook), (bait.main + "/.git/config", config), (bait.main + "/.git/config.worktree", config),
             (bait.own + "/config", config), (bait.own + "/config.worktree", config), (bait.own + "/hooks/pre-commit", hook)]
    done = []
    for path, text in tries:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "a") as file:
                file.write(text)
            os.chmod(path, 0o755)
            done.append(os.path.relpath(path, bait.main))
        except OSError:
            pass
    return done and "written: " + " ".join(done)


def escaped(bait):
    for directory in (bait.ws, bait.context["main"]):
        bait.git("status", directory=directory)
        bait.git("commit", "-qm", "x", "--allow-empty", directory=directory)
    return bait.executed()
