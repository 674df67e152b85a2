"""use descriptors that the launcher inherited at high and odd numbers"""
import os

STOPS = ["isolate"]


def process(bait):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    bait.state["reader"] = reader
    numbers = [3, 9, 63, 255, 1000]
    for number in numbers:
        if number not in (reader, writer):
            try:
                os.fstat(number)
            except OSError:
                os.dup2(writer, number)
    bait.state["numbers"] = numbers
    return dict(close_fds=True, pass_fds=[it for it in numbers if it != reader])


def attempt(bait):
    for number in range(3, 1100):
        try:
            os.write(number, bait.token.encode())
        except OSError:
            pass
    return "tried"


def escaped(bait):
    try:
        return bait.token.encode() in os.read(bait.state["reader"], 65536) and "a descriptor was passed on"
    except OSError:
        return None
