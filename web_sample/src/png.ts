import { orient, orientationOf } from "./orientation";
import { blankPicture, type Picture } from "./picture";
import { SampleError } from "./sample_error";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const COLORS = { grey: 0, rgb: 2, palette: 3, greyAlpha: 4, rgbAlpha: 6 };
const SAMPLES = new Map([
  [COLORS.grey, 1],
  [COLORS.rgb, 3],
  [COLORS.palette, 1],
  [COLORS.greyAlpha, 2],
  [COLORS.rgbAlpha, 4],
]);
/** First column, first row, and their steps, of the passes of an interlaced file. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

interface Header {
  width: number;
  height: number;
  depth: number;
  color: number;
  interlaced: boolean;
}

export function isPng(file: Uint8Array): boolean {
  return SIGNATURE.every((byte, index) => file[index] === byte);
}

/**
 * Decodes a PNG to the bit: a canvas multiplies colours with alpha and back, rounds 16 bits in its own way, and may convert colours.
 * Alpha is dropped, palettes become colours, 16 bits become 8 as on the host.
 */
export async function decodePng(file: Uint8Array): Promise<Picture> {
  try {
    const chunks = readChunks(file);
    const header = readHeader(chunks.get("IHDR")?.[0]);
    const lines = await inflate(chunks.get("IDAT") ?? []);
    const picture = paint(header, lines, chunks.get("PLTE")?.[0]);
    return orient(picture, orientationOf(chunks.get("eXIf")?.[0]));
  } catch (error) {
    if (error instanceof SampleError) throw error;
    throw new SampleError("The picture is damaged: its PNG data end early or make no sense.");
  }
}

/** The contents of all chunks of each type. */
function readChunks(file: Uint8Array): Map<string, Uint8Array[]> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const chunks = new Map<string, Uint8Array[]>();
  for (let place = SIGNATURE.length; place + 8 <= file.length; ) {
    const length = view.getUint32(place);
    const type = String.fromCharCode(...file.subarray(place + 4, place + 8));
    const found = chunks.get(type) ?? [];
    chunks.set(type, [...found, file.subarray(place + 8, place + 8 + length)]);
    place += length + 12;
  }
  return chunks;
}

function readHeader(chunk: Uint8Array | undefined): Header {
  if (chunk === undefined) throw new SampleError("The picture is damaged: a PNG without a header.");
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: chunk[8],
    color: chunk[9],
    interlaced: chunk[12] === 1,
  };
}

async function inflate(parts: Uint8Array[]): Promise<Uint8Array> {
  const stream = new Blob(parts as BlobPart[]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function paint(header: Header, data: Uint8Array, palette: Uint8Array | undefined): Picture {
  const samples = SAMPLES.get(header.color);
  if (samples === undefined || header.width === 0 || header.height === 0) {
    throw new SampleError("The picture is damaged: a PNG with an impossible header.");
  }
  const grey = header.color === COLORS.grey || header.color === COLORS.greyAlpha;
  const picture = blankPicture(header.height, header.width, grey ? 1 : 3);
  const colors = header.color === COLORS.palette ? (palette ?? new Uint8Array(3)) : null;
  const pixelBytes = Math.max(1, (samples * header.depth) >> 3);
  let place = 0;
  for (const [left, top, across, down] of header.interlaced ? PASSES : [[0, 0, 1, 1]]) {
    const width = Math.ceil((header.width - left) / across);
    const lineBytes = Math.ceil((width * samples * header.depth) / 8);
    if (width <= 0) continue;
    let above: Uint8Array = new Uint8Array(lineBytes);
    for (let row = top; row < header.height; row += down) {
      const line = data.subarray(place + 1, place + 1 + lineBytes);
      if (line.length < lineBytes) throw new SampleError("The picture is damaged: its PNG data end early.");
      unfilter(data[place], line, above, pixelBytes);
      paintLine(picture, line, { row, left, across, width, samples, header, colors });
      above = line;
      place += lineBytes + 1;
    }
  }
  return picture;
}

/** Undo a line's filter in place. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array, pixelBytes: number): void {
  for (let index = 0; index < line.length; index++) {
    const left = index < pixelBytes ? 0 : line[index - pixelBytes];
    const corner = index < pixelBytes ? 0 : above[index - pixelBytes];
    if (filter === 1) line[index] += left;
    else if (filter === 2) line[index] += above[index];
    else if (filter === 3) line[index] += (left + above[index]) >> 1;
    else if (filter === 4) line[index] += paeth(left, above[index], corner);
  }
}

function paeth(left: number, above: number, corner: number): number {
  const [byLeft, byAbove, byCorner] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)];
  if (byLeft <= byAbove && byLeft <= byCorner) return left;
  return byAbove <= byCorner ? above : corner;
}

interface Line {
  row: number;
  left: number;
  across: number;
  width: number;
  samples: number;
  header: Header;
  colors: Uint8Array | null;
}

/** Put a line's pixels where they belong. */
function paintLine(picture: Picture, line: Uint8Array, { row, left, across, width, samples, header, colors }: Line): void {
  const { depth, color } = header;
  const { channels, data } = picture;
  for (let index = 0; index < width; index++) {
    const target = (row * picture.width + left + index * across) * channels;
    const first = index * samples;
    for (let channel = 0; channel < channels; channel++) {
      data[target + channel] = colors
        ? colors[3 * code(line, first, depth) + channel]
        : eightBits(code(line, first + channel, depth), depth, color);
    }
  }
}

function code(line: Uint8Array, sample: number, depth: number): number {
  if (depth === 8) return line[sample];
  if (depth === 16) return (line[2 * sample] << 8) | line[2 * sample + 1];
  const bit = sample * depth;
  return (line[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

/** Of 16 bits, grey alone is rounded, and everything else keeps its upper half, as on the host. */
function eightBits(value: number, depth: number, color: number): number {
  if (depth === 8) return value;
  if (depth < 8) return (value * 255) / ((1 << depth) - 1);
  return color === COLORS.grey ? Math.trunc((value * 255 + 32767) / 65535) : value >> 8;
}
