/** What the user is told in one sentence on the screen. Anything else that is thrown is a fault of this sample. */
export class SampleError extends Error {
  override readonly name = "SampleError";
}
