// Makes the photo form nicer; without it the form is a file field and a button.
"use strict";

const page = {
  form: null, // the form that is on the page now
  request: null, // the upload that is on its way
  number: history.state?.number ?? 0, // of the page that is shown, among those shown in its place
};

function parts() {
  const form = page.form;
  return {
    form,
    field: form.querySelector("#image"),
    camera: form.querySelector("#camera"),
    status: form.querySelector(".drop-status"),
    progress: form.querySelector(".drop-progress"),
    bar: form.querySelector("progress"),
  };
}

function megabytes(bytes, round) {
  return `${round(bytes / 104857.6) / 10} MB`;
}

// What is wrong with so many files of such sizes, or nothing.  Sizes are rounded up, so that they
// never read the same as the limit.
function problem(files, {maxBytes, maxTotal, maxPhotos}) {
  if (files.length > Number(maxPhotos)) {
    return `You chose ${files.length} photos; ${maxPhotos} at a time is the most. Choose fewer.`;
  }
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length === 1 && total > Number(maxBytes)) {
    return `That file has ${megabytes(total, Math.ceil)}; ${megabytes(maxBytes, Math.round)} ` +
      "is the most that is taken. Choose a smaller one.";
  }
  if (total > Number(maxTotal)) {
    return `They have ${megabytes(total, Math.ceil)} together; ` +
      `${megabytes(maxTotal, Math.round)} is the most at a time. Choose fewer.`;
  }
  return "";
}

function ready() {
  const {form, field, camera, status, progress} = parts();
  field.value = "";
  camera.value = "";
  form.classList.remove("drop-sending");
  progress.hidden = true;
  status.textContent = "";
}

function fail(message) {
  ready();
  parts().status.textContent = message;
}

function send(files) {
  const {form, field, camera, status, progress, bar} = parts();
  if (!files.length || field.disabled || page.request) return;
  const wrong = problem(files, form.dataset);
  if (wrong) {
    fail(wrong);
    return;
  }
  const named = files.length === 1 ? files[0].name : `${files.length} photos`;
  field.value = "";
  camera.value = "";
  const data = new FormData(form);
  data.delete("image");
  for (const file of files) data.append("image", file);

  const request = new XMLHttpRequest();
  page.request = request;
  form.classList.add("drop-sending");
  progress.hidden = false;
  bar.value = 0;
  status.textContent = `Sending ${named} …`;
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) bar.value = event.loaded / event.total;
  });
  request.upload.addEventListener("load", () => {
    progress.hidden = true;
    status.textContent = `Looking at ${named} …`;
  });
  request.addEventListener("load", () => {
    if (request.getResponseHeader("Content-Type")?.startsWith("text/html")) {
      show(request.responseText);
    } else {
      fail(`That did not work (${request.status}). Please try again in a moment.`);
    }
  });
  request.addEventListener("error", () => {
    fail(`${named} did not arrive: the connection broke. Please choose again.`);
  });
  request.addEventListener("abort", () => fail("Stopped. Nothing was kept."));
  request.addEventListener("loadend", () => {
    page.request = null;
  });
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "text/html");
  request.send(data);
}

// Shows an answer as if the browser had gone to it: Back leads to the form again.
function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  document.title = next.title;
  history.replaceState({number: page.number}, "");
  page.number += 1;
  history.pushState({number: page.number}, "", page.form.action);
  document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
  const loaded = new Set([...document.scripts].map((script) => script.src));
  for (const script of next.querySelectorAll("script[src]")) {
    if (loaded.has(script.src)) continue;
    const fresh = document.createElement("script");
    fresh.src = script.src;
    document.body.append(fresh);
  }
  start();
  scrollTo(0, 0);
  document.querySelector("main").focus({preventScroll: true});
  document.dispatchEvent(new Event("answer"));
}

function start() {
  page.form = document.querySelector("form.drop");
  const {form, field, camera, progress} = parts();
  form.classList.add("drop-live");
  for (const input of [field, camera]) {
    input.addEventListener("change", () => send([...input.files]));
    // Choosing the same photo again, after it was stopped, is a change only from nothing.
    input.addEventListener("click", () => page.request || ready());
  }
  progress.querySelector(".drop-stop").addEventListener("click", () => page.request?.abort());
}

// Pictures, if there are any: a page that is dragged brings its address along as a text.
function take(files) {
  const all = [...files];
  const pictures = all.filter((file) => file.type.startsWith("image/"));
  send(pictures.length ? all : all.slice(0, 1));
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
// Back or forward to a page that another has taken the place of; going to a #part of one is none.
window.addEventListener("popstate", (event) => {
  if (event.state && event.state.number !== page.number) location.reload();
});

// Coming back with the browser's Back button shows the page as it was left.
window.addEventListener("pageshow", () => page.request || ready());

start();
