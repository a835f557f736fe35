"""What must not travel from a report into a case: names of people and machines, addresses, serial numbers, UUIDs."""

import hashlib
import ipaddress
import re

_UUID = re.compile(r"(?<![0-9a-f])(?<![0-9a-f]-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])",
                   re.IGNORECASE)
_HOME = re.compile(r"/(?:home|Users)/([\w.-]+)")
_PROMPT = re.compile(r"^ *\[?(?:\([\w.-]+\) ?)?([\w.-]+)@([\w.-]+)(?=[: ~\]$#])", re.MULTILINE)
_HOST = re.compile(r"\b(?:Static hostname|Hostname|HOSTNAME|Node ?Name|nodeName|kubernetes\.io/hostname)"
                   r"\s*[:=]\s*\"?([\w.-]+)")
_DOCKER_INFO = re.compile(r"^ ?Name: ([\w.-]+)\s*$", re.MULTILINE)
_UNAME = re.compile(r"^ *Linux ([\w.-]+) \d+\.\d+\.", re.MULTILINE)
_SYSLOG = re.compile(r"^\w{3} +\d{1,2} \d\d:\d\d:\d\d ([\w.-]+) [\w./-]+(?:\[\d+\])?:", re.MULTILINE)
_USER = re.compile(r"(?:^|\s)(?:User|user|USER|LOGNAME)\s*[:=]\s*([\w.-]+)\s*$", re.MULTILINE)
_SERIAL = re.compile(r"(?:Serial Number\s*:\s*|<serial>|\bserial[ :=]+)([0-9A-Z]{6,30})\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})"
                      r"(?![\w:]|\.\d)")
_MAC = re.compile(r"(?<![\w:])[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}(?![\w:])")
# Words that are accounts or machines on many systems, and words of the texts themselves: they tell nothing.
_PLAIN = frozenset({"root", "ubuntu", "debian", "user", "admin", "localhost", "nvidia", "docker", "host", "node",
                    "none", "null", "default", "centos", "fedora", "core", "kernel", "gpu", "container", "linux",
                    "name", "data"})


class Scrub:
    """Replaces what it learnt from the whole report.  The same name gets the same word everywhere."""

    def __init__(self, text: str, *, keep_uuids: bool = False) -> None:
        self._keep_uuids = keep_uuids
        self._uuids: dict[str, str] = {}
        users = set(_HOME.findall(text)) | {m[0] for m in _PROMPT.findall(text)} | set(_USER.findall(text))
        hosts = {m[1] for m in _PROMPT.findall(text)} | set(_HOST.findall(text)) | set(_UNAME.findall(text)) | set(
            _SYSLOG.findall(text)) | set(_DOCKER_INFO.findall(text))
        hosts |= {host.partition(".")[0] for host in hosts}
        serials = set(_SERIAL.findall(text))
        self._words = _words(users, "user") | _words(hosts, "machine") | _words(serials, "0" * 13)
        names = sorted(self._words, key=lambda name: (-len(name), name))
        self._pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, names))})(?![\w])") if names else None

    def clean(self, text: str) -> str:
        """A text without what must not travel."""
        text = _MAIL.sub("user@example.org", text)
        text = _MAC.sub("02:00:00:00:00:01", text)
        text = _ADDRESS.sub(lambda m: _address(m[0]), text)
        text = _HOME.sub("/home/user", text)
        text = self._pattern.sub(lambda m: self._words[m[0]], text) if self._pattern else text
        return _UUID.sub(lambda m: self.uuid(m[0]), text)

    def uuid(self, text: str) -> str:
        """Another UUID, always the same for the same one; numbered in the order in which they come."""
        if self._keep_uuids:
            return text
        if text.lower() not in self._uuids:
            digits = hashlib.sha256(f"UUID {len(self._uuids)} of a draft".encode()).hexdigest()
            self._uuids[text.lower()] = "-".join(
                (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
        return self._uuids[text.lower()]


def _words(names: set[str], word: str) -> dict[str, str]:
    return {name: word for name in names if len(name) > 2 and name.lower() not in _PLAIN}


def _address(text: str) -> str:
    """An address of the ranges for documentation; what is no address, such as a time or a bus id, stays."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return text
    if found.is_loopback or found.is_unspecified:
        return text
    return "192.0.2.1" if found.version == 4 else "2001:db8::1"
