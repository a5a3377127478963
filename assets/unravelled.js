/* The unravelled net: its paths lit one by one, by a button that plays them or a slider.
 *
 * `data`: `svg`, drawn by the server with path `path` lit; `takes`, for each path which blocks' branches it takes, as a
 * string of 0 and 1; `words`, what there is to say of each path; `text`, the controls' words; `stamp`, which changes with
 * whatever is drawn. The path at which one stops is sent back as the state "path". At the slowest speed each path is
 * read out by a screen reader; faster ones would be cut off, so there it is read where one stops.
 */

const BEATS = [4000, 900, 300]; // ms a path is lit: slow, normal, fast
const views = new WeakMap();

class Unravelled {
  constructor(root) {
    this.root = root;
    [this.button, this.slider, this.speed, this.said, this.figure] = ["button", "input", "select", ".rv-said", ".rv-figure"].map(
      (part) => root.querySelector(part),
    );
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.speed.selectedIndex = 0; // stills, each for a while
    this.button.addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    this.slider.addEventListener("input", () => this.choose(this.slider.value - 1));
    this.slider.addEventListener("change", () => this.tell?.(this.at));
    this.speed.addEventListener("change", () => this.timer && this.beat());
    this.figure.addEventListener("click", (event) => {
      const part = event.target.closest("[data-path]");
      if (!part) return;
      this.choose(Number(part.dataset.path));
      this.tell?.(this.at);
    });
  }

  update(data) {
    const fresh = data.stamp !== this.data?.stamp;
    this.data = data;
    const { text } = data;
    this.root.querySelector(".rv-path-label").textContent = text.path;
    this.root.querySelector(".rv-speed-label").textContent = text.speed;
    [...this.speed.options].forEach((option, i) => (option.textContent = text.speeds[i]));
    this.figure.setAttribute("aria-label", text.figure);
    if (fresh) {
      this.halt();
      this.figure.innerHTML = data.svg;
      this.parts = [...this.figure.querySelectorAll("[data-path]")].map((part) => [part, Number(part.dataset.path)]);
      this.ways = [...this.figure.querySelectorAll("[data-block]")];
      this.slider.max = data.takes.length;
      this.show(data.path);
    }
    this.label();
  }

  /** Light all paths up to `at`, and show where this one leads. */
  show(at) {
    this.at = at;
    const take = this.data.takes[at];
    for (const [part, path] of this.parts) {
      part.classList.toggle("lit", path <= at);
      part.classList.toggle("now", path === at);
    }
    for (const way of this.ways) way.classList.toggle("on", (take[way.dataset.block] === "1") === (way.dataset.way === "branch"));
    const [title, rest] = this.data.words[at];
    const strong = Object.assign(document.createElement("b"), { textContent: title });
    this.said.replaceChildren(strong, rest);
    this.slider.value = at + 1;
    this.slider.setAttribute("aria-valuetext", title);
  }

  choose(at) {
    this.halt();
    this.label();
    this.show(at);
  }

  play() {
    if (this.at === this.data.takes.length - 1) this.show(0);
    this.beat();
    this.label();
  }

  beat() {
    clearInterval(this.timer);
    this.said.setAttribute("aria-live", this.speed.selectedIndex === 0 ? "polite" : "off");
    this.timer = setInterval(() => {
      if (!this.root.isConnected) return this.halt();
      if (this.at === this.data.takes.length - 2) this.said.setAttribute("aria-live", "polite");
      this.show(this.at + 1);
      if (this.at === this.data.takes.length - 1) this.stop();
    }, BEATS[this.speed.selectedIndex]);
  }

  halt() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.said.setAttribute("aria-live", "polite");
  }

  stop() {
    this.choose(this.at); // said anew, now that it is read out
    this.tell?.(this.at);
  }

  label() {
    this.button.textContent = this.timer ? this.data.text.stop : this.data.text.play;
  }
}

export default function showUnravelled({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".rv-paths");
  let view = views.get(root);
  if (!view) views.set(root, (view = new Unravelled(root)));
  view.tell = (path) => setStateValue("path", path);
  view.update(data);
}
