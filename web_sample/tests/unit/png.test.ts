import { crc32, deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodePng, isPng } from "../../src/png";

interface Drawn {
  width: number;
  height: number;
  depth: number;
  color: number;
  interlaced?: boolean;
  /** Filter byte and data of each line. */
  lines: number[][];
  chunks?: [string, number[]][];
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

function png({ width, height, depth, color, interlaced, lines, chunks = [] }: Drawn): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([depth, color, 0, 0, interlaced ? 1 : 0], 8);
  const packed = deflateSync(Uint8Array.from(lines.flat()));
  const [first, second] = [packed.subarray(0, 5), packed.subarray(5)]; // pixel data may lie in several chunks
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk("IHDR", header),
    ...chunks.map(([type, data]) => chunk(type, Uint8Array.from(data))),
    chunk("IDAT", first),
    chunk("IDAT", second),
    chunk("IEND", new Uint8Array()),
  ]);
}

async function decoded(drawn: Drawn): Promise<[number, number, number, number[]]> {
  const { height, width, channels, data } = await decodePng(png(drawn));
  return [height, width, channels, [...data]];
}

const size = { width: 2, height: 1, depth: 8 };

test.each<[string, Drawn, number[]]>([
  ["grey", { ...size, color: 0, lines: [[0, 7, 250]] }, [7, 250]],
  ["one bit", { ...size, depth: 1, color: 0, lines: [[0, 0b01000000]] }, [0, 255]],
  ["four bits", { ...size, depth: 4, color: 0, lines: [[0, 0x3f]] }, [51, 255]],
  ["16 bits of grey, rounded", { ...size, depth: 16, color: 0, lines: [[0, 0x7f, 0xff, 0x00, 0xff]] }, [127, 1]],
  ["16 bits of colour, cut", { ...size, width: 1, depth: 16, color: 2, lines: [[0, 1, 255, 2, 255, 3, 255]] }, [1, 2, 3]],
  ["16 bits of grey with alpha, cut", { ...size, width: 1, depth: 16, color: 4, lines: [[0, 1, 255, 0, 0]] }, [1]],
  ["colour", { ...size, color: 2, lines: [[0, 1, 2, 3, 4, 5, 6]] }, [1, 2, 3, 4, 5, 6]],
  ["alpha, dropped", { ...size, color: 6, lines: [[0, 1, 2, 3, 0, 4, 5, 6, 128]] }, [1, 2, 3, 4, 5, 6]],
  ["grey with alpha, dropped", { ...size, color: 4, lines: [[0, 9, 0, 8, 255]] }, [9, 8]],
  [
    "a palette with alpha",
    {
      ...size,
      depth: 2,
      color: 3,
      lines: [[0, 0b01000000]],
      chunks: [
        ["PLTE", [1, 2, 3, 4, 5, 6]],
        ["tRNS", [0, 0]],
      ],
    },
    [4, 5, 6, 1, 2, 3],
  ],
])("%s", async (_, drawn, data) => {
  expect(await decoded(drawn)).toEqual([1, drawn.width, data.length / drawn.width, data]);
});

test("every filter is undone", async () => {
  const lines = [
    [0, 10, 20, 30],
    [1, 1, 1, 1],
    [2, 1, 1, 1],
    [3, 5, 5, 5],
    [4, 3, 3, 3],
  ];
  const [, , , data] = await decoded({ width: 3, height: 5, depth: 8, color: 0, lines });
  expect(data).toEqual([10, 20, 30, 1, 2, 3, 2, 3, 4, 6, 9, 11, 9, 12, 15]);
});

test("an interlaced picture is put together", async () => {
  // 3 x 3: the passes 1, 4, 5, 6 and 7 of eight have pixels of it
  const lines = [
    [0, 0],
    [0, 2],
    [0, 6, 8],
    [0, 1],
    [0, 7],
    [0, 3, 4, 5],
  ];
  const [, , , data] = await decoded({ width: 3, height: 3, depth: 8, color: 0, interlaced: true, lines });
  expect(data).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("EXIF turns it", async () => {
  const exif = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0];
  const drawn = { width: 3, height: 1, depth: 8, color: 0, lines: [[0, 1, 2, 3]] };
  expect(await decoded({ ...drawn, chunks: [["eXIf", exif]] })).toEqual([3, 1, 1, [1, 2, 3]]);
});

test("damage is a sentence", async () => {
  const whole = png({ ...size, color: 0, lines: [[0, 7, 250]] });
  const short = png({ ...size, color: 0, lines: [[0, 7]] });
  await expect(decodePng(whole.slice(0, 50))).rejects.toThrow("The picture is damaged");
  await expect(decodePng(whole.slice(0, 8))).rejects.toThrow("The picture is damaged: a PNG without a header.");
  await expect(decodePng(short)).rejects.toThrow("The picture is damaged: its PNG data end early.");
});

test("a PNG is known by its first bytes", () => {
  expect([isPng(png({ ...size, color: 0, lines: [[0, 7, 250]] })), isPng(Uint8Array.from([255, 216, 255]))]).toEqual([
    true,
    false,
  ]);
});
