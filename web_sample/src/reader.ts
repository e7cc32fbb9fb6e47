import { SampleError } from "./sample_error";

type Fields = Record<string, unknown>;

/** Reads typed values out of parsed JSON; the first that is not as expected is a sentence that says where. */
export class Reader {
  private readonly fields: Fields;

  constructor(
    value: unknown,
    private readonly where: string,
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.refuse("an object", value);
    this.fields = value as Fields;
  }

  has(name: string): boolean {
    return this.fields[name] !== undefined && this.fields[name] !== null;
  }

  text(name: string): string {
    return this.value(name, "a text", (value) => typeof value === "string");
  }

  number(name: string): number {
    return this.value(name, "a number", isNumber);
  }

  /** A whole number above 0. */
  size(name: string): number {
    return this.value(name, "a whole number above 0", isSize);
  }

  choice<T extends string>(name: string, choices: readonly T[], absent?: T): T {
    if (absent !== undefined && !this.has(name)) return absent;
    return this.value(name, `one of ${choices.join(", ")}`, (value) => choices.includes(value as T));
  }

  texts(name: string): string[] {
    return this.value(name, "a list of texts", (value) => isList(value, (item) => typeof item === "string"));
  }

  numbers(name: string): number[] {
    return this.value(name, "a list of numbers", (value) => isList(value, isNumber));
  }

  sizes(name: string): number[] {
    return this.value(name, "a list of whole numbers above 0", (value) => isList(value, isSize));
  }

  object(name: string): Reader {
    return new Reader(this.fields[name], `${this.where}, ${name}`);
  }

  objects(name: string): Reader[] {
    const found = this.value<unknown[]>(name, "a list", Array.isArray);
    return found.map((value, index) => new Reader(value, `${this.where}, ${name} ${index + 1}`));
  }

  private value<T>(name: string, expected: string, fits: (value: unknown) => boolean): T {
    const found = this.fields[name];
    if (!fits(found)) this.refuse(`${expected} as ${name}`, found);
    return found as T;
  }

  private refuse(expected: string, found: unknown): never {
    throw new SampleError(`${this.where}: expected ${expected}, found ${JSON.stringify(found) ?? "nothing"}.`);
  }
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value);
}

function isSize(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0;
}

function isList(value: unknown, fits: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(fits);
}
