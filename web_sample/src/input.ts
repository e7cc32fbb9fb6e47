import type { Artifact, Border, Contract, Quantization } from "./contract";
import type { ImageSpec, Layout } from "./image_spec";
import type { Picture } from "./picture";
import { roundHalfEven } from "./rounding";
import { SampleError } from "./sample_error";

/** What an artifact's input tensor takes. */
export type InputValues = Float32Array | Uint8Array | Int8Array;

/** The pixels of a fitted picture as an artifact takes them. */
export function inputFor(artifact: Artifact, contract: Contract, pixels: Picture): InputValues {
  const spec = { ...contract.image_spec, layout: layoutOf(artifact.input, contract.image_spec) };
  return stored(artifact.input, normalise(pixels, spec));
}

/** Colour order, then (pixel - mean) / std in float32, in the spec's layout. */
export function normalise(pixels: Picture, spec: ImageSpec): Float32Array {
  const { channels, data } = pixels;
  const plane = pixels.height * pixels.width;
  const result = new Float32Array(plane * channels);
  for (let channel = 0; channel < channels; channel++) {
    const mean = Math.fround(spec.mean[channel % spec.mean.length]);
    const std = Math.fround(spec.std[channel % spec.std.length]);
    const from = spec.color_order === "BGR" ? channels - 1 - channel : channel;
    for (let pixel = 0; pixel < plane; pixel++) {
      const target = spec.layout === "CHW" ? channel * plane + pixel : pixel * channels + channel;
      result[target] = Math.fround(data[pixel * channels + from] - mean) / std;
    }
  }
  return result;
}

/** The order of an artifact's own axes: its file may have others than the model. */
function layoutOf(input: Border, spec: ImageSpec): Layout {
  const shapes: [Layout, number[]][] = [
    ["HWC", [spec.height, spec.width, spec.channels]],
    ["CHW", [spec.channels, spec.height, spec.width]],
    ["HW", [spec.height, spec.width]],
    ["flat", [spec.height * spec.width * spec.channels]],
  ];
  const found = shapes.filter(([, shape]) => shape.join() === input.shape.slice(1).join()).map(([layout]) => layout);
  if (found.length === 0) {
    throw new SampleError(`The artifact takes ${input.shape.slice(1).join(" x ")}, which is not the image of edgecls.json.`);
  }
  return found.includes(spec.layout) ? spec.layout : found[0];
}

const INTEGERS = { uint8: Uint8Array, int8: Int8Array };

/** Real values in the tensor's own dtype. */
function stored(input: Border, values: Float32Array): InputValues {
  if (input.dtype === "float32") return values;
  const type = INTEGERS[input.dtype as keyof typeof INTEGERS];
  if (type === undefined || input.quantization === null) {
    throw new SampleError(`The artifact takes ${input.dtype}, which this page cannot give it.`);
  }
  return new type(values.map(quantizer(input.quantization, input.dtype === "int8" ? -128 : 0)));
}

/** To the nearest code, ties to even, clipped to the 256 codes from `lowest` on. */
function quantizer(quantization: Quantization, lowest: number): (value: number) => number {
  const scale = Math.fround(quantization.scale);
  return (value) => {
    const code = roundHalfEven(Math.fround(value / scale)) + quantization.zero_point;
    return Math.min(Math.max(code, lowest), lowest + 255);
  };
}

/** Scores out of an output tensor. */
export function scoresFrom(output: Border, values: ArrayLike<number>): Float32Array {
  const { quantization } = output;
  if (quantization === null) return Float32Array.from(values);
  const scale = Math.fround(quantization.scale);
  return Float32Array.from(values, (value) => (value - quantization.zero_point) * scale);
}
