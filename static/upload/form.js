// Makes the photo form nicer; without it the form is a file field and a button.

import {Moment, decode} from "./moment.js";
import {parse, problem, problemOn, show} from "./pages.js";
import {post, problemOf} from "./sending.js";

const CHOSEN = "The photo is still chosen: try again, or choose another one.";

const page = {
  form: null, // the form that is on the page now
  files: [], // the photos that were chosen last
  pictures: [], // the same, as far as this browser can show them
  moment: null, // how they are drawn
  upload: null, // the upload that is on its way
  crop: null,
  camera: null,
};

function parts() {
  const {form} = page;
  const find = (selector) => form.querySelector(selector);
  return {
    form,
    field: find("#image"),
    camera: find("#camera"),
    canvas: find(".drop-canvas"),
    status: find(".drop-status"),
    progress: find(".drop-progress"),
    bar: find("progress"),
    send: find(".drop-send"),
    other: find(".drop-other"),
    watch: find(".drop-watch"),
    // On the page of an answer, beside what was answered.
    part: document.querySelector(".told-part"),
    first: find("#crop-first"),
  };
}

function say(words) {
  const {status} = parts();
  if (status.textContent !== words) status.textContent = words;
}

// The form's buttons: what the first one does, and the second, if there are any.
function offer(send, other) {
  const all = parts();
  all.form.classList.toggle("drop-offers", Boolean(send));
  if (send) all.send.textContent = send;
  all.other.hidden = !other;
  all.other.textContent = other ?? "";
}

// Nothing is on its way, and whatever was drawn stays.
function rest() {
  const {form, progress} = parts();
  page.crop?.end();
  page.crop = null;
  page.camera?.stop("");
  form.classList.remove("drop-sending", "drop-cropping", "drop-watching");
  progress.hidden = true;
  offer("");
}

function clear() {
  const {form, field, camera, canvas} = parts();
  rest();
  page.files = page.pictures = [];
  page.moment = null;
  canvas.hidden = true;
  field.value = camera.value = "";
  form.classList.remove("drop-showing");
  say("");
}

function showProblem(box) {
  document.querySelector("#problem")?.remove();
  if (box) page.form.before(box);
}

// What did not work, and the photos still chosen.
function fail(words, box, again = true) {
  rest();
  page.moment?.restore();
  showProblem(box ?? null);
  say(words);
  offer(again ? "Try again" : "");
  // So they are sent by the form itself, should this script have broken.
  const held = new DataTransfer();
  for (const file of page.files) held.items.add(file);
  parts().field.files = held.files;
}

async function choose(files) {
  const {form, field, camera, canvas, first} = parts();
  if (!files.length || field.disabled || page.upload) return;
  const wrong = problemOf(files, form.dataset);
  clear();
  showProblem(null);
  if (wrong) {
    say(wrong);
    return;
  }
  page.files = files;
  field.value = camera.value = "";
  const cropping = first.checked && files.length === 1;
  const drawn = draw(files, canvas);
  if (cropping) {
    await drawn;
    cropFirst();
  } else {
    send();
  }
}

async function draw(files, canvas) {
  const pictures = await decode(files);
  if (page.files !== files || parts().canvas !== canvas) return;
  page.pictures = pictures;
  page.form.classList.toggle("drop-showing", pictures.some(Boolean));
  page.moment = new Moment(canvas, pictures);
  if (page.upload) page.moment.progress(page.upload.share);
}

async function cropFirst() {
  const {form, canvas} = parts();
  if (!page.pictures[0]) {
    say("This browser cannot show that file, so no part of it can be chosen here.");
    offer("Classify all of it");
    return;
  }
  const {Crop, HINT} = await import("./crop.js");
  form.classList.add("drop-cropping");
  page.crop = new Crop(canvas, page.moment, say);
  say(HINT);
  offer("Classify this part", "All of it");
}

// Back to the answer that the part was asked about, or to no photo at all.
function cancelCrop() {
  const {form, canvas, part} = parts();
  if (!part) {
    clear();
    return;
  }
  rest();
  canvas.hidden = true;
  form.classList.remove("drop-showing");
  say("");
  part.hidden = false;
  part.focus();
}

// Asks about the photos that are chosen, or about a part of the one.
async function send(part) {
  const {form, progress, bar, canvas} = parts();
  const {files} = page;
  if (page.upload) return;
  if (!files.length) {
    say("Choose a photo first.");
    return;
  }
  rest();
  showProblem(null);
  if (part) page.moment = new Moment(canvas, page.pictures, part);
  const named = files.length === 1 ? files[0].name : `${files.length} photos`;
  const data = new FormData(form);
  data.delete("image");
  for (const file of files) data.append("image", file);
  for (const [name, share] of Object.entries(part ?? {})) data.append(name, share.toFixed(5));
  form.classList.add("drop-sending");
  progress.hidden = false;
  bar.value = 0;
  say(`Sending ${named} …`);
  const upload = post(form.action, data, (share) => {
    upload.share = bar.value = share;
    page.moment?.progress(share);
    if (share === 1) {
      progress.hidden = true;
      say(`Looking at ${named} …`);
    }
  });
  upload.share = 0;
  page.upload = upload;
  try {
    await receive(await upload.answered);
  } catch (error) {
    page.upload = null;
    fail(...(error.message === "abort" ? [`Stopped. Nothing was kept.`]
      : [CHOSEN, problem(`${named} did not arrive: the connection was lost.`)]));
  }
}

async function receive(request) {
  const {form} = page;
  if (!request.getResponseHeader("Content-Type")?.startsWith("text/html")) {
    page.upload = null;
    fail(CHOSEN, problem(request.status >= 500
      ? `The server could not answer (${request.status}). Wait a moment, then try again.`
      : `The server refused the upload (${request.status}). Choose a smaller or another photo.`));
    return;
  }
  const next = parse(request.responseText);
  if (request.status >= 400) {
    const token = next.querySelector("form.drop [name=csrf_token]");
    if (token) form.querySelector("[name=csrf_token]").value = token.value;
    page.upload = null;
    // The server would say the same of the same file: what is wrong with it is no passing trouble.
    const box = problemOn(next);
    const passing = request.status >= 500 || request.status === 429 || "again" in box.dataset;
    const words = page.files.length > 1 ? CHOSEN.replace("photo is", "photos are") : CHOSEN;
    fail(passing ? words : "", box, passing);
    return;
  }
  await page.moment?.settled();
  await show(next, form.action);
  page.upload = null;
  start();
}

async function watch() {
  const {form, canvas} = parts();
  if (page.camera) {
    page.camera.stop("");
    return;
  }
  if (page.upload) return;
  clear();
  showProblem(null);
  canvas.hidden = true;
  form.classList.add("drop-watching");
  parts().watch.textContent = "Stop the camera";
  say("Starting the camera …");
  const {Camera} = await import("./camera.js");
  page.camera = new Camera(form, say, {
    playing: () => offer("Classify this picture"),
    ended: () => {
      page.camera = null;
      if (page.form !== form) return;
      form.classList.remove("drop-watching");
      form.querySelector(".drop-watch").textContent = "Live camera";
      offer("");
    },
  });
  await page.camera.start();
}

function start() {
  page.form = document.querySelector("form.drop");
  const {form, field, camera, canvas, watch: watchButton, part, other, progress} = parts();
  form.classList.add("drop-live");
  for (const input of [field, camera]) {
    input.addEventListener("change", () => choose([...input.files]));
    // Choosing the same photo again is a change only from nothing.
    input.addEventListener("click", () => { input.value = ""; });
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (page.camera) {
      const file = await page.camera.frame();
      if (!file) return;
      page.camera?.stop(""); // it may have ended by itself meanwhile
      choose([file]);
    } else {
      send(page.crop ? {...page.crop.part} : undefined);
    }
  });
  other.addEventListener("click", () => send());
  progress.querySelector(".drop-stop").addEventListener("click", () => page.upload?.abort());
  watchButton.addEventListener("click", watch);
  form.querySelector(".drop-cancel").addEventListener("click", cancelCrop);
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && page.crop) cancelCrop();
  });
  if (!part) return;
  // After an answer the photo is still here, so a part of it can be asked about.
  part.hidden = page.files.length !== 1 || !page.pictures[0];
  part.addEventListener("click", () => {
    part.hidden = true;
    form.classList.add("drop-showing");
    page.moment = new Moment(canvas, page.pictures);
    cropFirst();
    form.scrollIntoView({block: "center"});
  });
}

// Pictures, if there are any: a page that is dragged brings its address along as a text.
function take(files) {
  const all = [...files];
  const pictures = all.filter((file) => file.type.startsWith("image/"));
  choose(pictures.length ? all : all.slice(0, 1));
}

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    page.form.classList.add("drop-over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) page.form.classList.remove("drop-over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  page.form.classList.remove("drop-over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});
// Coming back with the browser's Back button shows the page as it was left.
addEventListener("pageshow", (event) => {
  if (event.persisted && !page.upload) clear();
});

start();
