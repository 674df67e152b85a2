"""read what tells of the whole machine: addresses, timers, keys, slabs, messages, page counts"""
STOPS = ["isolate"]
NEEDS = "root"
NAMES = "kcore kallsyms timer_list keys key-users slabinfo vmallocinfo kpagecount kpageflags pagetypeinfo iomem sched_debug modules ioports".split()


def attempt(bait):
    told = []
    for name in NAMES:
        try:
            with open("/proc/" + name, "rb") as file:
                text = file.read(2000)
        except OSError:
            continue
        # For whoever may not know them, addresses are zeros.
        first = [line.split()[0] for line in text.split(b"\n")[:-1] if line.split()]
        if text and any(word.strip(b"0-") for word in first):
            told.append(name)
    return told and "readable: " + " ".join(told)
