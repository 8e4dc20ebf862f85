"""How much memory is available, read before a large allocation rather than after."""

import os
from pathlib import Path

# Any process can allocate this much; the estimates of what is needed are too rough to refuse less.
NEVER_REFUSED = 4_000_000

CONTROL_GROUPS = Path("/sys/fs/cgroup")
# For each version of control groups: the controller in the line of /proc/self/cgroup, the folder of the groups, and the
# names of limit, use, and of that part of the use that files take, which the system gives back when memory is short.
VERSIONS = [
    ("", ".", "memory.max", "memory.current", "inactive_file"),
    ("", "unified", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
]


def available_memory():
    """Return the bytes that can be allocated now, or None where the system does not report them."""
    limits = [limit for limit in (_free_on_linux(), _free_in_control_groups(), _total()) if limit is not None]
    return min(limits, default=None)


def require_memory(n_bytes, purpose, advice="use fewer samples or lower width"):
    """Raise MemoryError, with the amount and the advice, if `purpose` needs more memory than is available."""
    if n_bytes <= NEVER_REFUSED:
        return
    available = available_memory()
    if available is not None and n_bytes > available:
        raise MemoryError(
            f"{purpose} needs {_gigabytes(n_bytes)} of memory, and {_gigabytes(available)} are available: {advice}, "
            "or free memory."
        )


def _gigabytes(n_bytes):
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"


def _free_on_linux(meminfo=Path("/proc/meminfo")):
    return _number_after("MemAvailable:", meminfo, 1024)


def _free_in_control_groups(own=Path("/proc/self/cgroup"), root=CONTROL_GROUPS):
    """Return the bytes left in this process's control group and those around it, or None if nothing limits them."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return None
    free = []
    for controller, folder, *names in VERSIONS:
        for group in [Path(path.strip("/")) for _, controllers, path in lines if controller in controllers.split(",")]:
            # In a container the path may be one of the host, of which only the top is there.
            free += [_free_in_group(root / folder / part, *names) for part in (group, *group.parents)]
    return min((limit for limit in free if limit is not None), default=None)


def _free_in_group(group, limit, used, reclaimable):
    try:
        limit, used = (int((group / name).read_text()) for name in (limit, used))
    except (OSError, ValueError):  # no such group, or "max"
        return None
    return max(0, limit - used + (_number_after(reclaimable + " ", group / "memory.stat") or 0))


def _number_after(name, path, unit=1):
    """Return the number in the line of a file that begins with a name, times the unit, or None without such a line."""
    try:
        return next(
            int(line[len(name) :].split()[0]) * unit for line in path.read_text().splitlines() if line.startswith(name)
        )
    except (OSError, StopIteration):
        return None


def _total():
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
