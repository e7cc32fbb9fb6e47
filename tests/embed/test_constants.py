"""Files of typed constants: each value in its language, whatever the labels are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgecls.embed.app import App
from edgecls.embed.platforms import PLATFORMS
from edgecls.records.app_contract import AppContract, Border, EmbeddedArtifact
from edgecls.records.image_spec import ImageSpec

LABELS = ["cat", 'a "quoted" one', "C:\\new\\beta\\ufo", "$cost and ${price}", "\\(swift)", "tab\tand\x07bell", "كلب", "🦔"]
ARTIFACT = EmbeddedArtifact(
    name="base-tflite-int8", file="base-tflite-int8.tflite", target="tflite", scheme="int8", size_bytes=1_234_567,
    compressed_bytes=1, sha256="0", input=Border(name="i", dtype="float32", shape=[1]), output=Border(name="o", dtype="float32", shape=[1]),
)  # fmt: skip
CONTRACT = AppContract(
    model="flowers.h5",
    edgecls_version="0.1.0",
    source_sha256="0",
    labels=LABELS,
    output_kind="softmax",
    image_spec=ImageSpec(
        height=96, width=128, channels=3, mean=(123.675, 116.28, 1e-05), std=(58.395, 57.12, 57.375), fit="crop", crop_share=0.875
    ),
    artifacts=[ARTIFACT],
)
APP = App(root=Path(), folder="f", packed="f", code="c", namespace="org.example")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def strings(source: str) -> list[str]:
    """The text of every literal, the languages' own escapes undone."""
    found = [re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: f"\\u{code[1]:0>4}", literal) for literal in STRING.findall(source)]
    found = [literal.replace("\\$", "$") for literal in found]
    return [json.loads(literal) for literal in found]


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_value_is_there(name: str) -> None:
    source = PLATFORMS[name].constants(APP, CONTRACT)
    assert [text for text in strings(source) if text in LABELS] == LABELS
    assert {"flowers.h5", "base-tflite-int8", "RGB", "crop", "bilinear-antialiased"} <= set(strings(source))
    assert "1_234_567" in source
    for value in (96, 128, 123.675, 58.395, 0.875):
        assert str(value) in source
    assert source.count("{") == source.count("}") and source.count("(") == source.count(")")
    assert all(line == line.rstrip() for line in source.splitlines()) and source.endswith(
        "}\n" if name != "web" else "as const;\n"
    )


def test_nothing_in_a_label_is_a_template() -> None:
    kotlin = PLATFORMS["android"].constants(APP, CONTRACT)
    assert not re.search(r"(?<!\\)\$", kotlin)
    swift = PLATFORMS["ios"].constants(APP, CONTRACT)
    assert r'"\\(swift)"' in swift
    assert r"\u{7}" in swift
