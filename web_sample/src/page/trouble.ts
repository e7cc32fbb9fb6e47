import { SampleError } from "../sample_error";
import { element } from "./elements";

/** Tell what went wrong in a sentence on the screen; faults of this page also on the console, where there is more. */
export function showTrouble(error: unknown): void {
  if (!(error instanceof SampleError)) console.error(error);
  const box = element("trouble", HTMLParagraphElement);
  box.textContent = error instanceof Error ? error.message : String(error);
  box.hidden = false;
}

/** Do what the user asked for; whatever was on the screen of earlier trouble goes. */
export async function attempt(work: () => Promise<void>): Promise<void> {
  element("trouble", HTMLParagraphElement).hidden = true;
  try {
    await work();
  } catch (error) {
    showTrouble(error);
  }
}
