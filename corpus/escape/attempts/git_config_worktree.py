"""fill .git/config.worktree of a repository that has worktree configuration switched on"""

STOPS = ["read-only", "workspace-write"]


def prepare(bait):
    bait.git("config", "extensions.worktreeConfig", "true")


def attempt(bait):
    with open(bait.ws + "/.git/config.worktree", "w") as file:
        file.write("[core]\n\tfsmonitor = \"touch %s; false\"\n" % bait.pwned)
    return "planted"


def escaped(bait):
    bait.git("status")
    return bait.executed()
