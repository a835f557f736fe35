"""The mistakes that `nvidia-ctk doctor` knows: what each means, what to do, and the public report it is known from.

`{name}` stands for a value that the check fills in.  Evidence is the check's.
"""

from typing import NamedTuple

from toolkit.model.doctor import Finding, Severity

TOOLKIT, CLI, OPERATOR = "NVIDIA/nvidia-container-toolkit", "NVIDIA/libnvidia-container", "NVIDIA/gpu-operator"
PLUGIN, DOCKER, RUNTIME = "NVIDIA/k8s-device-plugin", "NVIDIA/nvidia-docker", "NVIDIA/nvidia-container-runtime"
REGENERATE = "nvidia-ctk cdi generate --output={path}"


class Mistake(NamedTuple):
    """One kind of mistake."""

    name: str
    severity: Severity
    what: str
    remedy: str
    report: str = ""


MISTAKES = {mistake.name: mistake for mistake in (
    # The machine and its driver
    Mistake(
        "no-gpu", "error", "this machine has no NVIDIA GPU",
        "nothing that is installed can help; in a virtual machine, pass a GPU through to it"),
    Mistake(
        "every-gpu-bound-to-vfio", "error", "all {count} GPUs are kept for virtual machines",
        "containers cannot have them; `driverctl unset-override ADDRESS` gives one back to the NVIDIA driver"),
    Mistake(
        "gpu-bound-to-vfio", "info", "{held} of {count} GPUs are kept for virtual machines",
        "containers cannot have them; `driverctl unset-override ADDRESS` gives one back to the NVIDIA driver"),
    Mistake(
        "nouveau-loaded", "error", "the kernel module nouveau is loaded: NVIDIA's cannot take the GPUs beside it",
        "write `blacklist nouveau` and `options nouveau modeset=0` to /etc/modprobe.d/nouveau.conf, make the initramfs "
        "anew and reboot", f"{OPERATOR} documentation: nouveau"),
    Mistake(
        "driver-elsewhere", "error", "there is no driver below {root}, and one below another folder",
        "nvidia-ctk config --set nvidia-container-cli.root={other} --in-place", f"{OPERATOR}#226"),
    Mistake(
        "libraries-missing", "error", "the kernel modules are loaded, and the driver's libraries are missing",
        "install the package with libnvidia-ml of {version} (Ubuntu: libnvidia-compute-{branch}), then run ldconfig",
        f"{TOOLKIT}#154"),
    Mistake(
        "libraries-in-unusual-folder", "error", "the driver's libraries lie where neither loader nor toolkit looks",
        "nvidia-ctk cdi generate --library-search-path={folder}; for legacy mode, name the folder in a file of "
        "/etc/ld.so.conf.d and run ldconfig", f"{TOOLKIT}#735"),
    Mistake(
        "no-driver", "error", "no NVIDIA driver is installed", "install the driver before the container toolkit",
        f"{CLI}#231"),
    Mistake(
        "kernel-module-not-loaded", "error", "the driver's libraries are there, its kernel modules are not loaded",
        "modprobe nvidia; if that fails, the modules were not built for this kernel (dkms status), or are not signed "
        "for secure boot (mokutil --sb-state): dmesg says which", f"{TOOLKIT}#1537"),
    Mistake(
        "version-mismatch", "error", "the driver's libraries do not fit the kernel modules that are loaded",
        "reboot, or stop what uses the GPUs and load the new modules (rmmod nvidia_drm nvidia_modeset nvidia_uvm "
        "nvidia, modprobe nvidia); keep unattended upgrades from the driver's packages", f"{TOOLKIT}#394"),
    Mistake(
        "versions-side-by-side", "warning", "libraries of {count} driver versions lie side by side",
        "remove those that are not {version}, then run ldconfig: a generated specification may name the wrong ones",
        "ollama/ollama#9031"),
    Mistake(
        "ldcache-stale", "error", "the loader's cache lists driver libraries that do not exist", "ldconfig",
        f"{TOOLKIT}#154"),
    Mistake(
        "library-not-in-ldcache", "error", "the driver's libraries are on disk, and the loader's cache lacks them",
        "ldconfig; if {folder} is none of the loader's folders, first name it in a file of /etc/ld.so.conf.d",
        f"{TOOLKIT}#154"),
    Mistake(
        "gpu-not-answering", "error", "{lost} of {count} GPUs do not answer",
        "look for Xid in the kernel log; nvidia-smi -r, or a power cycle if the GPU has fallen off the bus; until then "
        "ask for the other GPUs by UUID", f"{OPERATOR} documentation: driver rpc timeout"),
    Mistake("nvml-error", "error", "NVML does not answer", "the kernel log tells more: dmesg | grep -i nvrm"),
    Mistake(
        "device-node-missing", "error", "the driver has {count} GPUs, and /dev has nodes of {nodes}",
        "nvidia-modprobe -u -c N makes node N, and nvidia-smi as root makes all; at boot, nvidia-persistenced has to",
        f"{RUNTIME}#142"),
    Mistake(
        "uvm-node-missing", "error", "/dev/nvidia-uvm is missing: nvidia-smi works, CUDA does not",
        "modprobe nvidia-uvm && nvidia-modprobe -u -c 0", f"{RUNTIME}#142"),
    Mistake(
        "device-node-permissions", "warning",
        "not everybody may open the device nodes: ordinary users, and nvidia-container-cli's helper, cannot",
        'remove NVreg_DeviceFileMode and NVreg_DeviceFileGID from /etc/modprobe.d, or set nvidia-container-cli.user = '
        '"root:GROUP"', f"{DOCKER}#1547"),
    Mistake(
        "device-node-number", "error", "/dev/nvidia-uvm has the number of another boot: it cannot be opened",
        "remove the nodes, then nvidia-modprobe -u -c 0", f"{RUNTIME}#142"),
    Mistake(
        "mig-without-instances", "warning", "GPUs are in MIG mode without instances: CUDA sees nothing of them",
        "nvidia-smi mig -cgi PROFILE -C makes instances; nvidia-smi -i GPU -mig 0 ends MIG mode", f"{PLUGIN}#806"),
    Mistake(
        "mig-capability-missing", "error", "capability nodes of MIG instances are missing: no container can have these",
        "nvidia-modprobe -f /proc/driver/nvidia/capabilities/gpuN/mig/giN/access, and the same for ciN, make them",
        f"{TOOLKIT}#86"),
    Mistake(
        "fabric-manager-not-running", "error",
        "the machine has NVSwitches and no fabric manager runs: CUDA fails with error 802, system not yet initialized",
        "install nvidia-fabricmanager of exactly {version}, then systemctl enable --now nvidia-fabricmanager",
        f"{OPERATOR} documentation: fabric not ready"),
    Mistake(
        "imex-channels-missing", "info", "the driver knows IMEX channels and /dev has none",
        "nvidia-modprobe -i 0 makes the first; only fabrics of several machines need them",
        "NVIDIA/k8s-test-infra#541"),
    # config.toml and the toolkit's programs
    Mistake(
        "config-unusable", "error", "config.toml cannot be used: no NVIDIA container starts",
        "correct the line, or write a new file: nvidia-ctk config default --output={path}"),
    Mistake(
        "config-unknown-key", "warning", "config.toml has a key that nothing reads", "correct its name, or remove it",
        f"{TOOLKIT}#108"),
    Mistake("config-mode-unknown", "error", "{mode!r} is no mode of the runtime", "one of auto, {modes}"),
    Mistake(
        "no-cgroups-as-root", "warning",
        "no-cgroups = true is for rootless engines: in legacy mode, containers of root get nodes they may not open",
        "set it to false, and give the rootless engine a config.toml of its own", f"{TOOLKIT}#381"),
    Mistake(
        "unprivileged-variables-ignored", "info", "NVIDIA_VISIBLE_DEVICES of unprivileged containers does not count",
        "ask by --gpus, CDI or volume mounts; tell the device plugin, too (DEVICE_LIST_STRATEGY)", f"{PLUGIN}#203"),
    Mistake(
        "ldconfig-missing", "error", "the configured ldconfig does not exist",
        'nvidia-container-cli.ldconfig = "@/sbin/ldconfig", or where this distribution has it', "hekmak/Conf-net#5"),
    Mistake(
        "ldconfig-is-a-script", "error", "the configured ldconfig is a script, which cannot run in a container",
        'name the program that it calls: nvidia-container-cli.ldconfig = "@/…"', f"{DOCKER}#587"),
    Mistake(
        "ldconfig-of-the-image", "error", "ldconfig would be the image's: a hostile image could run as the engine does",
        'nvidia-container-cli.ldconfig = "@/sbin/ldconfig", the host\'s', "CVE-2024-0136"),
    Mistake(
        "program-missing", "error", "programs of the toolkit are not on PATH",
        "install nvidia-container-toolkit; if it is installed elsewhere, put its folder on the PATH of the engine",
        f"{DOCKER}#1642"),
    Mistake(
        "low-level-runtime-missing", "error", "neither runc nor crun is on PATH",
        "install one, or name it in nvidia-container-runtime.runtimes"),
    # CDI files
    Mistake(
        "cdi-conflict", "error", "two CDI files of one folder define the same device: nobody can have it",
        "remove the file that nothing writes any more", f"{TOOLKIT}#146"),
    Mistake("cdi-file-unusable", "error", "a CDI file cannot be read", REGENERATE),
    Mistake(
        "cdi-file-stale", "error", "a CDI file names what is no longer there: its containers do not start",
        f"{REGENERATE}; the unit nvidia-cdi-refresh does so at boot and after upgrades", f"{TOOLKIT}#885"),
    Mistake(
        "cdi-file-of-another-driver", "warning", "a CDI file was made for another driver version", REGENERATE,
        f"{TOOLKIT}#1611"),
    Mistake(
        "cdi-version-too-new", "error", "{engine} {version} cannot read a CDI file of this version",
        "update {engine}, or leave out what is new: nvidia-ctk cdi generate "
        "--feature-flag=no-additional-gids-for-device-nodes", f"{TOOLKIT}#1860"),
    # Engines
    Mistake(
        "engine-configuration-unusable", "error", "{engine} does not start with its configuration",
        "correct the file; the log of {engine} names the line"),
    Mistake(
        "docker-without-runtime", "info",
        "docker knows no NVIDIA runtime: --gpus and CDI work without it, --runtime=nvidia does not",
        "nvidia-ctk runtime configure --runtime=docker, then restart docker", f"{DOCKER}#1642"),
    Mistake(
        "engine-without-runtime", "warning", '{engine} says: no runtime for "nvidia" is configured',
        "nvidia-ctk runtime configure --runtime={engine}, then restart {engine}", f"{OPERATOR}#730"),
    Mistake(
        "runtime-program-missing", "error", "{engine} is told of a runtime that is not there",
        "install the toolkit, or correct the path"),
    Mistake(
        "containerd-cri-disabled", "error", "containerd's CRI plugin is disabled: a kubelet cannot use it",
        'remove "cri" from disabled_plugins', f"{TOOLKIT}#1430"),
    Mistake(
        "containerd-drop-in-not-imported", "error", "containerd does not import the folder that holds a drop-in file",
        'imports = ["/etc/containerd/conf.d/*.toml"]', f"{TOOLKIT}#1404"),
    Mistake(
        "gpus-lost-on-daemon-reload", "warning",
        "containers lose their GPUs when systemd reloads: in legacy mode the engine does not know their device rules",
        'nvidia-container-runtime.mode = "auto", or ask for GPUs by CDI', f"{TOOLKIT}#48"),
    Mistake(
        "dev-char-links-missing", "warning",
        "/dev/char has no links to NVIDIA's nodes: some versions of runc need them to allow a device through systemd",
        "nvidia-ctk system create-dev-char-symlinks --create-all, at each boot", f"{OPERATOR}#430"),
    Mistake(
        "selinux-enforcing", "info", "SELinux enforces: containers need a label that may use devices",
        "setsebool -P container_use_devices on, or --security-opt label=disable for one container",
        "NVIDIA documentation: insufficient permissions"),
    # WSL 2 and Tegra
    Mistake(
        "wsl-without-dxg", "error", "/dev/dxg is missing: this is WSL 1, or its kernel has no GPU support",
        "wsl --set-version DISTRIBUTION 2, wsl --update, wsl --shutdown", f"{DOCKER}#1542"),
    Mistake(
        "wsl-dxcore-missing", "error", "libdxcore.so is nowhere: the toolkit takes WSL 2 for plain Linux",
        "wsl --update", f"{DOCKER}#1542"),
    Mistake(
        "wsl-dxcore-not-in-ldcache", "error",
        "libdxcore.so is on disk, and the loader does not find it: the toolkit takes WSL 2 for plain Linux",
        "name its folder in a file of /etc/ld.so.conf.d, then ldconfig", f"{TOOLKIT}#1739"),
    Mistake(
        "wsl-no-adapter", "error", "WSL 2 shows no adapter of NVIDIA's",
        "install the NVIDIA driver on Windows, none in WSL; then wsl --shutdown", f"{TOOLKIT}#155"),
    Mistake(
        "wsl-linux-driver-installed", "error", "a Linux driver is installed inside WSL 2 and hides the one of Windows",
        "remove the packages nvidia-driver-* and libnvidia-compute-*", f"{TOOLKIT}#972"),
    Mistake(
        "tegra-without-csv", "error", "a Tegra system without mount lists: containers get no driver",
        "apt-get install nvidia-l4t-init, or nvidia-container-csv-* before JetPack 6", f"{RUNTIME}#173"),
    Mistake(
        "tegra-csv-stale", "info", "the mount lists name what this board does not have",
        "usual for nodes of other boards; if libraries are among them, reinstall nvidia-l4t-*", f"{RUNTIME}#123"),
    Mistake(
        "tegra-in-legacy-mode", "error", "legacy mode does not work on Tegra: the CLI knows no integrated GPU",
        'nvidia-container-runtime.mode = "auto"; and --runtime=nvidia, for `docker run --gpus` calls the hook',
        "NVIDIA/TensorRT-LLM#799"),
)}


def found(name: str, *evidence: str, **values: object) -> Finding:
    """A finding of a mistake, with the values that its texts ask for."""
    mistake = MISTAKES[name]
    return Finding(name, mistake.severity, mistake.what.format(**values), evidence, mistake.remedy.format(**values),
                   mistake.report)
