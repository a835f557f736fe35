"""`nvsim draft`: reports become cases that run, nothing personal travels, any bytes give a draft or an error."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvsim import cli
from nvsim.errors import NvsimError
from scenarios import checks, model
from scenarios.draft import command, pieces
from scenarios.draft.facts import Facts, Gpu, merged
from scenarios.engines import spec
from scenarios.engines.session import Tools
from scenarios.images import Store

REPORTS = Path(__file__).resolve().parents[2] / "corpus" / "reports"
NAMES = sorted(path.name for path in REPORTS.iterdir())
# Invented names, addresses, tokens and numbers of the reports in the corpus.
PRIVATE = ("maria", "render-07", "10.20.30.41", "172.17.0.1", "fd00:", "ml-batch-2", "hf_invented", "registry.internal",
           "a100-node-3", "slurm", "dgx01", "jdoe", "inference-a", "1320000012345", "1325000099999", "kvm-guest-12",
           "worker-4", "0badc0de", "feedface", "00000000-aaaa", "5ca1ab1e", "d00dfeed", "7e57ab1e", "erika",
           "laptop-7qx2", "LAPTOP-7QX2", "gpu-worker-11", "10.42", "beefcafe", "hpc-gpu-23", "c0dec0de", "team-a")
LINES = [line for name in NAMES if (REPORTS / name).is_file()
         for line in (REPORTS / name).read_bytes().splitlines(keepends=True)]
# What this toolkit does otherwise than the reporter's, which was older.
REPAIRED = {"must-gather": "expected the container not to start, but nothing stops it"}


def drafted(path: Path, **options: bool) -> str:
    return command.of(pieces.read([str(path)]), **options)[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_becomes_a_draft_that_was_reviewed(name: str, golden: Callable[[str, str], None]) -> None:
    text = re.sub(r"; replayed by \S+$", "", drafted(REPORTS / name), flags=re.MULTILINE)  # cases come and go
    golden(f"drafts/{Path(name).stem}.yaml", text)


@pytest.mark.parametrize("name", NAMES)
def test_the_drafted_machine_fails_as_the_reporters_did(name: str, tmp_path: Path) -> None:
    case = model.parse(drafted(REPORTS / name), str(tmp_path / "case.yaml"))[0]
    tools = Tools(folder=str(tmp_path), images=Store(str(tmp_path / "images")), toolkit="", probe="")
    with spec.ENGINE.open(case, str(tmp_path), tools) as session:
        verdicts = [checks.judge(step.expect.at(case.mode, "spec"), session.do(step, step.expect))
                    for step in case.steps]
    differences = [text for verdict in verdicts for _, text in verdict.differences]
    assert differences == ([REPAIRED[name]] if name in REPAIRED else [])


@pytest.mark.parametrize("name", NAMES)
def test_names_addresses_and_numbers_do_not_travel(name: str) -> None:
    text = drafted(REPORTS / name)
    assert [word for word in PRIVATE if word in text] == []


def test_a_uuid_is_replaced_by_the_same_one_everywhere_or_kept() -> None:
    report = REPORTS / "old-driver-new-image.md"
    case = yaml.safe_load(drafted(report))
    assert case["host"]["gpus"][0]["uuids"][0] in case["steps"][0]["run"]
    assert "GPU-0badc0de-1234-4321-8765-0123456789ab" in drafted(report, keep_uuids=True)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.one_of(st.binary(max_size=400), st.lists(st.sampled_from(LINES), max_size=30).map(b"".join)))
def test_any_bytes_give_a_draft_or_an_error(content: bytes) -> None:
    text = pieces.decoded(content)
    report = (pieces.Piece(source="r", text=text), *(pieces.Piece(source="r", text=b, whole=False)
                                                    for b in pieces.blocks(text)))
    with contextlib.suppress(NvsimError):
        model.parse(command.of(report)[1], "draft")


def test_what_says_nothing_about_gpus_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("The weather was fine.\n")
    with pytest.raises(NvsimError) as caught:
        drafted(tmp_path / "r.txt")
    assert caught.value.source.endswith("r.txt") and "--help" in caught.value.hint


def test_the_command_writes_a_file_once_and_tells_what_it_assumed(tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "case.yaml"
    words = ["draft", str(REPORTS / "no-driver.txt"), "-o", str(out)]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert "assumed host.driver" in said.err and "near: NVIDIA/libnvidia-container#231" in said.err and not said.out
    assert model.load_file(str(out))[0].host.driver == ""
    before = out.read_bytes()
    assert (cli.main(words), out.read_bytes()) == (1, before)
    assert "the file exists" in capsys.readouterr().err
    assert cli.main([*words, "--force"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case.yaml"]


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["draft", "/nowhere/report.md"]) == 1
    assert "/nowhere/report.md" in capsys.readouterr().err


def test_outputs_complete_each_other() -> None:
    table = Facts(gpus=(Gpu(index=0, name="NVIDIA A100-SXM...", bus_id="0000:07:00.0", memory_mib=81920),))
    listed = Facts(gpus=(Gpu(index=0, name="NVIDIA A100-SXM4-80GB", uuid="GPU-1"),), driver="550.54.15")
    assert merged((table, listed)) == Facts(driver="550.54.15", gpus=(
        Gpu(index=0, name="NVIDIA A100-SXM4-80GB", uuid="GPU-1", bus_id="0000:07:00.0", memory_mib=81920),))
