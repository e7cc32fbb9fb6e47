import { expect, test } from "vitest";
import { readContract } from "../../src/contract";

const SPEC = { height: 8, width: 8, channels: 1, layout: "HWC", color_order: "GRAY", mean: [0], std: [255] };
const ARTIFACT = {
  name: "base-int8",
  file: "base-int8.tflite",
  target: "tflite",
  scheme: "int8",
  size_bytes: 1234,
  compressed_bytes: 1000,
  sha256: "00",
  input: { name: "image", dtype: "float32", shape: [1, 8, 8, 1] },
  output: { name: "scores", dtype: "uint8", shape: [1, 10], quantization: { scale: 0.00390625, zero_point: 0 } },
};
const CONTRACT = {
  schema_version: 1,
  model: "digits",
  edgecls_version: "0.1.0",
  labels: ["zero", "one"],
  output_kind: "softmax",
  image_spec: SPEC,
  artifacts: [ARTIFACT],
  golden: null,
};

function reading(changes: object) {
  return () => readContract(JSON.stringify({ ...CONTRACT, ...changes }));
}

test("what an older spec does not say has its default", () => {
  const { image_spec } = reading({})();
  expect([image_spec.fit, image_spec.filter, image_spec.pad_color]).toEqual(["squeeze", "bilinear-antialiased", [0, 0, 0]]);
});

test("the spec for results.json is the one of the file", () => {
  expect(reading({ image_spec: { ...SPEC, note: "why" } })().recorded_spec).toEqual({ ...SPEC, note: "why" });
});

test("quantization is read where there is one", () => {
  const [artifact] = reading({})().artifacts;
  expect([artifact.input.quantization, artifact.output.quantization]).toEqual([null, { scale: 1 / 256, zero_point: 0 }]);
});

test.each([
  ["another version", { schema_version: 2 }, "edgecls.json has schema version 2, and this page reads version 1"],
  ["no version", { schema_version: undefined }, "edgecls.json: expected a number as schema_version, found nothing."],
  ["a wrong type", { labels: [1] }, "edgecls.json: expected a list of texts as labels, found [1]."],
  [
    "an unknown fit",
    { image_spec: { ...SPEC, fit: "stretch" } },
    "edgecls.json, image_spec: expected one of squeeze, crop, pad as fit",
  ],
  ["two channels", { image_spec: { ...SPEC, channels: 2 } }, "The model takes 2 channels"],
  ["a deviation of 0", { image_spec: { ...SPEC, std: [0] } }, "preprocessing is damaged"],
  [
    "an artifact without file",
    { artifacts: [ARTIFACT, { ...ARTIFACT, file: 3 }] },
    "edgecls.json, artifacts 2: expected a text as file, found 3.",
  ],
])("%s is a sentence", (_, changes, sentence) => {
  expect(reading(changes)).toThrow(sentence);
});

test("a damaged file is a sentence", () => {
  expect(() => readContract("{")).toThrow("edgecls.json is damaged: run edgecls embed again.");
});
