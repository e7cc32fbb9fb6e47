/** Pixels of a picture: uint8, [height, width, channels], channels RGB or grey. */
export interface Picture {
  height: number;
  width: number;
  channels: 1 | 3;
  data: Uint8Array;
}

export function blankPicture(height: number, width: number, channels: 1 | 3): Picture {
  return { height, width, channels, data: new Uint8Array(height * width * channels) };
}

/** Grey of a colour: ITU-R 601 in the fixed point of Pillow's convert("L"). */
export function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/** The picture in grey or in colours, whichever the model takes. */
export function withChannels(picture: Picture, channels: 1 | 3): Picture {
  if (picture.channels === channels) return picture;
  const { height, width, data } = picture;
  const result = blankPicture(height, width, channels);
  for (let pixel = 0; pixel < height * width; pixel++) {
    if (channels === 1) result.data[pixel] = luma(data[3 * pixel], data[3 * pixel + 1], data[3 * pixel + 2]);
    else result.data.fill(data[pixel], 3 * pixel, 3 * pixel + 3);
  }
  return result;
}
