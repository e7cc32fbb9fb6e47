import { KERNELS, resampleAntialiased } from "./antialiased";
import type { Filter, ImageSpec } from "./image_spec";
import { blankPicture, luma, type Picture } from "./picture";
import { type Box, type Placement, place } from "./placement";
import { roundHalfEven } from "./rounding";

/**
 * The pixels of a picture in the model's size, before its colour order: the same bytes as on the host, which the browser's own
 * scaling does not give.
 */
export function fitPicture(picture: Picture, spec: ImageSpec): Picture {
  const placement = place(picture.width, picture.height, spec);
  return placed(resample(picture, placement, spec.filter), placement, spec);
}

function resample(picture: Picture, placement: Placement, filter: Filter): Picture {
  const { box, height, width } = placement;
  if (filter === "nearest") return resampleNearest(picture, box, height, width);
  if (filter === "bilinear") return resampleBilinear(picture, box, height, width);
  return resampleAntialiased(picture, box, height, width, KERNELS[filter]);
}

/** As Pillow's NEAREST: places are summed up step by step. */
function resampleNearest(picture: Picture, box: Box, height: number, width: number): Picture {
  const { channels, data } = picture;
  const columns = nearestPlaces(box[0], box[2], width);
  const rows = nearestPlaces(box[1], box[3], height);
  const result = blankPicture(height, width, channels);
  let target = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * picture.width + column) * channels;
      for (let channel = 0; channel < channels; channel++) result.data[target++] = data[from + channel];
    }
  }
  return result;
}

function nearestPlaces(start: number, end: number, newSize: number): Int32Array {
  const step = (end - start) / newSize;
  let place = start + step * 0.5;
  return Int32Array.from({ length: newSize }, () => {
    const found = Math.floor(place);
    place += step;
    return found;
  });
}

/** For each new pixel the two old ones it lies between, and how far from the first, in float32. */
interface Neighbours {
  first: Int32Array;
  second: Int32Array;
  shift: Float32Array;
}

/** As TensorFlow's ResizeBilinear with half-pixel centres, in its float32 arithmetic; the box has whole pixels. */
function resampleBilinear(picture: Picture, box: Box, height: number, width: number): Picture {
  const { channels, data } = picture;
  const f32 = Math.fround;
  const across = neighbours(box[0], box[2], width);
  const down = neighbours(box[1], box[3], height);
  const result = blankPicture(height, width, channels);
  const between = (first: number, second: number, shift: number) => f32(first + f32(f32(second - first) * shift));
  let target = 0;
  for (let row = 0; row < height; row++) {
    const [above, below] = [down.first[row] * picture.width, down.second[row] * picture.width];
    for (let column = 0; column < width; column++) {
      const [left, right] = [across.first[column], across.second[column]];
      for (let channel = 0; channel < channels; channel++) {
        const at = (pixel: number) => data[pixel * channels + channel];
        const upper = between(at(above + left), at(above + right), across.shift[column]);
        const lower = between(at(below + left), at(below + right), across.shift[column]);
        result.data[target++] = roundHalfEven(between(upper, lower, down.shift[row]));
      }
    }
  }
  return result;
}

function neighbours(start: number, end: number, newSize: number): Neighbours {
  const f32 = Math.fround;
  const size = end - start;
  const scale = f32(size / newSize);
  const found = { first: new Int32Array(newSize), second: new Int32Array(newSize), shift: new Float32Array(newSize) };
  for (let index = 0; index < newSize; index++) {
    const place = f32(f32(f32(index + 0.5) * scale) - 0.5);
    const floor = Math.floor(place);
    found.first[index] = start + Math.max(floor, 0);
    found.second[index] = start + Math.min(floor + 1, size - 1);
    found.shift[index] = place - floor;
  }
  return found;
}

/** What was resampled, at its place in the model's image. */
function placed(picture: Picture, placement: Placement, spec: ImageSpec): Picture {
  const { left, top } = placement;
  if (picture.height === spec.height && picture.width === spec.width) return picture;
  const { channels } = picture;
  const result = blankPicture(spec.height, spec.width, channels);
  const around = channels === 1 ? [luma(spec.pad_color[0], spec.pad_color[1], spec.pad_color[2])] : spec.pad_color;
  for (let place = 0; place < result.data.length; place++) result.data[place] = around[place % channels];
  const [fromColumn, toColumn] = [Math.max(0, left), Math.min(spec.width, left + picture.width)];
  for (let row = Math.max(0, top); row < Math.min(spec.height, top + picture.height); row++) {
    const from = (row - top) * picture.width - left;
    const values = picture.data.subarray((from + fromColumn) * channels, (from + toColumn) * channels);
    result.data.set(values, (row * spec.width + fromColumn) * channels);
  }
  return result;
}
