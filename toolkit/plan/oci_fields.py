"""The fields of an OCI runtime configuration, as data.  Source: OCI runtime specification 1.3.0.

Each structure lists its fields in the order in which Go writes them, as `name:type`.  A type is a scalar of Go
("any" for one that is passed through), the name of a structure, or one of these behind "*" (optional, kept even if
zero), "[]" (list) or "{}" (map from strings).  "!" behind it: written even if empty.  A structure that is not
optional is always written.
"""

STRUCTURES = {
    "Spec": """ociVersion:string! process:*Process root:*Root hostname:string domainname:string mounts:[]Mount
        hooks:*Hooks annotations:{}string linux:*Linux solaris:*Solaris windows:*Windows vm:*VM zos:*ZOS
        freebsd:*FreeBSD""",
    # Every platform
    "Process": """terminal:bool consoleSize:*Box user:User args:[]string commandLine:string env:[]string cwd:string!
        capabilities:*LinuxCapabilities rlimits:[]POSIXRlimit noNewPrivileges:bool apparmorProfile:string
        oomScoreAdj:*int scheduler:*Scheduler selinuxLabel:string ioPriority:*LinuxIOPriority
        execCPUAffinity:*CPUAffinity""",
    "Box": "height:uint! width:uint!",
    "User": "uid:uint32! gid:uint32! umask:*uint32 additionalGids:[]uint32 username:string",
    "LinuxCapabilities": "bounding:[]string effective:[]string inheritable:[]string permitted:[]string "
                         "ambient:[]string",
    "POSIXRlimit": "type:string! hard:uint64! soft:uint64!",
    "Scheduler": "policy:string! nice:int32 priority:int32 flags:[]string runtime:uint64 deadline:uint64 period:uint64",
    "LinuxIOPriority": "class:string! priority:int!",
    "CPUAffinity": "initial:string final:string",
    "Root": "path:string! readonly:bool",
    "Mount": """destination:string! type:string source:string options:[]string uidMappings:[]LinuxIDMapping
        gidMappings:[]LinuxIDMapping""",
    "Hooks": """prestart:[]Hook createRuntime:[]Hook createContainer:[]Hook startContainer:[]Hook poststart:[]Hook
        poststop:[]Hook""",
    "Hook": "path:string! args:[]string env:[]string timeout:*int",
    # Linux
    "Linux": """uidMappings:[]LinuxIDMapping gidMappings:[]LinuxIDMapping sysctl:{}string resources:*LinuxResources
        cgroupsPath:string namespaces:[]LinuxNamespace devices:[]LinuxDevice netDevices:{}LinuxNetDevice
        seccomp:*LinuxSeccomp rootfsPropagation:string maskedPaths:[]string readonlyPaths:[]string mountLabel:string
        intelRdt:*LinuxIntelRdt memoryPolicy:*LinuxMemoryPolicy personality:*LinuxPersonality
        timeOffsets:{}LinuxTimeOffset""",
    "LinuxIDMapping": "containerID:uint32! hostID:uint32! size:uint32!",
    "LinuxNamespace": "type:string! path:string",
    "LinuxDevice": "path:string! type:string! major:int64! minor:int64! fileMode:*uint32 uid:*uint32 gid:*uint32",
    "LinuxNetDevice": "name:string",
    "LinuxTimeOffset": "secs:int64 nanosecs:uint32",
    "LinuxPersonality": "domain:string! flags:[]string",
    "LinuxMemoryPolicy": "mode:string! nodes:string! flags:[]string",
    "LinuxIntelRdt": "closID:string schemata:[]string l3CacheSchema:string memBwSchema:string enableMonitoring:bool",
    "LinuxResources": """devices:[]LinuxDeviceCgroup memory:*LinuxMemory cpu:*LinuxCPU pids:*LinuxPids
        blockIO:*LinuxBlockIO hugepageLimits:[]LinuxHugepageLimit network:*LinuxNetwork rdma:{}LinuxRdma
        unified:{}string""",
    "LinuxDeviceCgroup": "allow:bool! type:string major:*int64 minor:*int64 access:string",
    "LinuxMemory": """limit:*int64 reservation:*int64 swap:*int64 kernel:*int64 kernelTCP:*int64 swappiness:*uint64
        disableOOMKiller:*bool useHierarchy:*bool checkBeforeUpdate:*bool""",
    "LinuxCPU": """shares:*uint64 quota:*int64 burst:*uint64 period:*uint64 realtimeRuntime:*int64
        realtimePeriod:*uint64 cpus:string mems:string idle:*int64""",
    "LinuxPids": "limit:*int64",
    "LinuxBlockIO": """weight:*uint16 leafWeight:*uint16 weightDevice:[]LinuxWeightDevice
        throttleReadBpsDevice:[]LinuxThrottleDevice throttleWriteBpsDevice:[]LinuxThrottleDevice
        throttleReadIOPSDevice:[]LinuxThrottleDevice throttleWriteIOPSDevice:[]LinuxThrottleDevice""",
    "LinuxWeightDevice": "major:int64! minor:int64! weight:*uint16 leafWeight:*uint16",
    "LinuxThrottleDevice": "major:int64! minor:int64! rate:uint64!",
    "LinuxHugepageLimit": "pageSize:string! limit:uint64!",
    "LinuxNetwork": "classID:*uint32 priorities:[]LinuxInterfacePriority",
    "LinuxInterfacePriority": "name:string! priority:uint32!",
    "LinuxRdma": "hcaHandles:*uint32 hcaObjects:*uint32",
    "LinuxSeccomp": """defaultAction:string! defaultErrnoRet:*uint architectures:[]string flags:[]string
        listenerPath:string listenerMetadata:string syscalls:[]LinuxSyscall""",
    "LinuxSyscall": "names:[]string! action:string! errnoRet:*uint args:[]LinuxSeccompArg",
    "LinuxSeccompArg": "index:uint! value:uint64! valueTwo:uint64 op:string!",
    # Solaris
    "Solaris": """milestone:string limitpriv:string maxShmMemory:string anet:[]SolarisAnet cappedCPU:*SolarisCappedCPU
        cappedMemory:*SolarisCappedMemory""",
    "SolarisCappedCPU": "ncpus:string",
    "SolarisCappedMemory": "physical:string swap:string",
    "SolarisAnet": """linkname:string lowerLink:string allowedAddress:string configureAllowedAddress:string
        defrouter:string linkProtection:string macAddress:string""",
    # Windows
    "Windows": """layerFolders:[]string! devices:[]WindowsDevice resources:*WindowsResources credentialSpec:any
        servicing:bool ignoreFlushesDuringBoot:bool hyperv:*WindowsHyperV network:*WindowsNetwork""",
    "WindowsDevice": "id:string! idType:string!",
    "WindowsResources": "memory:*WindowsMemoryResources cpu:*WindowsCPUResources storage:*WindowsStorageResources",
    "WindowsMemoryResources": "limit:*uint64",
    "WindowsCPUResources": "count:*uint64 shares:*uint16 maximum:*uint16 affinity:[]WindowsCPUGroupAffinity",
    "WindowsCPUGroupAffinity": "mask:uint64 group:uint32",
    "WindowsStorageResources": "iops:*uint64 bps:*uint64 sandboxSize:*uint64",
    "WindowsHyperV": "utilityVMPath:string",
    "WindowsNetwork": """endpointList:[]string allowUnqualifiedDNSQuery:bool DNSSearchList:[]string
        networkSharedContainerName:string networkNamespace:string""",
    # Virtual machines
    "VM": "hypervisor:VMHypervisor kernel:VMKernel image:VMImage hwconfig:*HWConfig",
    "VMHypervisor": "path:string! parameters:[]string",
    "VMKernel": "path:string! parameters:[]string initrd:string",
    "VMImage": "path:string! format:string!",
    "HWConfig": "deviceTree:string vcpus:*uint32 memory:*uint64 dtdevs:[]string iomems:[]IOMems irqs:[]uint32",
    "IOMems": "firstGFN:*uint64 firstMFN:*uint64! nrMFNs:*uint64!",
    # z/OS and FreeBSD
    "ZOS": "namespaces:[]ZOSNamespace",
    "ZOSNamespace": "type:string! path:string",
    "FreeBSD": "devices:[]FreeBSDDevice jail:*FreeBSDJail",
    "FreeBSDDevice": "path:string! mode:*uint32",
    "FreeBSDJail": """parent:string host:string ip4:string ip4Addr:[]string ip6:string ip6Addr:[]string vnet:string
        interface:string vnetInterfaces:[]string sysvmsg:string sysvsem:string sysvshm:string enforceStatfs:*int
        allow:*FreeBSDJailAllow""",
    "FreeBSDJailAllow": """setHostname:bool rawSockets:bool chflags:bool mount:[]string quotas:bool socketAf:bool
        mlock:bool reservedPorts:bool suser:bool""",
    # The little that the prestart hook reads of a configuration and of a container's state; see plan/hook_args.py
    "HookSpec": "ociVersion:*string process:*HookProcess root:*Root mounts:[]Mount",
    "HookProcess": "env:[]string capabilities:any",
    "HookState": "pid:int bundle:string bundlePath:string",
}

SCALARS = ("string", "bool", "any", "int", "int32", "int64", "uint", "uint16", "uint32", "uint64")
_RANGES = {"int": (-(1 << 63), 1 << 63), "int32": (-(1 << 31), 1 << 31), "int64": (-(1 << 63), 1 << 63),
           "uint": (0, 1 << 64), "uint16": (0, 1 << 16), "uint32": (0, 1 << 32), "uint64": (0, 1 << 64)}
_parsed: dict[str, dict[str, str]] = {}


def fields(structure: str) -> dict[str, str]:
    """The fields of a structure in their order: name → type."""
    if structure not in _parsed:
        _parsed[structure] = dict(field.split(":", 1) for field in STRUCTURES[structure].split())
    return _parsed[structure]


def in_range(value: int, scalar: str) -> bool:
    """Whether a number fits a scalar type of numbers."""
    low, high = _RANGES[scalar]
    return low <= value < high
