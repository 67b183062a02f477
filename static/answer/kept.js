// Keeps the last answers in this tab: reload, back and forward show them again, and a strip leads to
// each.  Nothing leaves the browser; closing the tab forgets all of it.
"use strict";

const KEPT = {
  most: 8, // answers; fewer where the browser gives less room
  thumbnail: 96, // pixels
  index: "kept-answers", // where the list of them is: {number, label, thumbnail}, the latest last
};

function keptList() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT.index)) ?? [];
  } catch {
    return []; // this browser keeps nothing, or somebody wrote something else there
  }
}

function keptPage(number) {
  return `kept-answer-${number}`;
}

function asked() {
  return /^#kept-(\d+)$/.exec(location.hash)?.[1];
}

// Makes room by forgetting the oldest; false where not even this one fits.
function keep(entry, html) {
  let list = keptList();
  while (true) {
    while (list.length >= KEPT.most) sessionStorage.removeItem(keptPage(list.shift().number));
    try {
      sessionStorage.setItem(keptPage(entry.number), html);
      sessionStorage.setItem(KEPT.index, JSON.stringify([...list, entry]));
      return true;
    } catch {
      sessionStorage.removeItem(keptPage(entry.number));
      if (!list.length) return false;
      sessionStorage.removeItem(keptPage(list.shift().number));
    }
  }
}

async function thumbnail(image) {
  if (!image) return "";
  try {
    await image.decode();
    const side = Math.min(image.naturalWidth, image.naturalHeight);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = KEPT.thumbnail;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = side > 64;
    pen.drawImage(image, (image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2, side,
      side, 0, 0, KEPT.thumbnail, KEPT.thumbnail);
    return canvas.toDataURL("image/jpeg", 0.8);
  } catch {
    return "";
  }
}

// An answer that has just come: kept, and given an address that shows it again.
async function keepAnswer() {
  const main = document.querySelector("main");
  const answer = main.querySelector("[data-answer]");
  if (!answer || asked()) {
    showStrip();
    return;
  }
  const html = main.outerHTML;
  const lasts = "lasts" in answer.dataset; // its address alone brings it back
  const number = Math.max(0, ...keptList().map((one) => one.number)) + 1;
  const address = lasts ? location.pathname + location.search : `#kept-${number}`;
  const list = keptList();
  if (!lasts || !list.some((one) => one.address === address)) {
    const entry = {number, address, label: answer.dataset.answer, thumbnail: ""};
    if (keep(entry, lasts ? "" : html) && !lasts) {
      const home = document.querySelector(".brand").pathname;
      history.replaceState(history.state, "", `${home}#kept-${number}`);
    }
    const shown = await thumbnail(main.querySelector(".look-photo img, .answers-photo"));
    const now = keptList();
    const mine = now.find((one) => one.number === number);
    if (mine) {
      mine.thumbnail = shown;
      try {
        sessionStorage.setItem(KEPT.index, JSON.stringify(now));
      } catch {
        // The strip goes without this one's picture.
      }
    }
  }
  showStrip();
}

function restore() {
  const number = asked();
  if (!number) return;
  let html = null;
  try {
    html = sessionStorage.getItem(keptPage(number));
  } catch {
    // Told below.
  }
  const main = document.querySelector("main");
  if (html) {
    const next = new DOMParser().parseFromString(html, "text/html");
    main.replaceWith(document.adoptNode(next.querySelector("main")));
    document.title = `${document.querySelector("[data-answer]").dataset.answer} · ` +
      document.title.split(" · ").at(-1);
    return;
  }
  const gone = document.createElement("p");
  gone.className = "problem";
  gone.setAttribute("role", "status");
  gone.textContent = "That answer is no longer here: answers are kept in the tab that they were " +
    "given in, until it is closed. Please choose the photo again.";
  main.prepend(gone);
}

function showStrip() {
  document.querySelector(".kept-strip")?.remove();
  // Of one photo with one answer only the latest: asking more about it gives a page of its own.
  const list = keptList().filter((one, place, all) => !one.thumbnail || !all.slice(place + 1).some(
    (later) => later.thumbnail === one.thumbnail && later.label === one.label));
  if (!list.length) return;
  const here = location.hash || location.pathname + location.search;
  const strip = document.createElement("section");
  strip.className = "kept-strip";
  strip.setAttribute("aria-labelledby", "kept-title");
  const title = document.createElement("h2");
  title.id = "kept-title";
  title.textContent = "Your last answers";
  const row = document.createElement("ul");
  for (const {address, label, thumbnail: picture} of [...list].reverse()) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = address.startsWith("#")
      ? document.querySelector(".brand").pathname + address
      : address;
    const shown = list.find((one) => one.address === here) ?? keptList().find((one) =>
      one.address === here);
    if (shown && shown.thumbnail === picture && shown.label === label) link.setAttribute("aria-current", "page");
    const image = document.createElement("img");
    image.alt = "";
    image.width = image.height = KEPT.thumbnail;
    if (picture) image.src = picture;
    const words = document.createElement("span");
    words.textContent = label;
    link.append(...(picture ? [image] : []), words);
    item.append(link);
    row.append(item);
  }
  const note = document.createElement("p");
  note.className = "small";
  note.textContent = "Kept in this tab of your browser only, until you close it.";
  const forget = document.createElement("button");
  forget.type = "button";
  forget.textContent = "Forget them";
  forget.addEventListener("click", () => {
    for (const {number} of keptList()) sessionStorage.removeItem(keptPage(number));
    sessionStorage.removeItem(KEPT.index);
    strip.remove();
  });
  strip.append(title, row, note, forget);
  document.querySelector("main").append(strip);
}

window.addEventListener("hashchange", (event) => {
  const kept = (address) => /#kept-\d+$/.test(address);
  if (kept(event.newURL) || kept(event.oldURL)) location.reload();
});
document.addEventListener("answer", keepAnswer);
// Coming back to a page that the browser had left standing: more may have been kept since.
window.addEventListener("pageshow", (event) => event.persisted && showStrip());

restore();
keepAnswer();
