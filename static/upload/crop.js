// Choosing a part of the photo that is drawn on a canvas: by pointer, or by keyboard.

const LEAST = 0.06; // of the photo's sides: what a finger can still take hold of
const STEP = 0.02;
const REACH = 22; // CSS pixels around a corner

const BY_POINTER = "Drag over the part you mean.";
const BY_KEYBOARD = "Arrow keys move it, and with Shift they change its size.";
export const HINT = matchMedia("(pointer: coarse)").matches ? BY_POINTER
  : `${BY_POINTER} ${BY_KEYBOARD}`;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Crop {
  #canvas;
  #moment;
  #announce;
  #drag = null;
  #off = new AbortController();
  part = {x: 0.15, y: 0.15, w: 0.7, h: 0.7};

  // `announce` is told of every change that is made by the keyboard.
  constructor(canvas, moment, announce) {
    this.#canvas = canvas;
    this.#moment = moment;
    this.#announce = announce;
    canvas.removeAttribute("aria-hidden");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `The part of the photo that is asked about. ${BY_KEYBOARD}`);
    const {signal} = this.#off;
    canvas.addEventListener("pointerdown", (event) => this.#take(event), {signal});
    canvas.addEventListener("pointermove", (event) => this.#move(event), {signal});
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => { this.#drag = null; }, {signal});
    }
    canvas.addEventListener("keydown", (event) => this.#key(event), {signal});
    this.#draw();
    canvas.focus({preventScroll: true});
  }

  end() {
    this.#off.abort();
    this.#canvas.setAttribute("aria-hidden", "true");
    for (const name of ["role", "aria-label", "tabindex"]) this.#canvas.removeAttribute(name);
    this.#moment.restore();
  }

  // The pointer in shares of the photo, and how far a corner reaches in them.
  #at(event) {
    const {x, y, w, h} = this.#moment.place;
    const shown = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / shown.width;
    return {
      x: clamp(((event.clientX - shown.left) * scale - x) / w, 0, 1),
      y: clamp(((event.clientY - shown.top) * scale - y) / h, 0, 1),
      reach: {x: REACH * scale / w, y: REACH * scale / h},
    };
  }

  #take(event) {
    event.preventDefault();
    this.#canvas.focus({preventScroll: true});
    this.#canvas.setPointerCapture(event.pointerId);
    const {x, y, reach} = this.#at(event);
    const {part} = this;
    const near = (from, to, reached) => Math.abs(from - to) <= reached;
    const side = near(x, part.x, reach.x) ? "left" : near(x, part.x + part.w, reach.x) ? "right" : "";
    const end = near(y, part.y, reach.y) ? "top" : near(y, part.y + part.h, reach.y) ? "bottom" : "";
    if (side && end) {
      // The opposite corner stays where it is.
      this.#drag = {
        x: side === "left" ? part.x + part.w : part.x,
        y: end === "top" ? part.y + part.h : part.y,
      };
    } else if (x > part.x && x < part.x + part.w && y > part.y && y < part.y + part.h) {
      this.#drag = {offset: {x: x - part.x, y: y - part.y}};
    } else {
      this.#drag = {x, y};
    }
  }

  #move(event) {
    if (!this.#drag) return;
    const {x, y} = this.#at(event);
    const {part} = this;
    if (this.#drag.offset) {
      part.x = clamp(x - this.#drag.offset.x, 0, 1 - part.w);
      part.y = clamp(y - this.#drag.offset.y, 0, 1 - part.h);
    } else {
      [part.x, part.w] = span(this.#drag.x, x);
      [part.y, part.h] = span(this.#drag.y, y);
    }
    this.#draw();
  }

  #key(event) {
    const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const {part} = this;
    const [right, down] = step.map((one) => one * STEP);
    if (event.shiftKey) {
      part.w = clamp(part.w + right, LEAST, 1 - part.x);
      part.h = clamp(part.h + down, LEAST, 1 - part.y);
    } else {
      part.x = clamp(part.x + right, 0, 1 - part.w);
      part.y = clamp(part.y + down, 0, 1 - part.h);
    }
    this.#draw();
    const percent = (share) => `${Math.round(share * 100)}%`;
    this.#announce(
      `From ${percent(part.x)} to ${percent(part.x + part.w)} across, ` +
      `${percent(part.y)} to ${percent(part.y + part.h)} down.`,
    );
  }

  #draw() {
    this.#moment.restore();
    const {place} = this.#moment;
    const context = this.#canvas.getContext("2d");
    const line = Math.max(2, this.#canvas.width / 300);
    const box = [
      place.x + this.part.x * place.w, place.y + this.part.y * place.h,
      this.part.w * place.w, this.part.h * place.h,
    ];
    context.fillStyle = "rgb(10 12 20 / 62%)";
    context.beginPath();
    context.rect(place.x, place.y, place.w, place.h);
    context.rect(...box);
    context.fill("evenodd");
    context.lineWidth = line * 2;
    context.strokeStyle = "rgb(10 12 20)";
    context.strokeRect(...box);
    context.lineWidth = line;
    context.strokeStyle = "white";
    context.strokeRect(...box);
    context.fillStyle = "white";
    const knob = line * 5;
    for (const x of [box[0], box[0] + box[2]]) {
      for (const y of [box[1], box[1] + box[3]]) {
        context.fillRect(x - knob / 2, y - knob / 2, knob, knob);
      }
    }
  }
}

// The start and the length of what lies between two places, never less than the least.
function span(from, to) {
  const length = Math.max(Math.abs(to - from), LEAST);
  const start = clamp(to < from ? from - length : from, 0, 1 - length);
  return [start, length];
}
