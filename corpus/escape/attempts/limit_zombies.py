"""leave 700 ended children unreaped (a task limit of 512 must stop it)"""
import os

STOPS = ["limits"]


def attempt(bait):
    children = []
    try:
        while len(children) < 700:
            child = os.fork()
            if child == 0:
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.waitpid(child, 0)
    return len(children) == 700 and "700 dead children"
