"""The peak memory of a process, for jobs that run in one of their own."""

import re
import resource
from pathlib import Path


def peak():
    """Return the peak resident size of this program in bytes.

    Linux hands the peak that ``getrusage`` tells on from the parent through ``exec``, so a large
    test process would be taken for a large job; ``VmHWM`` starts anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
