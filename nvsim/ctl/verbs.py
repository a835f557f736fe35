"""What `nvsim ctl` and a scenario's `ctl:` step can do: a table of verbs, and the parser for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nvsim.ctl import driver, ecc, health, links, load, mig, process, reload, throttle, values, xid
from nvsim.ctl.words import Words, chosen, split


class Action(Protocol):
    """A change that has been understood, and can be applied to any host."""

    def apply(self, root: str) -> list[str]:
        """Changes a built host; what happened, in lines.  Raises NvsimError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """`keys` are the words with = that it takes, with their meaning; `table` is more for its help.

    `examples` are command lines behind `nvsim ctl`, each with what it does."""

    about: str
    usage: str
    parse: Callable[[Words], Action]
    keys: dict[str, str]
    examples: dict[str, str]
    table: Callable[[], list[str]] = field(default=list)


GPU = {"gpu": "all, a number in PCI bus order, a UUID, or a PCI address"}
VERBS = {
    "set": Verb(about="sets single values", usage="[gpu=N] NAME=VALUE…", parse=values.parse,
                keys={**GPU, **values.settable()},
                examples={"set gpu=0 temperature=85": "one value", "set memory_used=10GiB": "of every GPU"}),
    "xid": Verb(about="an error of the driver, with what follows from it",
                usage="gpu=N CODE [pid=N] [name=TEXT] [link=N] [gi=N] [ci=N]", parse=xid.parse,
                keys={**GPU, "pid": "process that the kernel log names", "name": "its name",
                      "link": "NVLink, for errors of links; else the first that is up",
                      "gi": "GPU instance of the event, on a MIG device", "ci": "its compute instance"},
                examples={"xid gpu=0 79": "GPU 0 falls off the bus", "xid gpu=1 31 pid=4711": "a program failed"},
                table=xid.known),
    "lose": Verb(about="a GPU falls off the bus without a word", usage="gpu=N", parse=health.parse_lose, keys=GPU,
                 examples={"lose gpu=3": "every call about GPU 3 fails with GPU is lost"}),
    "reset": Verb(about="resets a GPU: pending modes, pages and rows take effect", usage="gpu=N",
                  parse=health.parse_reset, keys=GPU, examples={"reset gpu=0": "after Xid 119, say"}),
    "recover": Verb(about="brings a GPU back as a reboot does, also a lost one", usage="gpu=N",
                    parse=health.parse_recover, keys=GPU, examples={"recover gpu=all": "all is well again"}),
    "mig": Verb(about="MIG mode and instances, by the driver's rules",
                usage="enable|disable|create|destroy|list [GPU] [PROFILE[:START] … [-C]] [GI[/CI]]", parse=mig.parse,
                keys=GPU,
                examples={"mig enable 0": "MIG mode, at once if the GPU is idle",
                          "mig create 0 4g.20gb 1g.5gb:6 -C": "GPU instances, each with one compute instance",
                          "mig create 0 1/1c.4g.20gb": "a compute instance in GPU instance 1",
                          "mig destroy 0 1/0": "a compute instance", "mig destroy 0": "all instances of a GPU",
                          "mig list": "what there is"}),
    "ecc": Verb(about="memory errors without an Xid",
                usage="gpu=N corrected|uncorrected dram|sram [count=N] [scope=WHICH] [repair=STATE] | gpu=N clear",
                parse=ecc.parse,
                keys={**GPU, "count": "errors, 1 if not given", "scope": "volatile, aggregate, or both",
                      "repair": "pending: a page or row waits for a reset; failed: it could not be remapped"},
                examples={"ecc gpu=0 uncorrected dram": "an error, with event 2", "ecc gpu=0 clear scope=volatile":
                          "counters at 0", "ecc gpu=0 corrected dram count=3 repair=pending": "and a row waits"}),
    "throttle": Verb(about="slows a GPU down and says why", usage="gpu=N reason=WHY | gpu=N off",
                     parse=throttle.parse, keys={**GPU, "reason": ", ".join((*throttle.REASONS, throttle.OFF))},
                     examples={"throttle gpu=0 reason=thermal": "hot, at lower clocks", "throttle gpu=0 off":
                               "as before"}),
    "nvlink": Verb(about="takes NVLinks down, brings them up, counts errors",
                   usage="gpu=N [link=N] up|down|errors=N [kind=KIND]", parse=links.parse,
                   keys={**GPU, "link": "number of the link; default: all of them",
                         "errors": "errors to count", "kind": ", ".join(links.COUNTERS)},
                   examples={"nvlink gpu=0 link=3 down": "one link", "nvlink gpu=0 up": "all of its links",
                             "nvlink gpu=0 link=3 errors=5 kind=replay": "five replays"}),
    "process": Verb(about="processes that come to a GPU and leave it",
                    usage="add gpu=N pid=N [name=TEXT] [memory=SIZE] [type=C|G|C+G|M] … | remove gpu=N pid=N|all",
                    parse=process.parse,
                    keys={**GPU, "pid": "its number; all, when removed", "name": "as nvidia-smi shows it",
                          "memory": "device memory, such as 2GiB", "type": ", ".join(process.KINDS),
                          "sm": "percent of time on SMs", "mem": "percent of time on memory",
                          "enc": "percent of time on encoders", "dec": "percent of time on decoders",
                          "gi": "GPU instance, on a MIG device", "ci": "its compute instance",
                          "until": "exit: in the foreground, as long as that process lives here"},
                    examples={"process add gpu=0 pid=4711 name=python memory=2GiB sm=80": "one comes",
                              "process add gpu=0 pid=4711 memory=1GiB until=exit": "as long as it lives",
                              "process remove gpu=all pid=all": "all leave"}),
    "load": Verb(about="lets GPUs work: utilisation, memory, clocks, power, temperature over time",
                 usage="[gpu=N] PATTERN [seed=N] [for=TIME | at=TIME]", parse=load.parse,
                 keys={"gpu": f"{GPU['gpu']}; default: all", "pattern": ", ".join(load.PATTERNS),
                       "seed": "the same seed, the same values; default 0",
                       "for": "how long, such as 90s, 5m; default: until Ctrl-C",
                       "at": "sets the values of this moment at once, and ends"},
                 examples={"load training seed=7 for=60s": "all GPUs, in the foreground",
                           "load gpu=0 training at=5m": "as five minutes after its start",
                           "load gpu=0 idle": "at rest again"}),
    "driver": Verb(about="other kernel modules under the libraries that are in use, or none",
                   usage="upgrade VERSION | unload | load | install", parse=driver.parse, keys={},
                   examples={"driver upgrade 550.90.07": "programs that start find a mismatch",
                             "driver unload": "programs that start find no driver", "driver load": "and here it is"}),
    "daemon-reload": Verb(about="applies the device rules of containers again, as systemd does", usage="",
                          parse=reload.parse, keys={},
                          examples={"daemon-reload": "rights that a hook gave are gone"}),
}


def parse(words: Sequence[str]) -> Action:
    """The change that a command line means: `xid gpu=0 79`.

    Raises NvsimError for an unknown verb or key, with the nearest known one, and for a value that makes no sense."""
    name = chosen(words[0] if words else "", tuple(VERBS), "ctl")
    verb = VERBS[name]
    return verb.parse(split(name, words[1:], tuple(verb.keys)))


def endless(action: Action) -> bool:
    """Whether a change goes on until it is interrupted."""
    return isinstance(action, (load.Run, process.Add)) and action.endless
