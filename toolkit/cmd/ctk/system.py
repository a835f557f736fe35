"""nvidia-ctk system: device nodes of the driver and their links in /dev/char.

Source: toolkit v1.20, cmd/nvidia-ctk/system.
"""

from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.cmd.ctk.logs import log_of
from toolkit.errors import HostError, ToolkitError


def create_device_nodes(values: Values) -> int:
    """Loads the modules, if asked to, then makes the control nodes; those that exist are left alone."""
    from toolkit.apply.char_devices import load_modules
    from toolkit.plan.char_devices import MODULES

    log = log_of(values)
    root, dev_root = values.text("root"), values.text("dev-root")
    if not dev_root:
        dev_root = root
        log.info(f'Using dev-root "{root}"')
    if values.switch("load-kernel-modules"):
        load_modules(MODULES, root, log, dry=values.switch("dry-run"))
    if values.switch("control-devices"):
        _make_control_nodes(values, dev_root, say_where=True)
    return 0


def _make_control_nodes(values: Values, dev_root: str, *, say_where: bool = False) -> None:
    """The nodes below a dev root; all their majors are known before the first is made."""
    import posixpath

    from toolkit.apply.char_devices import make_node
    from toolkit.gather.char_devices import read_majors
    from toolkit.gather.tree import Tree
    from toolkit.plan.char_devices import NONE, control_nodes

    log = log_of(values)
    majors = read_majors(Tree())
    if not majors:
        raise HostError(f"failed to create devices info: {NONE}", source="/proc/devices",
                        hint="load the driver's kernel modules, or use --load-kernel-modules")
    if say_where:
        log.info(f"Creating control device nodes at {dev_root}")
    stem = "failed to create NVIDIA control device nodes: "
    try:
        nodes = control_nodes(majors)
        for node in nodes:
            path = posixpath.normpath(posixpath.join(dev_root, node.path.lstrip("/")))
            make_node(path, node.major, node.minor, log, dry=values.switch("dry-run"))
    except ToolkitError as e:
        raise _within(stem, e) from None


def create_dev_char_symlinks(values: Values) -> int:
    """Links in /dev/char to the nodes there are, or with --create-all to those that there may be."""
    from toolkit.apply.char_devices import load_modules, make_links
    from toolkit.gather.devices import read_devices, read_mig_minors
    from toolkit.gather.tree import Tree
    from toolkit.plan.char_devices import IN_DEV, MODULES, existing_nodes

    log = log_of(values)
    dry, all_nodes = values.switch("dry-run"), values.switch("create-all")
    for name in ("load-kernel-modules", "create-device-nodes"):
        if values.switch(name) and not all_nodes:
            log.warning(f"{name} is only applicable when create-all is set; ignoring")
    try:
        if all_nodes and values.switch("load-kernel-modules"):
            load_modules(MODULES, values.text("driver-root"), log, dry=dry)
        if all_nodes and values.switch("create-device-nodes"):
            _make_control_nodes(values, "/")
        tree = Tree()
        nodes = _possible(tree, read_mig_minors(tree)) if all_nodes else existing_nodes(
            read_devices(tree, "/", IN_DEV))
    except ToolkitError as e:
        raise _within("failed to create symlink creator: ", e) from None
    if not nodes:
        log.info("No NVIDIA devices found in /")
    links = tuple((f"{node.major}:{node.minor}", node.path) for node in nodes)
    make_links(links, values.text("dev-char-path"), log, dry=dry)
    return 0


def _possible(tree: "Tree", caps: tuple[tuple[str, int], ...]) -> "tuple[Node, ...]":
    from toolkit.gather.char_devices import read_gpu_count, read_majors
    from toolkit.plan.char_devices import NONE, possible_nodes

    majors = read_majors(tree)
    stem = "failed to create all possible device lister: "
    if not majors:
        raise HostError(f"{stem}failed reading device majors: {NONE}", source="/proc/devices",
                        hint="load the driver's kernel modules, or use --load-kernel-modules")
    try:
        return possible_nodes(majors, read_gpu_count(tree), caps)
    except ToolkitError as e:
        raise _within(stem, e) from None


def _within(stem: str, error: ToolkitError) -> ToolkitError:
    return type(error)(stem + error.message, source=error.source, hint=error.hint)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.gather.tree import Tree
    from toolkit.plan.char_devices import Node

LINKS = Command(
    name="create-dev-char-symlinks",
    usage="Link the driver's device nodes in /dev/char, where low-level runtimes look them up",
    run=create_dev_char_symlinks,
    flags=(
        Flag("dev-char-path", "The folder of the links, which are named MAJOR:MINOR", "/dev/char",
             env=("DEV_CHAR_PATH",), shown="DEV_CHAR"),
        Flag("driver-root", "The root whose modprobe loads the modules; nodes are those of /dev", "/",
             env=("NVIDIA_DRIVER_ROOT", "DRIVER_ROOT"), shown="DRIVER_ROOT"),
        Flag("create-all", "Link every node that the driver may make for these GPUs, not only those there are", False,
             env=("CREATE_ALL",)),
        Flag("load-kernel-modules", "Load the driver's modules first; only with --create-all", False,
             env=("LOAD_KERNEL_MODULES",)),
        Flag("create-device-nodes", "Make the control nodes first; only with --create-all", False,
             env=("CREATE_DEVICE_NODES",)),
        Flag("dry-run", "Say what would be done, and do nothing", False, env=("DRY_RUN",)),
    ),
)
NODES = Command(
    name="create-device-nodes",
    usage="Make the driver's device nodes",
    run=create_device_nodes,
    flags=(
        Flag("root", "The root whose modprobe loads the modules, and below whose /dev the nodes are made", "/",
             aliases=("driver-root",), env=("ROOT", "NVIDIA_DRIVER_ROOT", "DRIVER_ROOT"), shown="ROOT"),
        Flag("dev-root", "The root of /dev, where that is another one", env=("NVIDIA_DEV_ROOT", "DEV_ROOT"),
             shown="/dev"),
        Flag("control-devices", "Make nvidiactl, nvidia-modeset, nvidia-uvm and nvidia-uvm-tools", False),
        Flag("load-kernel-modules", "Load the driver's modules first", False),
        Flag("dry-run", "Say what would be done, and do nothing", False, env=("DRY_RUN",)),
    ),
)
COMMAND = Command(name="system", usage="Tools for the driver's device nodes on this machine", commands=(LINKS, NODES))
