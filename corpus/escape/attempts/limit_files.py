"""make 250,000 empty files in the temporary directory (a limit of 200,000 must stop it; outside: 2,000 prove the way)"""
import os
import tempfile

STOPS = ["limits"]


def attempt(bait):
    directory = tempfile.mkdtemp(prefix="many-")
    # Without a cell the machine's own disk would be filled.
    wanted = 250_000 if os.getppid() == 1 else 2_000
    made = 0
    try:
        while made < wanted:
            os.close(os.open("%s/%d" % (directory, made), os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError:
        pass
    if wanted == 2_000:
        import shutil
        shutil.rmtree(directory)
    return made == wanted and "%d files" % made
