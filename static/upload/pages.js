// Pages of the server that take the place of the one that is shown, and what they say.

let number = history.state?.number ?? 0; // of the page that is shown, among those in its place

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// Shows a page as if the browser had gone to it: Back leads to the one before.
export async function show(next, address) {
  await Promise.all(missingStyles(next).map(load));
  document.title = next.title;
  history.replaceState({number}, "");
  number += 1;
  history.pushState({number}, "", address);
  document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
  const loaded = new Set([...document.scripts].map((script) => script.src));
  for (const script of next.querySelectorAll("script[src]")) {
    if (loaded.has(script.src)) continue;
    const fresh = document.createElement("script");
    fresh.src = script.src;
    fresh.type = script.type;
    document.body.append(fresh);
  }
  scrollTo(0, 0);
  document.querySelector("main").focus({preventScroll: true});
  document.dispatchEvent(new Event("answer"));
}

function missingStyles(next) {
  const styles = (page) => [...page.querySelectorAll("link[rel=stylesheet]")];
  const here = new Set(styles(document).map((link) => link.href));
  return styles(next).filter((link) => !here.has(link.href));
}

function load({href}) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  const done = new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve); // without its style a page can still be read
  });
  document.head.append(link);
  return done;
}

// What a page says is wrong, as an element that can stand on the page that is shown.
export function problemOn(next) {
  const said = next.querySelector("#problem");
  if (said) return document.adoptNode(said);
  const words = [next.querySelector("h1"), next.querySelector(".lead")];
  return problem(words.map((one) => one?.textContent.trim().replace(/[.]?$/, ".")).join(" "));
}

export function problem(words) {
  const box = document.createElement("div");
  box.className = "problem";
  box.id = "problem";
  box.setAttribute("role", "alert");
  box.append(Object.assign(document.createElement("p"), {textContent: words}));
  return box;
}

// Back or forward to a page that another has taken the place of; going to a #part of one is none.
addEventListener("popstate", (event) => {
  if (event.state && event.state.number !== number) location.reload();
});
