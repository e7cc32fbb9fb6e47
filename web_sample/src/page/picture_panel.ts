import { decodeFile } from "../decode";
import type { Picture } from "../picture";
import { Camera } from "./camera";
import { element } from "./elements";
import { attempt } from "./trouble";

/** Where pictures come from: a file that is chosen or dropped, or the camera. Each goes to `onPicture`. */
export class PicturePanel {
  private readonly camera: Camera;
  private readonly button = element("camera", HTMLButtonElement);
  private readonly shown = element("shown", HTMLImageElement);

  constructor(private readonly onPicture: (picture: Picture) => Promise<void>) {
    this.camera = new Camera(element("video", HTMLVideoElement), onPicture);
    this.button.addEventListener("click", () => attempt(() => this.toggleCamera()));
    this.watchFile();
    this.watchDrop();
  }

  stopCamera(): void {
    this.camera.stop();
    this.showCamera(false);
  }

  private async toggleCamera(): Promise<void> {
    if (this.camera.isOn) return this.stopCamera();
    this.showCamera(true);
    this.shown.hidden = true;
    try {
      await this.camera.start();
    } finally {
      this.stopCamera();
    }
  }

  /** While answers follow one another, no screen reader should read each. */
  private showCamera(isOn: boolean): void {
    this.button.setAttribute("aria-pressed", String(isOn));
    this.button.textContent = isOn ? "Stop the camera" : "Use the camera";
    element("answer", HTMLOListElement).ariaLive = isOn ? "off" : "polite";
  }

  private watchFile(): void {
    const input = element("file", HTMLInputElement);
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file !== undefined) void attempt(() => this.take(file));
    });
  }

  /** The whole page takes what is dropped: beside the frame, browsers would leave the page for the file. */
  private watchDrop(): void {
    const frame = element("drop", HTMLLabelElement);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      frame.classList.add("over");
    });
    document.addEventListener("dragleave", () => frame.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      frame.classList.remove("over");
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) void attempt(() => this.take(file));
    });
  }

  private async take(file: File): Promise<void> {
    this.stopCamera();
    const picture = await decodeFile(file);
    URL.revokeObjectURL(this.shown.src);
    this.shown.src = URL.createObjectURL(file);
    this.shown.hidden = false;
    await this.onPicture(picture);
  }
}
