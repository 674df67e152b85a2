"""read what another cell of the same user keeps in its temporary places and its home"""
import glob
import os

STOPS = ["private-tmp"]
PROOF = "other"


def prepare(bait):
    bait.context["text"] = bait.secret("other")


def sibling(bait):
    made = []
    for directory in ("/tmp", "/dev/shm", "/run"):
        try:
            path = "%s/other-%s" % (directory, bait.token)
            with open(path, "w") as file:
                file.write(bait.text)
            made.append(path)
        except OSError:
            pass
    bait.wait()
    for path in made:
        os.unlink(path)
    return "kept"


def attempt(bait):
    for directory in ("/tmp", "/dev/shm", "/run", "/proc/*/root/tmp", "/proc/*/cwd"):
        for path in glob.glob("%s/other-%s" % (directory, bait.token)):
            return open(path).read()
