// A picture by choosing, dropping, pasting or camera, made smaller before it travels.
import { Failure } from "./api.js";
import { find } from "./speech.js";

const LONGEST_SIDE = 1280;
const QUALITY = 0.9;

/** Calls `take(file)` for every picture that comes, by whatever way. */
export function watchForPictures(take) {
  const drop = find("drop");
  for (const [button, input] of [["choose", "file"], ["another", "file"], ["camera", "snap"]]) {
    find(button).addEventListener("click", () => find(input).click());
  }
  for (const input of [find("file"), find("snap")]) {
    input.addEventListener("change", () => {
      if (input.files[0]) take(input.files[0]);
      input.value = "";
    });
  }
  addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
}

/**
 * The picture as a small JPEG. What this browser cannot draw goes as it is, for the server reads more kinds,
 * unless it is too large for that.
 */
export async function shrunk(file, mostBytes) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    if (file.size > mostBytes) throw new Failure(file.type.startsWith("image/") ? "TOO_LARGE" : "INVALID_IMAGE");
    return file;
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d");
  // JPEG has no transparency.
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? file), "image/jpeg", QUALITY));
}

let address = null;

/** Show it on the left leaf; `alternative` is what is read aloud. */
export function showPicture(blob, alternative) {
  if (address) URL.revokeObjectURL(address);
  address = blob && URL.createObjectURL(blob);
  find("invite").hidden = Boolean(blob);
  find("shown").hidden = !blob;
  find("preview").alt = blob ? alternative : "";
  if (blob) find("preview").src = address;
}
