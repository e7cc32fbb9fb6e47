"""The instruction sets a system tells of, in its own words."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edgecls.system import processor
from edgecls.system.processor import instruction_sets, may_saturate

EPYC_ZEN3 = "flags\t\t: fpu sse4_2 fma avx avx2 bmi2 vaes vpclmulqdq"
SAPPHIRE_RAPIDS = "flags\t\t: fpu avx2 avx512f avx512_vnni avx_vnni amx_bf16 amx_tile amx_int8"
CORTEX_A76 = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
MACOS_M2 = "hw.optional.AdvSIMD: 1\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_SME: 0\n"
MACOS_INTEL = "hw.optional.avx2_0: 1\nmachdep.cpu.leaf7_features: RDWRFSGS AVX2 AVX512F AVX512VNNI\n"


@pytest.mark.parametrize(
    ("machine", "text", "expected"),
    [
        ("x86_64", EPYC_ZEN3, ["avx2"]),
        ("x86_64", SAPPHIRE_RAPIDS, ["avx2", "avx512", "vnni", "amx"]),
        ("aarch64", CORTEX_A76, ["neon", "dotprod"]),
        ("aarch64", SAPPHIRE_RAPIDS, []),  # an emulator that shows the processor it runs on
        ("x86_64", "processor\t: 0", []),
    ],
)
def test_linux_tells_instruction_sets(
    machine: str, text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}\n\nprocessor\t: 1\n{text}\n", encoding="utf-8")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert instruction_sets() == expected


@pytest.mark.parametrize(
    ("machine", "text", "expected"),
    [("arm64", MACOS_M2, ["neon", "dotprod", "i8mm"]), ("x86_64", MACOS_INTEL, ["avx2", "avx512", "vnni"])],
)
def test_macos_tells_instruction_sets(machine: str, text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, text, ""))
    assert instruction_sets() == expected


def test_a_system_that_does_not_tell_has_unknown_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "nothing")
    monkeypatch.setattr(sys, "platform", "win32")
    assert instruction_sets() == []


@pytest.mark.parametrize(
    ("machine", "known", "expected"),
    [("x86_64", ["avx2"], True), ("AMD64", [], True), ("x86_64", ["avx2", "vnni"], False), ("aarch64", ["neon"], False)],
)
def test_x86_without_vnni_may_saturate(machine: str, known: list[str], expected: bool) -> None:
    assert may_saturate(machine, known) == expected


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", 4), ("150000 100000", 2), ("800000 100000", 4), ("10000 100000", 1), (None, 4)]
)
def test_a_process_uses_no_more_cores_than_its_container_is_given_time_for(
    text: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "cpu.max").write_text(text + "\n", encoding="ascii")
    monkeypatch.setattr(processor, "CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(processor.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert processor.usable_cores() == cores
