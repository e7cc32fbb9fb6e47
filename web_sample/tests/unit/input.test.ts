import { expect, test } from "vitest";
import type { Artifact, Border, Contract } from "../../src/contract";
import { inputFor, scoresFrom } from "../../src/input";
import type { Picture } from "../../src/picture";

const PICTURE: Picture = { height: 1, width: 2, channels: 3, data: Uint8Array.from([0, 1, 2, 253, 254, 255]) };

function given(input: Partial<Border>, mean = [0], std = [1]) {
  const spec = { height: 1, width: 2, channels: 3, layout: "HWC", color_order: "RGB", mean, std };
  const border = { name: "image", dtype: "float32", shape: [1, 1, 2, 3], quantization: null, ...input };
  return [...inputFor({ input: border } as Artifact, { image_spec: spec } as Contract, PICTURE)];
}

test("a file with axes of its own gets them", () => {
  expect(given({ shape: [1, 3, 1, 2] })).toEqual([0, 253, 1, 254, 2, 255]);
});

test("a file of another size is refused", () => {
  expect(() => given({ shape: [1, 8, 8, 3] })).toThrow("The artifact takes 8 x 8 x 3, which is not the image of edgecls.json.");
});

test("uint8 takes the pixels of 0..1 as they are", () => {
  expect(given({ dtype: "uint8", quantization: { scale: 1 / 255, zero_point: 0 } }, [0], [255])).toEqual([...PICTURE.data]);
});

test("codes are rounded half to even and clipped", () => {
  expect(given({ dtype: "int8", quantization: { scale: 2, zero_point: -1 } })).toEqual([-1, -1, 0, 125, 126, 127]);
  expect(given({ dtype: "int8", quantization: { scale: 1, zero_point: 0 } })).toEqual([0, 1, 2, 127, 127, 127]);
});

test("an unknown dtype is a sentence", () => {
  expect(() => given({ dtype: "float64" })).toThrow("The artifact takes float64, which this page cannot give it.");
});

test("scores are dequantized", () => {
  const output = { name: "scores", dtype: "uint8", shape: [1, 2], quantization: { scale: 1 / 256, zero_point: 1 } };
  expect([...scoresFrom(output, Uint8Array.from([1, 129]))]).toEqual([0, 0.5]);
});
