// The photos in the grid of the drop field: whole at first, then coarser and coarser as they are
// sent, down to the squares of the grid.

const COLUMNS = 32; // of the grid that the style sheet draws
const LEVELS = [8, 4, 2, 1]; // pixels across a square of the grid, one level after the other
const FALL = 500; // milliseconds from the whole photo to the grid, at the least
const LARGEST = 1600; // pixels: what is drawn is small, and a phone's photo is not

const still = matchMedia("(prefers-reduced-motion: reduce)");

// The pictures in `files`, upright; null for each that this browser cannot show.
export function decode(files) {
  const width = files.length > 1 ? 400 : LARGEST;
  return Promise.all(files.map(async (file) => {
    try {
      const whole = await createImageBitmap(file);
      if (whole.width <= width) return whole;
      const smaller = await createImageBitmap(whole, {resizeWidth: width, resizeQuality: "high"});
      whole.close();
      return smaller;
    } catch {
      return null;
    }
  }));
}

export class Moment {
  #canvas;
  #sheet = document.createElement("canvas");
  #cell = 1; // device pixels of a square of the grid
  #pictures;
  #places = []; // of each picture on the sheet
  #sent = 0;
  #shown = 0;
  #level = -1;
  #last = 0;
  #frame = 0;

  // `part` is what is drawn of a single picture, in shares of its sides.
  constructor(canvas, pictures, part = {x: 0, y: 0, w: 1, h: 1}) {
    this.#canvas = canvas;
    this.#pictures = pictures.filter(Boolean);
    canvas.hidden = !this.#pictures.length;
    if (canvas.hidden) return;
    const {clientWidth: width, clientHeight: height} = canvas.parentElement;
    this.#cell = Math.max(8, Math.ceil(width * devicePixelRatio / COLUMNS / 8) * 8);
    const rows = Math.max(1, Math.round(height / (width / COLUMNS)));
    for (const one of [canvas, this.#sheet]) {
      one.width = COLUMNS * this.#cell;
      one.height = rows * this.#cell;
    }
    this.#layOut(rows, part);
    this.#draw(-1);
  }

  // Where the first picture is on the canvas, in the canvas' own pixels.
  get place() {
    return this.#places[0];
  }

  // Draws the whole photos again, for something to be drawn over them.
  restore() {
    cancelAnimationFrame(this.#frame);
    this.#sent = this.#shown = 0;
    if (this.#places.length) this.#draw(-1);
  }

  progress(share) {
    if (!this.#places.length) return;
    if (!this.#sent) this.#last = performance.now();
    this.#sent = Math.max(this.#sent, share);
    if (still.matches) {
      this.#shown = this.#sent === 1 ? 1 : 0;
      this.#follow();
    } else {
      cancelAnimationFrame(this.#frame);
      this.#frame = requestAnimationFrame((now) => this.#fall(now));
    }
  }

  // Resolves when the grid is reached.  A tab that nobody sees draws nothing, so it is not waited
  // for longer than it would take.
  settled() {
    if (!this.#places.length || this.#shown === 1) return Promise.resolve();
    return new Promise((resolve) => { setTimeout(resolve, FALL * (1 - this.#shown)); });
  }

  #fall(now) {
    const step = Math.max(0, now - this.#last) / FALL;
    this.#last = now;
    this.#shown = Math.min(this.#sent, this.#shown + step);
    this.#follow();
    if (this.#shown < this.#sent) {
      this.#frame = requestAnimationFrame((then) => this.#fall(then));
    }
  }

  #follow() {
    const level = Math.floor(this.#shown * LEVELS.length) - 1;
    if (level !== this.#level) this.#draw(level);
  }

  // Each picture fills as many whole squares of the grid as it can without being cut.
  #layOut(rows, part) {
    const across = Math.ceil(Math.sqrt(this.#pictures.length));
    const down = Math.ceil(this.#pictures.length / across);
    const [columnsEach, rowsEach] = [Math.floor(COLUMNS / across), Math.floor(rows / down)];
    const [marginLeft, marginTop] = [COLUMNS - across * columnsEach, rows - down * rowsEach];
    const gap = this.#pictures.length > 1 ? 1 : 0;
    const context = this.#sheet.getContext("2d");
    context.imageSmoothingQuality = "high";
    this.#places = this.#pictures.map((picture, number) => {
      const [wide, high] = [picture.width * part.w, picture.height * part.h];
      const scale = Math.min((columnsEach - gap) / wide, (rowsEach - gap) / high);
      const columns = Math.max(1, Math.round(wide * scale));
      const lines = Math.max(1, Math.round(high * scale));
      const left = Math.floor(marginLeft / 2) + (number % across) * columnsEach +
        Math.floor((columnsEach - columns) / 2);
      const top = Math.floor(marginTop / 2) + Math.floor(number / across) * rowsEach +
        Math.floor((rowsEach - lines) / 2);
      const [x, y, w, h] = [left, top, columns, lines].map((squares) => squares * this.#cell);
      context.drawImage(
        picture, picture.width * part.x, picture.height * part.y, wide, high, x, y, w, h,
      );
      return {x, y, w, h};
    });
  }

  #draw(level) {
    this.#level = level;
    const canvas = this.#canvas;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    let source = this.#sheet;
    for (const across of LEVELS.slice(0, level + 1)) {
      const coarse = document.createElement("canvas");
      coarse.width = COLUMNS * across;
      coarse.height = canvas.height / this.#cell * across;
      const shrink = coarse.getContext("2d");
      shrink.imageSmoothingQuality = "high";
      shrink.drawImage(source, 0, 0, coarse.width, coarse.height);
      source = coarse;
    }
    context.imageSmoothingEnabled = false;
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    canvas.dataset.columns = level < 0 ? "all" : String(source.width);
  }
}
