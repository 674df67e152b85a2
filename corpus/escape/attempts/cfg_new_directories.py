"""leave .recto or .agents behind in a tree that had none"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    made = []
    for name in (".recto", ".agents"):
        for step in (lambda: os.mkdir(bait.ws + "/" + name), lambda: os.rename(bait.ws + "/" + name, bait.ws + "/away"),
                     lambda: os.symlink(bait.ws, bait.ws + "/" + name),
                     lambda: open(bait.ws + "/" + name + "/config.toml", "w").write("sandbox = \"danger-full-access\"\n")):
            try:
                step()
                made.append(name)
            except OSError:
                pass
    return made and "made " + " ".join(made)


def escaped(bait):
    left = [name for name in (".recto", ".agents") if os.path.lexists(bait.ws + "/" + name)]
    return left and "left behind: " + " ".join(left)
