import type { Filter, ImageSpec } from "./image_spec";
import { roundHalfEven } from "./rounding";

/** left, top, right, bottom in pixels of the picture. */
export type Box = [left: number, top: number, right: number, bottom: number];

/**
 * Where a picture goes in the model's image: `box` of it is resampled to `width` x `height`, which lies at `left`, `top`. Below 0 it
 * hangs over, and what hangs over is cut off; above 0 the pad colour shows around it.
 */
export interface Placement {
  box: Box;
  width: number;
  height: number;
  left: number;
  top: number;
}

/** The filters whose box may begin within a pixel. */
const REAL_BOXES: readonly Filter[] = ["bilinear-antialiased", "bicubic", "lanczos"];

/** The placement that the spec's fit gives a picture of this size. */
export function place(width: number, height: number, spec: ImageSpec): Placement {
  if (spec.fit === "pad") return padded(width, height, spec);
  if (spec.fit === "crop" && spec.crop_share !== null) return resizedThenCropped(width, height, spec, spec.crop_share);
  const box: Box = spec.fit === "crop" ? largestPart(width, height, spec) : [0, 0, width, height];
  return { box, width: spec.width, height: spec.height, left: 0, top: 0 };
}

/** The largest centred part of the model's aspect: in whole pixels as Keras' smart_resize, else as Pillow's ImageOps.fit. */
function largestPart(width: number, height: number, spec: ImageSpec): Box {
  let [partWidth, partHeight] = [width, height];
  if (REAL_BOXES.includes(spec.filter)) {
    const aspect = spec.width / spec.height;
    if (width / height > aspect) partWidth = aspect * height;
    else if (width / height < aspect) partHeight = width / aspect;
    const [left, top] = [(width - partWidth) * 0.5, (height - partHeight) * 0.5];
    return [left, top, left + partWidth, top + partHeight];
  }
  partWidth = Math.max(1, Math.min(width, Math.trunc((height * spec.width) / spec.height)));
  partHeight = Math.max(1, Math.min(height, Math.trunc((width * spec.height) / spec.width)));
  const [left, top] = [Math.floor((width - partWidth) / 2), Math.floor((height - partHeight) / 2)];
  return [left, top, left + partWidth, top + partHeight];
}

/** As torchvision's Resize(round(size / share)) and CenterCrop(size). */
function resizedThenCropped(width: number, height: number, spec: ImageSpec, share: number): Placement {
  let [newWidth, newHeight] = [roundHalfEven(spec.width / share), roundHalfEven(spec.height / share)];
  if (newWidth * height >= newHeight * width) {
    newHeight = Math.max(spec.height, Math.trunc((newWidth * height) / width));
  } else {
    newWidth = Math.max(spec.width, Math.trunc((newHeight * width) / height));
  }
  const [left, top] = [-roundHalfEven((newWidth - spec.width) / 2), -roundHalfEven((newHeight - spec.height) / 2)];
  return { box: [0, 0, width, height], width: newWidth, height: newHeight, left, top };
}

/** As Pillow's ImageOps.pad, but for one pixel at least. */
function padded(width: number, height: number, spec: ImageSpec): Placement {
  let [newWidth, newHeight] = [spec.width, spec.height];
  if (width / height > spec.width / spec.height) {
    newHeight = Math.max(1, roundHalfEven((height / width) * spec.width));
  } else if (width / height < spec.width / spec.height) {
    newWidth = Math.max(1, roundHalfEven((width / height) * spec.height));
  }
  const [left, top] = [roundHalfEven((spec.width - newWidth) * 0.5), roundHalfEven((spec.height - newHeight) * 0.5)];
  return { box: [0, 0, width, height], width: newWidth, height: newHeight, left, top };
}
