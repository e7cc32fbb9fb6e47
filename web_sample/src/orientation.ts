import { blankPicture, type Picture } from "./picture";

const ORIENTATION = 0x0112;
const UPRIGHT = 1;

/** The orientation 1..8 that EXIF data tell of. */
export function orientationOf(exif: Uint8Array | undefined): number {
  if (exif === undefined || exif.length < 8) return UPRIGHT;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const little = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, little);
  if (directory + 2 > exif.length) return UPRIGHT;
  const count = view.getUint16(directory, little);
  for (let entry = directory + 2; entry < directory + 2 + 12 * count && entry + 12 <= exif.length; entry += 12) {
    if (view.getUint16(entry, little) === ORIENTATION) return view.getUint16(entry + 8, little);
  }
  return UPRIGHT;
}

/** The picture as it is meant to be seen. */
export function orient(picture: Picture, orientation: number): Picture {
  if (orientation < 2 || orientation > 8) return picture;
  const { height, width, channels, data } = picture;
  const sideways = orientation >= 5;
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const result = sideways ? blankPicture(width, height, channels) : blankPicture(height, width, channels);
  let target = 0;
  for (let row = 0; row < result.height; row++) {
    for (let column = 0; column < result.width; column++) {
      const [oldRow, oldColumn] = sideways ? [column, row] : [row, column];
      const from =
        ((fromBottom ? height - 1 - oldRow : oldRow) * width + (fromRight ? width - 1 - oldColumn : oldColumn)) * channels;
      for (let channel = 0; channel < channels; channel++) result.data[target++] = data[from + channel];
    }
  }
  return result;
}
