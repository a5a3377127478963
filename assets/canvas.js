/* A canvas to draw a digit on, with pointer or keyboard.
 *
 * 32×32 dots, black or white; those of each 4×4 cell are counted to 8×8 numbers from 0 to 16, as scikit-learn's digits
 * were made. `data` holds the words and, for the first drawing, the 64 numbers as a string in base 17; every finished
 * stroke is sent back the same way as the state "pixels".
 */

const SIZE = 32;
const CELL = 4;
const SCALE = 8; // screen dots of the canvas per dot drawn
const PEN = 2.3; // radius in dots: a stroke as thick as those in the data
const ORDER = [5, 10, 6, 9, 1, 14, 4, 11, 2, 13, 7, 8, 0, 15, 3, 12]; // which dots of a cell a count fills, first to last
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const pads = new WeakMap();

class Pad {
  constructor(root, pixels) {
    this.root = root;
    this.dots = new Uint8Array(SIZE * SIZE);
    this.cursor = [16, 6];
    this.pen = false; // whether the keyboard's pen is down
    this.canvas = root.querySelector("canvas");
    this.canvas.width = this.canvas.height = SIZE * SCALE;
    this.clear = root.querySelector("button");
    this.words = root.querySelector("[role=status]");
    this.load(pixels);
    this.listen();
  }

  load(pixels) {
    [...(pixels ?? "")].forEach((sign, cell) => {
      const top = CELL * Math.floor(cell / 8);
      const left = CELL * (cell % 8);
      for (const dot of ORDER.slice(0, parseInt(sign, 17)))
        this.dots[(top + Math.floor(dot / CELL)) * SIZE + left + (dot % CELL)] = 1;
    });
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.last = this.place(event);
      this.stroke(this.last, this.last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      for (const step of event.getCoalescedEvents?.() ?? [event]) {
        const here = this.place(step);
        this.stroke(this.last, here);
        this.last = here;
      }
    });
    const lift = () => {
      if (this.last) this.send();
      this.last = null;
    };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("keydown", (event) => this.press(event));
    canvas.addEventListener("keyup", (event) => this.moved && event.key in MOVES && this.settle());
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => this.settle());
    this.clear.addEventListener("click", () => this.wipe());
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) {
      const from = this.cursor;
      this.cursor = from.map((value, axis) => Math.min(SIZE - 1, Math.max(0, value + move[axis])));
      if (this.pen) {
        this.stroke(from, this.cursor);
        this.moved = true;
      }
    } else if (event.key === " " || event.key === "Enter") {
      if (event.repeat) return event.preventDefault();
      this.pen = !this.pen;
      if (this.pen) this.stroke(this.cursor, this.cursor);
      this.send();
    } else if (["Escape", "Delete", "Backspace"].includes(event.key)) {
      this.wipe();
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
    this.say();
  }

  settle() {
    if (this.moved) this.send();
    this.moved = false;
    this.draw();
  }

  wipe() {
    this.dots.fill(0);
    this.pen = false;
    this.send();
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(SIZE * (event.clientX - box.left)) / box.width - 0.5, (SIZE * (event.clientY - box.top)) / box.height - 0.5];
  }

  stroke([x0, y0], [x1, y1]) {
    const steps = Math.ceil(2 * Math.hypot(x1 - x0, y1 - y0)) + 1;
    for (let i = 0; i <= steps; i++) this.dab(x0 + ((x1 - x0) * i) / steps, y0 + ((y1 - y0) * i) / steps);
    this.draw();
  }

  dab(x, y) {
    for (let row = Math.max(0, Math.ceil(y - PEN)); row <= Math.min(SIZE - 1, y + PEN); row++)
      for (let column = Math.max(0, Math.ceil(x - PEN)); column <= Math.min(SIZE - 1, x + PEN); column++)
        if (Math.hypot(row - y, column - x) <= PEN) this.dots[row * SIZE + column] = 1;
  }

  count() {
    const cells = new Array(64).fill(0);
    this.dots.forEach((dot, i) => {
      cells[8 * Math.floor(i / SIZE / CELL) + Math.floor((i % SIZE) / CELL)] += dot;
    });
    return cells;
  }

  send() {
    const text = this.count().map((count) => count.toString(17)).join("");
    if (text !== this.sent) this.tell?.(text);
    this.sent = text;
    this.say();
  }

  say() {
    const ink = this.count().filter((count) => count > 0).length;
    const pen = this.pen ? this.text.pen_down : this.text.pen_up;
    const words = ink ? this.text.drawn.replace("{count}", ink) : this.text.blank;
    const sentence = document.activeElement === this.canvas ? `${words} ${pen}` : words;
    if (this.words.textContent !== sentence) this.words.textContent = sentence;
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.root);
    pen.fillStyle = style.getPropertyValue("--rv-paper");
    pen.fillRect(0, 0, SIZE * SCALE, SIZE * SCALE);
    pen.fillStyle = style.getPropertyValue("--rv-grid");
    for (let i = 1; i < 8; i++) {
      pen.fillRect(i * CELL * SCALE, 0, 1, SIZE * SCALE);
      pen.fillRect(0, i * CELL * SCALE, SIZE * SCALE, 1);
    }
    pen.fillStyle = style.getPropertyValue("--rv-ink");
    this.dots.forEach((dot, i) => dot && pen.fillRect((i % SIZE) * SCALE, Math.floor(i / SIZE) * SCALE, SCALE, SCALE));
    if (document.activeElement !== this.canvas) return;
    pen.lineWidth = 3;
    pen.strokeStyle = style.getPropertyValue(this.pen ? "--rv-down" : "--rv-up");
    pen.strokeRect(this.cursor[0] * SCALE - 3, this.cursor[1] * SCALE - 3, SCALE + 6, SCALE + 6);
  }

  update(data) {
    this.text = data.text;
    this.canvas.setAttribute("aria-label", data.text.label);
    this.clear.textContent = data.text.clear;
    this.say();
    this.draw();
  }
}

export default function showPad({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".rv-canvas");
  let pad = pads.get(root);
  if (!pad) pads.set(root, (pad = new Pad(root, data.pixels)));
  pad.tell = (pixels) => setStateValue("pixels", pixels);
  pad.update(data);
}
