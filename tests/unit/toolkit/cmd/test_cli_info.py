"""info: its two forms, to the character."""

from toolkit.cmd.cli.info import text_of
from toolkit.gather.legacy_nvml import Nvml
from toolkit.model.native import Gpu

GPU = Gpu(
    index=0,
    minor=3,
    uuid="GPU-5fd4f087-86f3-7a43-b711-4771313afc50",
    bus_id="00000000:07:00.0",
    name="NVIDIA A100-SXM4-40GB",
    brand="Nvidia",
    architecture="8.0",
)
ONE = Nvml(version="550.54.14", cuda_version="12.4", gpus=(GPU,))


def test_the_text_form_has_a_block_per_gpu() -> None:
    assert text_of(ONE, csv=False) == (
        "NVRM version:   550.54.14\n"
        "CUDA version:   12.4\n"
        "\n"
        "Device Index:   0\n"
        "Device Minor:   3\n"
        "Model:          NVIDIA A100-SXM4-40GB\n"
        "Brand:          Nvidia\n"
        "GPU UUID:       GPU-5fd4f087-86f3-7a43-b711-4771313afc50\n"
        "Bus Location:   00000000:07:00.0\n"
        "Architecture:   8.0\n"
    )


def test_the_csv_form_has_two_tables() -> None:
    assert text_of(ONE, csv=True) == (
        "NVRM version,CUDA version\n550.54.14,12.4\n\n"
        "Device Index,Device Minor,Model,Brand,GPU UUID,Bus Location,Architecture\n"
        "0,3,NVIDIA A100-SXM4-40GB,Nvidia,GPU-5fd4f087-86f3-7a43-b711-4771313afc50,00000000:07:00.0,8.0\n"
    )


def test_without_gpus_the_second_table_is_empty() -> None:
    nobody = ONE._replace(gpus=())
    assert text_of(nobody, csv=False) == "NVRM version:   550.54.14\nCUDA version:   12.4\n"
    assert text_of(nobody, csv=True).endswith(
        "\n\nDevice Index,Device Minor,Model,Brand,GPU UUID,Bus Location,Architecture\n"
    )


def test_a_name_cannot_forge_a_line() -> None:
    forged = ONE._replace(gpus=(GPU._replace(name="x\nGPU UUID:       GPU-forged"),))
    assert len(text_of(forged, csv=False).splitlines()) == 10
