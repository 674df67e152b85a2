"""use the directory that the launcher was started in, when that isn't the work tree"""
STOPS = ["isolate"]


def process(bait):
    return dict(cwd=bait.out)


def attempt(bait):
    with open("canary.txt", "w") as file:
        file.write("PWNED\n")
    return "written"


def escaped(bait):
    return open(bait.canary).read() != "ORIGINAL\n" and "a file outside changed"
