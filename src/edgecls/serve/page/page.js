// The page of `edgecls serve`: a picture goes to POST /predict as it is, the best classes come back.

const CAMERA_PAUSE_MS = 250; // between the answer to one frame and the next
const at = (id) => document.getElementById(id);
const [drop, file, shown, video, camera, again] = ["drop", "file", "shown", "video", "camera", "again"].map(at);
const artifact = at("artifact");

let uploadBytes = Infinity;
let picture = null; // the last blob that was asked about
let stream = null; // of the camera
let asked = 0; // number of the newest question: answers to older ones are not shown
let token = sessionStorage.getItem("token") ?? "";
let known = [];

function complain(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer.");
  }
  at("key").hidden = response.status !== 401;
  if (response.status === 401) at("token").focus();
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The server answers ${response.status}.`);
  return answer;
}

async function loadArtifacts() {
  try {
    const offer = await request("/artifacts");
    uploadBytes = offer.upload_bytes;
    known = offer.artifacts;
    artifact.replaceChildren(...known.map(({ name }) => new Option(name, name)));
    showNote();
    complain("");
  } catch (error) {
    complain(error.message);
  }
}

function showNote() {
  const chosen = known.find(({ name }) => name === artifact.value);
  at("note").textContent = chosen
    ? [`${chosen.width} × ${chosen.height} pixels, ${chosen.classes} classes.`, chosen.note].filter(Boolean).join(" ")
    : "";
}

async function ask(blob) {
  const number = ++asked;
  picture = blob;
  again.hidden = Boolean(stream);
  if (blob.size > uploadBytes) {
    complain(`The picture has ${blob.size.toLocaleString()} bytes; this server takes ${uploadBytes.toLocaleString()}.`);
    return;
  }
  const began = performance.now();
  try {
    const query = new URLSearchParams({ top: "3", artifact: artifact.value });
    const answer = await request(`/predict?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: blob,
    });
    if (number === asked) show(answer, performance.now() - began);
  } catch (error) {
    if (number === asked) complain(error.message);
  }
}

function show(answer, roundTripMs) {
  complain("");
  at("answer").replaceChildren(
    ...answer.predictions.map(({ label, probability }) => {
      const row = document.createElement("li");
      const bar = document.createElement("progress");
      bar.max = 1;
      bar.value = Math.min(1, Math.max(0, probability));
      bar.setAttribute("aria-hidden", "true");
      const [name, share] = [label, `${(100 * probability).toFixed(1)} %`].map((text) => {
        const cell = document.createElement("span");
        cell.textContent = text;
        return cell;
      });
      row.append(bar, name, share);
      return row;
    }),
  );
  at("time").textContent =
    `${answer.artifact}: ${answer.compute_ms.toFixed(1)} ms in the model, ${roundTripMs.toFixed(0)} ms there and back.`;
}

function take(blob) {
  if (!blob) return;
  stopCamera();
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(blob);
  shown.hidden = false;
  at("hint").textContent = "Drop another picture here, paste one, or choose a file";
  ask(blob);
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.hidden = true;
  again.hidden = !picture;
  camera.setAttribute("aria-pressed", "false");
  camera.textContent = "Use the camera";
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    complain("The browser gives the camera to pages of this machine or over https alone.");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    complain(`The camera cannot be used: ${error.message}`);
    return;
  }
  complain("");
  video.srcObject = stream;
  video.hidden = false;
  shown.hidden = true;
  again.hidden = true;
  camera.setAttribute("aria-pressed", "true");
  camera.textContent = "Stop the camera";
  await video.play();
  watch(stream);
}

async function watch(own) {
  const canvas = document.createElement("canvas");
  while (stream === own) {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    if (canvas.width) {
      canvas.getContext("2d").drawImage(video, 0, 0);
      const frame = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
      if (stream === own && frame) await ask(frame);
    }
    await new Promise((resolve) => setTimeout(resolve, CAMERA_PAUSE_MS));
  }
}

file.addEventListener("change", () => take(file.files[0]));
camera.addEventListener("click", () => (stream ? stopCamera() : startCamera()));
again.addEventListener("click", () => picture && ask(picture));
artifact.addEventListener("change", () => {
  showNote();
  if (picture && !stream) ask(picture);
});
at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value;
  sessionStorage.setItem("token", token);
  loadArtifacts();
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
loadArtifacts();
