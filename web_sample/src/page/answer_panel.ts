import type { Answer } from "../classifier";
import type { Contract } from "../contract";
import type { Picture } from "../picture";
import { topClasses } from "../scores";
import { element, make } from "./elements";

const SHOWN = 3;

/** The best classes with bars, what they took, and what the model saw. */
export function showAnswer(answer: Answer, contract: Contract): void {
  const best = topClasses(answer.scores, contract.output_kind, contract.labels, SHOWN);
  const rows = best.map(({ label, probability }) => {
    const meter = make("meter", { value: probability, ariaLabel: label });
    return make("li", {}, make("span", {}, label), make("span", {}, `${(probability * 100).toFixed(1)} %`), meter);
  });
  element("answer", HTMLOListElement).replaceChildren(...rows);
  const [prepared, computed] = [answer.prepare_ms.toFixed(1), answer.compute_ms.toFixed(1)];
  element("time", HTMLParagraphElement).textContent = `${prepared} ms to prepare the picture, ${computed} ms to compute`;
  showPixels(answer.pixels);
}

function showPixels({ height, width, channels, data }: Picture): void {
  const canvas = element("seen", HTMLCanvasElement);
  [canvas.height, canvas.width] = [height, width];
  const colors = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let channel = 0; channel < 3; channel++) colors[4 * pixel + channel] = data[pixel * channels + (channel % channels)];
  }
  canvas.getContext("2d")?.putImageData(new ImageData(colors, width, height), 0, 0);
  element("seen-figure", HTMLElement).hidden = false;
}
