import { expect, test } from "vitest";
import { orient } from "../../src/orientation";
import type { Picture } from "../../src/picture";

const UPRIGHT: Picture = { height: 2, width: 3, channels: 1, data: Uint8Array.from([1, 2, 3, 4, 5, 6]) };

test.each([
  [1, [1, 2, 3, 4, 5, 6]],
  [2, [3, 2, 1, 6, 5, 4]],
  [3, [6, 5, 4, 3, 2, 1]],
  [4, [4, 5, 6, 1, 2, 3]],
  [5, [1, 4, 2, 5, 3, 6]],
  [6, [4, 1, 5, 2, 6, 3]],
  [7, [6, 3, 5, 2, 4, 1]],
  [8, [3, 6, 2, 5, 1, 4]],
])("orientation %i as EXIF defines it", (orientation, data) => {
  const turned = orient(UPRIGHT, orientation);
  expect([turned.height, turned.width]).toEqual(orientation < 5 ? [2, 3] : [3, 2]);
  expect([...turned.data]).toEqual(data);
});
