/* A recording played on a page of its own, without a server: see export/player.py, which writes the page. */

import { Board } from "./board.js";
import { Recording } from "./recording.js";
import { Transport } from "./transport.js";

/** What the feed is to a live board: it tells the board what stands where the playhead is. */
class Film {
  constructor(board, recording) {
    Object.assign(this, { board, recording, end: recording.end, marks: recording.marks, seq: 0 });
    this.transport = new Transport(board, this);
    board.told.line.before(this.transport.node);
    board.connection = "open";
  }

  follow() {
    if (!this.board.race) this.board.restart(this.recording.race);
    this.transport.relabel();
  }

  seek(step, playing, speed) {
    const { board, recording } = this;
    const stopped = recording.stopAt(step);
    const state = playing ? "running" : stopped ? "diverged" : step === this.end ? "finished" : step === 0 ? "ready" : "paused";
    board.status = { state, step, limit: this.end, speed, lane: null, diverged_at: null, overflow: null, ...stopped };
    board.lanes = recording.at(step);
    board.seq = this.seq += 1;
    board.refresh();
  }

  dispose() {
    this.transport.dispose();
  }
}

/** Show a recording in `root`. `texts` are the words, `looks` the lanes' names and colours, `charts` what is drawn. */
export function showFilm(root, { recording, texts, looks, charts }) {
  const read = new Recording(recording);
  const board = new Board(root, (made) => new Film(made, read));
  const show = (language) => {
    document.documentElement.lang = language.replace("_", "-");
    document.title = texts[language].title;
    for (const node of document.querySelectorAll("[data-text]")) node.textContent = texts[language][node.dataset.text];
    for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", button.dataset.language === language);
    board.update({ language, text: texts[language], lanes: looks[language], charts, chains: true });
    board.source.transport.show();
  };
  for (const button of document.querySelectorAll("[data-language]")) button.addEventListener("click", () => show(button.dataset.language));
  document.querySelector("[data-theme-switch]").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    board.refresh();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => board.refresh());
  const asked = [...navigator.languages].map((language) => Object.keys(texts).find((known) => language.startsWith(known.slice(0, 2))));
  show(asked.find(Boolean) ?? Object.keys(texts)[0]);
}
