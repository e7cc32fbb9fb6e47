import { grabFrame } from "../decode";
import type { Picture } from "../picture";
import { SampleError } from "../sample_error";

const REASONS: Record<string, string> = {
  NotAllowedError: "The browser may not use the camera: allow it for this page, or choose a picture.",
  NotFoundError: "There is no camera here: choose a picture instead.",
  NotReadableError: "Another program uses the camera: close it, or choose a picture.",
};

/** The camera, which hands over one frame after another, as fast as they are taken. */
export class Camera {
  private stream: MediaStream | null = null;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly onFrame: (picture: Picture) => Promise<void>,
  ) {}

  get isOn(): boolean {
    return this.stream !== null;
  }

  /** Frames come until `stop`; resolves then. */
  async start(): Promise<void> {
    this.stream = await openStream();
    this.video.srcObject = this.stream;
    this.video.hidden = false;
    try {
      await this.video.play();
      while (this.isOn) {
        await this.onFrame(grabFrame(this.video));
        await new Promise(requestAnimationFrame);
      }
    } finally {
      this.stop();
    }
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.video.hidden = true;
  }
}

function openStream(): Promise<MediaStream> {
  if (navigator.mediaDevices === undefined) {
    throw new SampleError("Browsers give the camera to pages of https and localhost alone: choose a picture instead.");
  }
  return navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).catch((error: DOMException) => {
    throw new SampleError(REASONS[error.name] ?? `The camera cannot be used: ${error.message}`);
  });
}
