"""open knobs of the machine below /sys and /proc for writing (opened, never written)"""
import glob
import os

STOPS = ["isolate"]
NEEDS = "root"
NAMES = """/sys/power/state /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run /sys/kernel/mm/transparent_hugepage/enabled
/sys/kernel/debug /sys/kernel/tracing/trace_marker /sys/fs/cgroup/memory/release_agent /sys/fs/cgroup/release_agent
/sys/devices/system/cpu/cpu1/online /proc/sysrq-trigger /proc/sys/vm/drop_caches /proc/sys/kernel/hostname
/proc/sys/kernel/ns_last_pid /proc/sys/user/max_user_namespaces /proc/sys/fs/pipe-max-size /proc/irq/default_smp_affinity
/proc/mtrr /proc/acpi/wakeup /proc/1/oom_score_adj /proc/1/coredump_filter""".split()


def attempt(bait):
    opened = []
    for path in NAMES + glob.glob("/sys/fs/cgroup/*/release_agent") + glob.glob("/sys/module/*/parameters/*")[:20]:
        try:
            os.close(os.open(path, os.O_WRONLY))
            opened.append(path)
        except OSError:
            pass
    return opened and "opened " + " ".join(opened[:12])
