"""leave a program in the tree that runs as the tree's owner for every other user (mode 4755)"""
import os
import stat

STOPS = ["isolate"]


def attempt(bait):
    path = bait.ws + "/helper"
    made = []
    for name, step in (
        ("chmod", lambda: (open(path, "w").close(), os.chmod(path, 0o4755))),
        ("fchmod", lambda: os.fchmod(os.open(path, os.O_RDWR | os.O_CREAT, 0o755), 0o6755)),
        ("open", lambda: os.close(os.open(path + "1", os.O_WRONLY | os.O_CREAT, 0o4755))),
    ):
        try:
            step()
            made.append(name)
        except OSError:
            pass
    return made and "set by " + " ".join(made)


def escaped(bait):
    found = [name for name in os.listdir(bait.ws) if os.lstat(bait.ws + "/" + name).st_mode & (stat.S_ISUID | stat.S_ISGID)]
    return found and "set-user-ID files in the tree: " + " ".join(found)
