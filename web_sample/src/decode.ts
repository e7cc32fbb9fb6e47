import { blankPicture, type Picture } from "./picture";
import { decodePng, isPng } from "./png";
import { SampleError } from "./sample_error";

/** A picture file in full size, upright, in colours or grey. PNG is decoded here to the bit, the rest by the browser. */
export async function decodeFile(file: Blob): Promise<Picture> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return isPng(bytes) ? decodePng(bytes) : decodeByBrowser(file);
}

async function decodeByBrowser(file: Blob): Promise<Picture> {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  }).catch(() => {
    throw new SampleError("This is no picture that the browser can read.");
  });
  try {
    return pixelsOf(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** What a video shows now. */
export function grabFrame(video: HTMLVideoElement): Picture {
  return pixelsOf(video, video.videoWidth, video.videoHeight);
}

/** The pixels in full size: a canvas that scales nothing gives them as they are where nothing is transparent. */
function pixelsOf(image: CanvasImageSource, width: number, height: number): Picture {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (context === null) throw new SampleError("The browser has no memory for a picture of this size.");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const picture = blankPicture(height, width, 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) picture.data[3 * pixel + channel] = data[4 * pixel + channel];
  }
  return picture;
}
