"""Waits until folders hold so many files, and prints the time, and what the daemons took until then, as JSON."""

import argparse
import json
import os
import pathlib
import time

UNITS = ["opensmtpd", "amavis", "clamav-daemon", "dovecot", "spamd", "unbound", "nginx", "fail2ban"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", action="store_true", help="look for the most memory, which takes time itself")
    parser.add_argument("files", type=int)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    most: dict[str, float] = {}
    while True:
        done = count(arguments.folders) >= arguments.files
        now = time.time()
        if arguments.memory:
            for unit, megabytes in memory().items():
                most[unit] = max(most.get(unit, 0), megabytes)
        if done:
            break
        time.sleep(0.5 if arguments.memory else 0.01)
    print(json.dumps({"time": now, "memory": most, "processor": processor()}))


def count(folders: list[pathlib.Path]) -> int:
    return sum(len(os.listdir(folder)) for folder in folders if folder.is_dir())


def processes() -> dict[str, list[pathlib.Path]]:
    found: dict[str, list[pathlib.Path]] = {unit: [] for unit in UNITS}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            cgroup = (process / "cgroup").read_text()
        except OSError:
            continue
        for unit in UNITS:
            if f"/{unit}.service" in cgroup:
                found[unit].append(process)
    return {unit: of for unit, of in found.items() if of}


def memory() -> dict[str, float]:
    """MB of each unit: what several processes share counts once."""
    return {unit: sum(map(proportional, of)) for unit, of in processes().items()}


def proportional(process: pathlib.Path) -> float:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def processor() -> dict[str, float]:
    """Seconds of each unit since it started, those of processes that have ended too."""
    tick = os.sysconf("SC_CLK_TCK")
    seconds = {}
    for unit, of in processes().items():
        seconds[unit] = 0.0
        for process in of:
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            seconds[unit] += sum(map(int, fields[11:15])) / tick
    return seconds


main()
