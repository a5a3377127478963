/* Play, pause, one step forward or back, a scrubber over all that is recorded, and a speed: by mouse, touch and keyboard. */

import { fill, html, part, setAttribute, setText, svg } from "./tools.js";

const SPEEDS = [1, 3, 10, 30, 100, 300]; // steps a second
const SLOWEST = 5; // steps a second, where the pace is left to the player: slow enough to talk over
const FASTEST = 100;
const GROWTH = 4; // seconds' worth of steps before it: at that pace the first steps take as long as the next hundred

const SIGNS = { play: "M4 2.5v11l9-5.5z", pause: "M4 3h3v10H4zM9 3h3v10H9z", back: "M12 3 5.5 8 12 13zM3.5 3h1.6v10H3.5z", forward: "M4 3l6.5 5L4 13zM10.9 3h1.6v10h-1.6z" };

/** Steps a second at a step: a number that was chosen, or by itself: slow at first, then faster and faster. */
export const paceAt = (speed, step) => (speed === "auto" ? Math.min(FASTEST, Math.max(SLOWEST, step / GROWTH)) : speed);

/** Where the playhead is after some seconds of playing from `step`, which may lie between two steps. */
export function advance(step, speed, seconds) {
  let [at, left] = [step, seconds];
  while (left > 0) {
    const part = Math.min(left, 0.05);
    at += paceAt(speed, at) * part;
    left -= part;
  }
  return at;
}

export class Transport {
  /** `film` has `end`, `marks` and `seek(step)`; `board` the words. */
  constructor(board, film) {
    Object.assign(this, { board, film, step: 0, playing: false, speed: "auto" });
    this.play = this.button("play", () => this.toggle());
    this.back = this.button("back", () => this.move(-1));
    this.forward = this.button("forward", () => this.move(1));
    this.scrubber = html("input", { type: "range", min: 0, max: film.end, step: 1, value: 0 });
    this.scrubber.addEventListener("input", () => this.go(Number(this.scrubber.value)));
    this.marks = html("div", { class: "rv-marks", "aria-hidden": "true" });
    this.speeds = html("select");
    this.speeds.addEventListener("change", () => this.choose(this.speeds.value));
    this.label = html("label", {}, html("span"), this.speeds);
    const track = html("div", { class: "rv-track" }, this.marks, this.scrubber);
    this.node = part("transport", "div", { role: "group" });
    this.done = html("p", { class: "rv-done" }); // what was done by hand last, before the playhead
    this.done.hidden = !film.marks.length;
    this.node.append(this.back, this.play, this.forward, track, this.label, this.done);
    this.pressed = (event) => this.keyPressed(event);
    document.addEventListener("keydown", this.pressed);
  }

  button(icon, action) {
    const node = html("button", { type: "button", class: `rv-icon rv-${icon}` });
    node.append(svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: SIGNS[icon] })));
    node.addEventListener("click", action);
    return node;
  }

  relabel() {
    const { text } = this.board;
    const label = (node, words) => ["aria-label", "title"].forEach((name) => setAttribute(node, name, words));
    setAttribute(this.node, "aria-label", text.transport);
    label(this.back, text.step_back);
    label(this.forward, text.step_forward);
    setAttribute(this.scrubber, "aria-label", text.axis_step);
    setText(this.label.firstChild, text.speed_label);
    const names = [["auto", text.speed_auto], ...SPEEDS.map((speed) => [speed, fill(text.speed, { speed })])];
    this.speeds.replaceChildren(...names.map(([value, words]) => html("option", { value }, words)));
    this.speeds.value = this.speed;
    this.marks.replaceChildren(...this.film.marks.map(({ step, words }) => {
      const share = this.film.end ? step / this.film.end : 0;
      return html("i", { style: `left:calc(8px + ${share} * (100% - 16px))`, title: words[this.board.data.language] });
    }));
    this.draw();
  }

  draw() {
    const { text } = this.board;
    const words = this.playing ? text.pause : text.play;
    ["aria-label", "title"].forEach((name) => setAttribute(this.play, name, words));
    setAttribute(this.play.querySelector("path"), "d", SIGNS[this.playing ? "pause" : "play"]);
    this.scrubber.value = this.step;
    const done = this.film.marks.filter(({ step }) => step <= this.step).at(-1)?.words[this.board.data.language] ?? "";
    setText(this.done, done);
    const place = fill(text.step_of, { step: this.board.count(this.step), limit: this.board.count(this.film.end) });
    setAttribute(this.scrubber, "aria-valuetext", done ? `${place}${text.sentence_end}${done}` : place);
    setAttribute(this.scrubber, "style", `--done:${this.film.end ? this.step / this.film.end : 0}`);
    this.back.disabled = this.step === 0;
    this.forward.disabled = this.step === this.film.end;
  }

  // -- what the reader does

  toggle() {
    if (this.playing) return this.stop();
    if (this.step === this.film.end) this.go(0);
    this.playing = true;
    Object.assign(this, { exact: this.step, at: performance.now() });
    this.show();
    this.tick();
  }

  stop() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.show();
  }

  /** Some steps on or back, and stand there. */
  move(steps) {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.go(this.step + steps);
  }

  go(step) {
    this.step = this.exact = Math.max(0, Math.min(this.film.end, Math.floor(step)));
    this.at = performance.now();
    this.show();
  }

  choose(speed) {
    this.speed = speed === "auto" ? speed : Number(speed);
    this.speeds.value = this.speed;
  }

  tick() {
    this.frame = requestAnimationFrame((now) => {
      this.exact = advance(this.exact, this.speed, Math.min(0.5, Math.max(0, now - this.at) / 1000)); // a tab that slept does not leap
      this.at = Math.max(now, this.at);
      const step = Math.min(this.film.end, Math.floor(this.exact));
      if (step === this.film.end) this.playing = false;
      if (step !== this.step || !this.playing) {
        this.step = step;
        this.show();
      }
      if (this.playing) this.tick();
    });
  }

  show() {
    this.draw();
    this.film.seek(this.step, this.playing, paceAt(this.speed, this.step));
  }

  /** Keys of the player, wherever the reader is; but not where a control has a use of its own for them. */
  keyPressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const kind = event.target.closest?.("input, select, textarea, button, summary, a, [role=button]")?.tagName;
    const faster = SPEEDS[Math.min(SPEEDS.length - 1, SPEEDS.indexOf(this.speed) + 1)];
    const slower = SPEEDS.indexOf(this.speed) > 0 ? SPEEDS[SPEEDS.indexOf(this.speed) - 1] : "auto";
    const moves = { ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1), Home: () => this.move(-this.step), End: () => this.move(this.film.end) };
    const actions = { ...(kind === "INPUT" || kind === "SELECT" ? {} : moves), ...(kind && kind !== "INPUT" ? {} : { " ": () => this.toggle() }), "<": () => this.choose(slower), ">": () => this.choose(faster) };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  dispose() {
    cancelAnimationFrame(this.frame);
    document.removeEventListener("keydown", this.pressed);
  }
}
