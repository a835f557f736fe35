"""The spec file of the packages."""

from pathlib import Path

from contents import BASE, MODULES, PACKAGES, TOOLKIT, Package

UNITS = "nvidia-cdi-refresh.path nvidia-cdi-refresh.service"
SYSTEMD = "[ -d /run/systemd/system ]"
STATE = "/var/lib/rpm-state/nvidia-container-toolkit"
HOOK, LINK = "/usr/bin/nvidia-container-runtime-hook", "/usr/bin/nvidia-container-toolkit"
WANTS = "/etc/systemd/system/multi-user.target.wants"

# The scripts of each package.  $1 is how many of its versions are installed afterwards.
SCRIPTS = {
    BASE: f"""
%post -n {BASE}
/usr/bin/python3 -IS -m compileall -q {MODULES} || :
/usr/bin/nvidia-ctk --quiet config --config-file=/etc/nvidia-container-runtime/config.toml --in-place
if [ "$1" = 1 ] && command -v systemctl >/dev/null; then
    systemctl --no-reload preset {UNITS} >/dev/null 2>&1 || :
fi

%preun -n {BASE}
if [ "$1" = 0 ]; then
    find {MODULES} -name __pycache__ -prune -exec rm -rf {{}} +
    if {SYSTEMD}; then systemctl --no-reload disable --now {UNITS} >/dev/null 2>&1 || :; fi
fi

%postun -n {BASE}
if {SYSTEMD}; then systemctl daemon-reload >/dev/null 2>&1 || :; fi

%posttrans -n {BASE}
# Units that were enabled while they lay in /etc, before version 1.18.1, lead nowhere now.
again=
for unit in {UNITS}; do
    case "$(readlink "{WANTS}/$unit" 2>/dev/null)" in
    "/etc/systemd/system/$unit" | "../$unit") rm -f "{WANTS}/$unit"; again="$again $unit" ;;
    esac
done
if {SYSTEMD}; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    [ -z "$again" ] || systemctl enable $again >/dev/null 2>&1 || :
    udevadm control --reload-rules >/dev/null 2>&1 || :
    for unit in {UNITS}; do systemctl start "$unit" >/dev/null 2>&1 || :; done
fi
""",
    TOOLKIT: f"""
%post
# A removal of an old version after this one's installation may take the hook with it; %posttrans brings it back.
if [ "$1" -gt 1 ]; then
    mkdir -p {STATE}
    cp -af {HOOK} {STATE}
fi

%posttrans
if [ ! -e {HOOK} ] && [ -e {STATE}/nvidia-container-runtime-hook ]; then
    cp -avf {STATE}/nvidia-container-runtime-hook /usr/bin
fi
rm -rf {STATE}
ln -sf {HOOK} {LINK}

%postun
if [ "$1" = 0 ] && [ -L {LINK} ]; then rm -f {LINK}; fi
""",
}


def text(stage: Path, version: str, release: str) -> str:
    """The spec file for the files below stage/PACKAGE."""
    main, *others = sorted(PACKAGES, key=lambda package: package.name != TOOLKIT)
    parts = [
        f"Name: {TOOLKIT}\nVersion: {version}\nRelease: {release}\nLicense: Apache-2.0\nBuildArch: noarch\n"
        "%global __os_install_post %{nil}\n%global source_date_epoch_from_changelog 0\n"
        # The launchers and modules run with the interpreter that Requires names, and with nothing else.
        "AutoReqProv: no\n",
        _header(main, version, release), "%description\n" + _about(main),
    ]
    for package in others:
        parts += [f"%package -n {package.name}\n" + _header(package, version, release),
                  f"%description -n {package.name}\n" + _about(package)]
    parts.append(f"%install\nmkdir -p %{{buildroot}}\n"
                 f"for package in {stage}/*; do cp -a \"$package\"/. %{{buildroot}}/; done\n")
    parts += [SCRIPTS[package.name].strip() + "\n" for package in PACKAGES if package.name in SCRIPTS]
    parts += [_files(package, stage / package.name, main=package is main) for package in (main, *others)]
    return "\n".join(parts)


def _header(package: Package, version: str, release: str) -> str:
    lines = [f"Summary: {package.summary}", "AutoReqProv: no"]
    lines += [f"Requires: {_relation(name, version, release)}" for name in package.depends]
    lines += [f"Obsoletes: {_relation(name, version, release)}" for name in package.obsoletes]
    lines += [f"Provides: {name}" for name in package.provides]
    lines += [f"Conflicts: {_relation(name, version, release)}" for name in package.conflicts]
    return "\n".join(lines) + "\n"


def _relation(relation: str, version: str, release: str) -> str:
    """Debian's "name (<< version)" in RPM's words."""
    plain = relation.replace("VERSION", f"{version}-{release}").replace("<<", "<")
    return plain.replace("(", "").replace(")", "")


def _about(package: Package) -> str:
    return f"{package.summary}.\nMakes NVIDIA GPUs usable in containers.  The programs are Python.\n"


def _files(package: Package, root: Path, *, main: bool) -> str:
    lines = ["%files" if main else f"%files -n {package.name}", "%defattr(-,root,root,-)"]
    for path in sorted(root.rglob("*")):
        place = f"/{path.relative_to(root)}"
        if path.is_dir():
            if place.startswith(MODULES) or place == "/etc/nvidia-container-toolkit":
                lines.append(f"%dir {place}")
        else:
            mark = "%config(noreplace) " if place.startswith("/etc/") else "%license " if "copyright" in place else ""
            lines.append(mark + place)
    return "\n".join(lines) + "\n"
