import { blankPicture, type Picture } from "./picture";
import type { Box } from "./placement";

/** A filter of Pillow's: zero from `support` on. */
interface Kernel {
  support: number;
  at: (distance: number) => number;
}

/** One direction: the part from `start` to `end` of a side gets a new size. */
interface Pass {
  start: number;
  end: number;
  newSize: number;
  kernel: Kernel;
}

/** For each new pixel, the old ones it is made of: `count` from `first` on, their weights at `stride` times its index. */
interface Weights {
  first: Int32Array;
  count: Int32Array;
  stride: number;
  values: Int32Array;
}

export const KERNELS = {
  "bilinear-antialiased": { support: 1, at: triangle },
  bicubic: { support: 2, at: cubic },
  lanczos: { support: 3, at: lanczos },
} satisfies Record<string, Kernel>;

/** Weights are whole numbers of 2^-22, as in Pillow's resampling of 8-bit channels. */
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/** Resample the box of a picture to the byte as Pillow 13 does, its float32 box and the order of its passes included. */
export function resampleAntialiased(picture: Picture, box: Box, height: number, width: number, kernel: Kernel): Picture {
  const [left, top, right, bottom] = box.map(Math.fround);
  const across = { start: left, end: right, newSize: width, kernel };
  const down = { start: top, end: bottom, newSize: height, kernel };
  const shrunk = picture.height - height;
  if (shrunk > 0 && shrunk > 2 * (picture.width - width)) return resampleRows(resampleColumns(picture, down), across);
  return resampleColumns(resampleRows(picture, across), down);
}

/** Every row resampled. */
function resampleRows(picture: Picture, pass: Pass): Picture {
  if (changesNothing(pass, picture.width)) return picture;
  const { first, count, stride, values } = weigh(picture.width, pass);
  const { height, channels, data } = picture;
  const result = blankPicture(height, pass.newSize, channels);
  let target = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < pass.newSize; column++) {
      const start = (row * picture.width + first[column]) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let from = start + channel;
        let sum = HALF;
        for (let weight = column * stride; weight < column * stride + count[column]; weight++) {
          sum += data[from] * values[weight];
          from += channels;
        }
        result.data[target++] = clipped(sum);
      }
    }
  }
  return result;
}

/** Every column resampled, a whole row of sums at a time: pixels are read in the order in which they lie. */
function resampleColumns(picture: Picture, pass: Pass): Picture {
  if (changesNothing(pass, picture.height)) return picture;
  const { first, count, stride, values } = weigh(picture.height, pass);
  const { width, channels, data } = picture;
  const result = blankPicture(pass.newSize, width, channels);
  const sums = new Int32Array(width * channels);
  for (let row = 0; row < pass.newSize; row++) {
    sums.fill(HALF);
    for (let tap = 0; tap < count[row]; tap++) {
      const weight = values[row * stride + tap];
      const start = (first[row] + tap) * sums.length;
      for (let place = 0; place < sums.length; place++) sums[place] += data[start + place] * weight;
    }
    result.data.set(sums.map(clipped), row * sums.length);
  }
  return result;
}

function changesNothing(pass: Pass, size: number): boolean {
  return pass.start === 0 && pass.end === size && pass.newSize === size;
}

function weigh(size: number, { start, end, newSize, kernel }: Pass): Weights {
  const scale = Math.fround(end - start) / newSize;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const weights = {
    first: new Int32Array(newSize),
    count: new Int32Array(newSize),
    stride,
    values: new Int32Array(newSize * stride),
  };
  const real = new Float64Array(stride);
  for (let index = 0; index < newSize; index++) {
    const center = start + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const count = Math.min(Math.trunc(center + support + 0.5), size) - first;
    let sum = 0;
    for (let place = 0; place < count; place++) {
      real[place] = kernel.at((place + first - center + 0.5) * (1 / stretch));
      sum += real[place];
    }
    weights.first[index] = first;
    weights.count[index] = count;
    for (let place = 0; place < count; place++) {
      weights.values[index * stride + place] = fixedPoint(sum === 0 ? real[place] : real[place] / sum);
    }
  }
  return weights;
}

function fixedPoint(weight: number): number {
  return Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * 2 ** PRECISION_BITS);
}

/** A sum as a pixel. */
function clipped(sum: number): number {
  return Math.min(Math.max(sum >> PRECISION_BITS, 0), 255);
}

function triangle(distance: number): number {
  return Math.max(1 - Math.abs(distance), 0);
}

/** Keys' cubic with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function lanczos(distance: number): number {
  return distance >= -3 && distance < 3 ? sinc(distance) * sinc(distance / 3) : 0;
}

function sinc(distance: number): number {
  const angle = distance * Math.PI;
  return angle === 0 ? 1 : Math.sin(angle) / angle;
}
