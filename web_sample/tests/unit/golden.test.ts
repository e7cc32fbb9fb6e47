/** The golden vectors that Python, Kotlin and Swift read too: the same bytes in every language. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readImageSpec } from "../../src/image_spec";
import { normalise } from "../../src/input";
import type { Picture } from "../../src/picture";
import { Reader } from "../../src/reader";
import { fitPicture } from "../../src/resize";

const GOLDEN = new URL("../../../tests/golden/", import.meta.url);

interface Place {
  offset: number;
  size_bytes: number;
}

interface Source extends Place {
  name: string;
  height: number;
  width: number;
  channels: 1 | 3;
}

interface Case extends Place {
  source: number;
  height: number;
  width: number;
  fit: string;
  crop_share: number | null;
  filter: string;
}

function json(name: string) {
  return JSON.parse(readFileSync(new URL(name, GOLDEN), "utf8"));
}

function bytes(name: string): (place: Place) => Uint8Array {
  const all = new Uint8Array(readFileSync(new URL(name, GOLDEN)));
  return ({ offset, size_bytes }) => all.subarray(offset, offset + size_bytes);
}

describe("fit and filter", () => {
  const { sources, cases } = json("vectors.json") as { sources: Source[]; cases: Case[] };
  const [sourceBytes, pixelBytes] = [bytes("sources.bin"), bytes("pixels.bin")];

  test("all fits, filters and sizes are there", () => {
    const kinds = new Set(cases.map(({ fit, crop_share, filter }) => `${fit} ${crop_share} ${filter}`));
    const sizes = new Set(cases.map(({ source, height, width }) => `${source} ${height} ${width}`));
    expect([kinds.size, sizes.size, cases.length]).toEqual([20, 12, 240]);
  });

  test.each(
    cases.map(
      (found) =>
        [
          `${sources[found.source].name} to ${found.width}x${found.height}, ${found.fit} ${found.crop_share ?? ""}, ${found.filter}`,
          found,
        ] as const,
    ),
  )("%s", (_, found) => {
    const source = sources[found.source];
    const picture: Picture = { ...source, data: sourceBytes(source) };
    const spec = readImageSpec(new Reader({ ...found, channels: source.channels }, "case"));
    const pixels = fitPicture(picture, spec);
    expect([pixels.height, pixels.width, pixels.channels]).toEqual([found.height, found.width, source.channels]);
    expect(Buffer.compare(pixels.data, pixelBytes(found))).toBe(0);
  });
});

describe("normalisation", () => {
  const { cases } = json("normalisation.json") as {
    cases: { spec: { note: string; layout: string }; pixels: number[]; inputs: number[] }[];
  };

  test.each(cases.map((found) => [`${found.spec.layout}, ${found.spec.note}`, found] as const))("%s", (_, found) => {
    const spec = readImageSpec(new Reader(found.spec, "case"));
    const inputs = normalise({ ...spec, data: Uint8Array.from(found.pixels) }, spec);
    expect(inputs).toEqual(Float32Array.from(found.inputs)); // nine digits tell every float32
  });
});
