// Makes the photo form nicer; without it the form is a file field and a button.
"use strict";

const form = document.querySelector("form.drop");
const field = form.elements.image;
const status = form.querySelector(".drop-status");
const ways = form.querySelector(".drop-ways");
const maxBytes = Number(form.dataset.maxBytes);

ways.hidden = false;
form.classList.add("drop-live");

function send() {
  const photo = field.files[0];
  if (!photo) return;
  if (photo.size > maxBytes) {
    // Rounded up, so that it never reads the same as the limit.
    const size = Math.ceil(photo.size / 104857.6) / 10;
    const limit = Math.round(maxBytes / 104857.6) / 10;
    status.textContent =
      `That file has ${size} MB; ${limit} MB is the most that is taken. Choose a smaller one.`;
    field.value = "";
    return;
  }
  status.textContent = `Looking at ${photo.name} …`;
  form.requestSubmit();
}

function take(files) {
  const photo = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
  if (!photo || field.disabled) return;
  const one = new DataTransfer();
  one.items.add(photo);
  field.files = one.files;
  send();
}

function ready() {
  field.value = "";
  form.classList.remove("drop-sending");
  status.textContent = "";
}

field.addEventListener("change", send);
// Choosing the same photo again, after it was stopped on its way, is a change only from nothing.
field.addEventListener("click", ready);
form.addEventListener("submit", () => {
  form.classList.add("drop-sending");
  status.textContent ||= "Looking …";
});

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    form.classList.add("drop-over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("drop-over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("drop-over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});

// Coming back with the browser's Back button shows the page as it was left: made ready again, or
// choosing the same photo would change nothing and send nothing.
window.addEventListener("pageshow", ready);
