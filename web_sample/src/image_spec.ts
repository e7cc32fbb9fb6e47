import type { Reader } from "./reader";
import { SampleError } from "./sample_error";

const LAYOUTS = ["HWC", "CHW", "HW", "flat"] as const;
const COLOR_ORDERS = ["RGB", "BGR", "GRAY", "OTHER"] as const;
const FITS = ["squeeze", "crop", "pad"] as const;
const FILTERS = ["nearest", "bilinear", "bilinear-antialiased", "bicubic", "lanczos"] as const;

export type Layout = (typeof LAYOUTS)[number];
export type Filter = (typeof FILTERS)[number];

/** The image a model takes, as docs/image-contract.md of edgecls describes it; field names are those of the JSON. */
export interface ImageSpec {
  height: number;
  width: number;
  channels: 1 | 3;
  layout: Layout;
  color_order: (typeof COLOR_ORDERS)[number];
  mean: number[];
  std: number[];
  fit: (typeof FITS)[number];
  crop_share: number | null;
  pad_color: number[];
  filter: Filter;
}

/** Reads a spec; what older files do not say has its default. */
export function readImageSpec(reader: Reader): ImageSpec {
  const spec: ImageSpec = {
    height: reader.size("height"),
    width: reader.size("width"),
    channels: readChannels(reader),
    layout: reader.choice("layout", LAYOUTS, "HWC"),
    color_order: reader.choice("color_order", COLOR_ORDERS, "RGB"),
    mean: reader.has("mean") ? reader.numbers("mean") : [0],
    std: reader.has("std") ? reader.numbers("std") : [1],
    fit: reader.choice("fit", FITS, "squeeze"),
    crop_share: reader.has("crop_share") ? reader.number("crop_share") : null,
    pad_color: reader.has("pad_color") ? reader.numbers("pad_color") : [0, 0, 0],
    filter: reader.choice("filter", FILTERS, "bilinear-antialiased"),
  };
  checkNumbers(spec);
  return spec;
}

function readChannels(reader: Reader): 1 | 3 {
  const channels = reader.size("channels");
  if (channels === 1 || channels === 3) return channels;
  throw new SampleError(`The model takes ${channels} channels; pictures have 1 (grey) or 3 (colour).`);
}

function checkNumbers(spec: ImageSpec): void {
  const perChannel = [1, spec.channels];
  if (!perChannel.includes(spec.mean.length) || !perChannel.includes(spec.std.length) || spec.std.includes(0)) {
    throw new SampleError(`The model's preprocessing is damaged: mean ${spec.mean}, std ${spec.std}.`);
  }
  if (spec.crop_share !== null && !(spec.crop_share > 0 && spec.crop_share <= 1)) {
    throw new SampleError(`The model's crop_share is damaged: ${spec.crop_share}.`);
  }
  if (spec.pad_color.length !== 3) {
    throw new SampleError(`The model's pad_color is damaged: ${spec.pad_color}.`);
  }
}
