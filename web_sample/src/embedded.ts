import type { Artifact, Contract } from "./contract";
import { readContract } from "./contract";
import { SampleError } from "./sample_error";

/** Where `edgecls embed` puts its folder, seen from the page. */
const FOLDER = "edgecls/";

/** What edgecls.json says. */
export async function fetchContract(): Promise<Contract> {
  const response = await request("edgecls.json");
  if (!response.ok) throw new SampleError("There is no model here yet: edgecls embed OUT --into web_sample brings one.");
  return readContract(await response.text());
}

/** An artifact's file, whole. */
export async function fetchArtifact(artifact: Artifact): Promise<Uint8Array> {
  const file = new Uint8Array(await (await fetchEmbedded(artifact.file)).arrayBuffer());
  if (file.length !== artifact.size_bytes || !(await hasDigest(file, artifact.sha256))) {
    throw new SampleError(`${artifact.file} is damaged: it is not the file that edgecls embed wrote. Run it again.`);
  }
  return file;
}

/** A file of the folder. */
export async function fetchEmbedded(file: string): Promise<Response> {
  const response = await request(file);
  if (!response.ok) throw new SampleError(`${file} is missing: run edgecls embed again.`);
  return response;
}

function request(file: string): Promise<Response> {
  return fetch(FOLDER + file).catch(() => {
    throw new SampleError(`${file} cannot be fetched: the server does not answer. Try again.`);
  });
}

/** Browsers compute digests for pages of https and localhost alone; elsewhere the size has to do. */
async function hasDigest(file: Uint8Array, sha256: string): Promise<boolean> {
  if (!globalThis.isSecureContext) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", file as BufferSource));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}
