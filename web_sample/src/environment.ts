/** Where it was measured, as far as the browser tells; in the words of docs/results.schema.json. */
export interface Environment {
  platform: string;
  machine: string;
  processor: string;
  cores: number;
  memory_bytes: number;
  device: string;
  packages: Record<string, string>;
}

/** What Chromium alone tells, and TypeScript does not know yet. */
interface AgentData {
  getHighEntropyValues(names: string[]): Promise<{
    architecture?: string;
    bitness?: string;
    model?: string;
    platform?: string;
    platformVersion?: string;
    fullVersionList?: { brand: string; version: string }[];
  }>;
}

const MACHINES: Record<string, string> = { x86_64: "x86_64", x86_32: "i686", arm_64: "arm64", arm_32: "arm" };
const NAMES = ["architecture", "bitness", "model", "platformVersion", "fullVersionList"];

export async function environment(): Promise<Environment> {
  const { userAgentData, deviceMemory } = navigator as Navigator & { userAgentData?: AgentData; deviceMemory?: number };
  const told = (await userAgentData?.getHighEntropyValues(NAMES)) ?? {};
  const brands = told.fullVersionList?.filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  const browser = brands?.find(({ brand }) => brand !== "Chromium") ?? brands?.[0]; // what is made of Chromium names both
  const system = `${told.platform} ${told.platformVersion ?? ""}`.trim();
  return {
    platform: browser ? `${browser.brand} ${browser.version} on ${system}` : navigator.userAgent,
    machine: MACHINES[`${told.architecture}_${told.bitness}`] ?? "",
    processor: "",
    cores: navigator.hardwareConcurrency,
    memory_bytes: (deviceMemory ?? 0) * 2 ** 30,
    device: [told.model, browser && `${browser.brand} ${browser.version.split(".")[0]}`].filter(Boolean).join(", "),
    packages: { "@litertjs/core": __LITERT_VERSION__, "onnxruntime-web": __ONNXRUNTIME_VERSION__ },
  };
}
