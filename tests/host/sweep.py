"""Every change that configure makes is made to fail, one after the other, in one real container: a prestart hook.

`python3 -IS sweep.py FOLDER` gets the container's state on stdin and OPTIONS.json in FOLDER: `repository`, `rootfs`,
`command` (with {PID}), `at` (the numbers of the calls to refuse), `errno`, `kill` (ends the command there instead, and
runs it again), `version` of the cgroup.  It writes FOLDER/results.json: what happened at each call, up to one that
changed something.
"""

import json
import os
import stat
import subprocess
import sys

FOLDER = sys.argv[1]
FAULTS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "faults.py")


def main() -> None:
    with open(f"{FOLDER}/OPTIONS.json") as f:
        options = json.load(f)
    sys.path.insert(0, options["repository"])
    container = Container(json.load(sys.stdin)["pid"], options)
    results, before = [], container.seen()
    for call in options["at"]:
        one = container.configure(call)
        after = container.seen()
        one["difference"] = {name: difference(before[name], after[name]) for name in before
                             if after[name] != before[name]}
        one["again"] = container.configure(0) if options["kill"] else {}
        one["points"] = container.points()
        results.append(one)
        if options["kill"] or one["difference"] or one["exit"] == 0:  # this container is used up
            break
    with open(f"{FOLDER}/results.json", "w") as f:
        json.dump(results, f)


def difference(before: list, after: list) -> dict:
    return {"gone": [x for x in before if x not in after][:20], "new": [x for x in after if x not in before][:20]}


class Container:
    """The container that the hook is for."""

    def __init__(self, pid: int, options: dict) -> None:
        self._pid, self._options = pid, options

    def configure(self, call: int) -> dict:
        report = f"{FOLDER}/report.json"
        how = {"at": call, "errno": self._options["errno"], "report": report, "kill": self._options["kill"]}
        command = [word.replace("{PID}", str(self._pid)) for word in self._options["command"]]
        done = subprocess.run([sys.executable, "-IS", FAULTS, json.dumps(how), *command], capture_output=True,
                              text=True, errors="replace")
        with open(report) as f:
            return {"call": call, **json.load(f), "exit": done.returncode, "stderr": done.stderr}

    def seen(self) -> dict[str, list]:
        """Mounts and files of the container, its device rules, and the host's mounts, nodes and processes."""
        with open(f"/proc/{self._pid}/mountinfo") as f:
            mounts = f.readlines()
        with open("/proc/self/mountinfo") as f:
            host = f.readlines()
        return {"mounts": mounts, "files": self._files(), "rules": self._rules(), "host mounts": host,
                "host nodes": sorted(os.listdir("/dev")), "host processes": self._processes()}

    def points(self) -> list[str]:
        """What is mounted where below the root, with its restrictions."""
        root = self._options["rootfs"]
        with open(f"/proc/{self._pid}/mountinfo") as f:
            rows = [line.split() for line in f]
        return sorted(f"{row[4][len(root):]} {row[5]}" for row in rows if row[4].startswith(f"{root}/"))

    def _files(self) -> list[str]:
        """Paths below the root, not across mounts, with what would show a change."""
        found, root = [], f"/proc/{self._pid}/root{self._options['rootfs']}"
        device = os.stat(root).st_dev
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if os.lstat(f"{folder}/{name}").st_dev == device]
            for name in (*folders, *files):
                one = os.lstat(f"{folder}/{name}")
                content = os.readlink(f"{folder}/{name}") if stat.S_ISLNK(one.st_mode) else ""
                size = one.st_size if stat.S_ISREG(one.st_mode) else 0
                found.append(f"{folder[len(root):]}/{name} {one.st_mode:o} {one.st_uid} {size} {content}")
        return sorted(found)

    def _rules(self) -> list[str]:
        with open(f"/proc/{self._pid}/cgroup") as f:
            lines = [line.strip().split(":", 2) for line in f]
        if self._options["version"] == 1:
            path = next(path for _, kind, path in lines if kind == "devices")
            with open(f"/sys/fs/cgroup/devices{path}/devices.list") as f:
                return f.readlines()
        from toolkit.apply import linux_bpf

        path = next(path for _, kind, path in lines if not kind)
        fd = os.open(f"/sys/fs/cgroup{path}", os.O_RDONLY)
        try:
            programs, flags = linux_bpf.query_programs(fd)
            return [str(flags), *(linux_bpf.instructions_of(linux_bpf.program_by_id(one)).hex() for one in programs)]
        finally:
            os.close(fd)

    def _processes(self) -> list[str]:
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    name, _, rest = f.read().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if (name.startswith("nvc:") or "nvidia" in name) and rest.split()[0] != "Z":  # a dead one is process 1's
                found.append(name)
        return sorted(found)


if __name__ == "__main__":
    main()
