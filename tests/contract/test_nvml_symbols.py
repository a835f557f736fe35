"""What libnvidia-ml.so.1 looks like to a loader: an independent reader (pyelftools) looks at it."""

import pytest
import yaml
from elftools.elf.elffile import ELFFile

from nvsim import board, build, catalogue, profile
from nvsim.errors import NvsimError
from nvsim.native import branches, generate, generate_nvml_doc
from nvsim.native.compile import artifact, compile_all

OLDEST_GLIBC = (2, 17)


@pytest.fixture(scope="module")
def elf():
    with open(compile_all("libnvidia-ml.so")[0], "rb") as f:
        yield ELFFile(f)


def dynamic(elf, tag):
    return [getattr(t, tag[3:].lower()) for t in elf.get_section_by_name(".dynamic").iter_tags(tag)]


def exported(elf):
    return {s.name for s in elf.get_section_by_name(".dynsym").iter_symbols()
            if s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["bind"] == "STB_GLOBAL"}


def test_the_soname_is_that_of_the_real_one(elf):
    assert dynamic(elf, "DT_SONAME") == ["libnvidia-ml.so.1"]


def test_exactly_the_functions_of_the_newest_header_are_exported(elf):
    assert exported(elf) == set(generate.exports())
    assert len(exported(elf)) == 439


@pytest.mark.parametrize("variant", branches.VARIANTS)
def test_each_variant_exports_what_its_branch_does(variant):
    compile_all("libnvidia-ml.so")
    branch, early = branches.branch_of(variant)
    with open(artifact(branches.library(variant)), "rb") as f:
        assert exported(ELFFile(f)) == set(generate.exports(branch, early=early))


BASE = {"libc.so.6", "libpthread.so.0", "libdl.so.2"}


@pytest.mark.parametrize(("variant", "further"), [
    ("470", set()), ("525", {"libm.so.6"}), ("535", {"libm.so.6", "librt.so.1"}), ("550", {"libm.so.6", "librt.so.1"})])
def test_each_variant_needs_the_libraries_of_its_branch(variant, further):
    compile_all("libnvidia-ml.so")
    with open(artifact(branches.library(variant)), "rb") as f:
        assert set(dynamic(ELFFile(f), "DT_NEEDED")) == BASE | further


@pytest.mark.parametrize(("version", "variant"), [
    ("470.256.02", "470"), ("495.46", "470"), ("535.54.03", "535.43"), ("535.86.10", "535.43"), ("535.98", "535"),
    ("535.261.03", "535"), ("550.54.15", "550"), ("565.77", "560"), ("610.43.03", "610"), ("999.10", "615"),
    ("390.157", "470")])
def test_a_driver_version_has_the_variant_of_its_branch(version, variant):
    assert branches.variant_of(version) == variant


@pytest.mark.parametrize(("branch", "facts"), catalogue._read("drivers.yaml")["branches"].items())
def test_every_branch_of_the_catalogue_exports_what_its_variant_does(branch, facts):
    variant, early = branches.branch_of(branches.variant_of(facts["version"]))
    assert generate.exports(variant, early=early) == generate.exports(branch)


@pytest.mark.parametrize(("version", "branch"), [("470.256.02", 470), ("535.261.03", 535), ("580.105.08", 580)])
def test_a_host_has_the_library_of_its_driver(tmp_path, version, branch):
    compile_all()
    wanted = profile.of({"profile": "t4x1", "driver": version}, "host")
    machine = build.build(wanted, str(tmp_path / "host"), nodes=False)
    path = next(path for path in machine.boards if "libnvidia-ml" in path)
    with open(f"{tmp_path}/host{path}", "rb") as f:
        assert exported(ELFFile(f)) == set(generate.exports(branch))


def test_old_drivers_lack_what_clients_look_for():
    asked = ("nvmlDeviceGetMigMode", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3",
             "nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetTemperatureV")
    has = {branch: [name in generate.exports(branch) for name in asked] for branch in (470, 525, 550, 580)}
    assert has == {470: [True, False, False, False, False], 525: [True, True, True, False, False],
                   550: [True, True, True, True, False], 580: [True] * 5}
    lost = set(generate.exports(535)) - set(generate.exports(535, early=True))
    assert lost == {"nvmlDeviceGetRunningProcessDetailList", "nvmlDeviceGetLastBBXFlushTime",
                    "nvmlDeviceGetSramEccErrorStatus"}


def test_exported_functions_carry_no_version_tag(elf):
    versions = elf.get_section_by_name(".gnu.version")
    symbols = enumerate(elf.get_section_by_name(".dynsym").iter_symbols())
    tags = {s.name: versions.get_symbol(i)["ndx"] for i, s in symbols if s.name.startswith("nvml")}
    assert set(tags.values()) == {"VER_NDX_GLOBAL"}
    assert elf.get_section_by_name(".gnu.version_d") is None


def test_nothing_newer_than_glibc_2_17_is_needed(elf):
    needed = [aux.name for _, auxes in elf.get_section_by_name(".gnu.version_r").iter_versions() for aux in auxes]
    assert needed
    for name in needed:
        assert tuple(map(int, name.removeprefix("GLIBC_").split("."))) <= (*OLDEST_GLIBC, 99), name


def test_the_board_is_read_only_page_aligned_and_free_of_relocations(elf):
    section = elf.get_section_by_name(board.SECTION)
    start, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
    assert (section["sh_flags"], section["sh_offset"] % 4096, start % 4096) == (2, 0, 0)
    segment = next(s for s in elf.iter_segments("PT_LOAD")
                   if s["p_vaddr"] <= start and end <= s["p_vaddr"] + s["p_filesz"])
    assert segment["p_flags"] == 4, "a page that the loader writes to is no longer the file's"
    relocations = elf.get_section_by_name(".rela.dyn").iter_relocations()
    assert not [r for r in relocations if start <= r["r_offset"] < end]


@pytest.mark.parametrize(("branch", "count"), [(470, 255), (525, 312), (535, 332), (550, 350), (555, 354)])
def test_a_driver_branch_exports_as_many_functions_as_were_counted_in_it(branch, count):
    assert len(generate.exports(branch)) == count
    assert generate.exports_map(branch).count(";\n") == count + 2


def test_functions_that_left_the_header_are_not_in_the_newest_branch():
    gone = {f.name for f in generate.functions()} - set(generate.exports())
    assert gone == {"nvmlDeviceCcuGetStreamState", "nvmlDeviceCcuSetStreamState", "nvmlDeviceGetPowerMode",
                    "nvmlDeviceGetSupportedPowerModes", "nvmlDeviceSetPowerMode", "nvmlRetry_NvRmControl"}


# docs/nvml.md

def test_every_function_is_in_the_documentation_with_a_reason_unless_the_board_answers():
    known = generate_nvml_doc.answers([f.name for f in generate.functions()])
    assert len(known) == 445
    assert all(answer.how.strip("`. ") for answer in known.values())
    assert known["nvmlDeviceGetTemperature"] == ("board", "`thermal.c`")
    assert known["nvmlDeviceGetBusType"].kind == "constant"
    assert known["nvmlDeviceSetDriverModel"] == ("not supported", "driver models are of Windows")


def test_a_function_of_which_nothing_is_said_is_an_error():
    with pytest.raises(NvsimError, match="nvmlDeviceGetNonsense"):
        generate_nvml_doc.answers(["nvmlDeviceGetNonsense"])


def test_no_reason_is_left_over():
    facts = yaml.safe_load(generate_nvml_doc.CATALOG.read_text())
    known = generate_nvml_doc.answers([f.name for f in generate.functions()])
    assert [name for name in facts["constant"] if known[name].kind != "constant"] == []
    given = {answer.how for answer in known.values()}
    assert [entry["match"] for entry in facts["unsupported"] if entry["why"] not in given] == []
