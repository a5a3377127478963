/* How the race stands, in words: state, step and speed, a bar, a notice of what went wrong, a summary for those who listen. */

import { marksOf, say } from "./marks.js";
import { scoresOf } from "./series.js";
import { fill, html, isNumber, part, percent, scientific, setAttribute, setText } from "./tools.js";

const SUMMARY_MS = 5000; // pause between two spoken summaries, and how long news is a part of them

export class Status {
  constructor(board) {
    Object.assign(this, { board, bar: html("i"), notice: part("notice", "p"), summary: null });
    this.words = { state: part("state", "strong"), step: part("step", "span"), speed: part("speed", "span"), connection: part("connection", "span") };
    this.line = part("status");
    this.line.append(...Object.values(this.words));
    this.progress = html("div", { class: "rv-progress", "aria-hidden": "true" }, this.bar);
    this.spoken = part("summary", "p", { class: "rv-hidden", "aria-live": "polite" });
    this.notice.hidden = true;
  }

  draw() {
    const { board, words } = this;
    const { text, connection } = board;
    const { step, speed } = board.status;
    const state = connection === "open" ? board.status.state : ""; // of a server that is not heard nothing is claimed
    const limit = board.status.limit ?? board.race?.limit;
    setText(words.state, text[`state_${state}`] ?? "");
    setText(words.step, limit ? fill(text.step_of, { step: board.count(step), limit: board.count(limit) }) : "");
    const speedWords = isNumber(speed) ? fill(text.speed, { speed: board.count(speed) }) : "";
    setText(words.speed, { running: speedWords, finished: text.finished_note }[state] ?? "");
    setText(words.connection, text[`connection_${connection}`] ?? "");
    setAttribute(this.bar, "style", `width:${limit ? (100 * Math.min(1, step / limit)).toFixed(2) : 0}%`);
    this.drawNotice();
  }

  drawNotice() {
    const { board } = this;
    const { text } = board;
    const { state, lane, step, diverged_at: divergedAt, overflow } = board.status;
    const full = board.full ? text.cuts_full : undefined;
    const words = text[`notice_${board.connection}`] ?? { diverged: text.diverged, failed: text.failed }[state] ?? full;
    this.notice.hidden = !words;
    if (!words) return;
    const reason = text[`overflow_${overflow}`];
    setText(this.notice, fill(words, { lane: board.laneName(lane ?? 0), step: board.count(divergedAt ?? step), reason }));
  }

  /** Whether a shortcut has been cut or mended since this was asked last; for a while it is told. */
  hearNews(now) {
    const { board } = this;
    const marks = marksOf(board);
    const fresh = this.marks ? marks.filter((mark) => !this.marks.has(JSON.stringify(mark))) : [];
    if (board.race) this.marks = new Set(marks.map((mark) => JSON.stringify(mark))); // of a race just opened they are no news
    if (fresh.length) this.news = { words: fresh.map((mark) => say(board, mark)), until: now + SUMMARY_MS };
    else if (this.news?.until < now) this.news = null;
    return fresh.length > 0;
  }

  /** The summary in words, for those who listen: at each change of state, at once where a shortcut is cut, else every five seconds. */
  speak() {
    const now = performance.now();
    const isNews = this.hearNews(now);
    const { board } = this;
    const { text } = board;
    const state = this.words.state.textContent || this.words.connection.textContent;
    const running = board.status.state === "running" && this.summary?.state === state && !isNews;
    if (!board.race || (running && now - this.summary.at < SUMMARY_MS)) return; // at rest what is measured there is said, too
    this.summary = { state, at: now };
    const lanes = board.lanes.map((lane, i) => fill(text.summary_lane, {
      lane: board.laneName(i), accuracy: percent(scoresOf(lane).training_accuracy), gradient: scientific(lane.gradient?.[0]),
    }));
    const notice = this.notice.hidden ? [] : [this.notice.textContent];
    const parts = [...(this.news?.words ?? []), state, this.words.step.textContent, ...notice, ...lanes];
    setText(this.spoken, parts.map((words) => words.replace(/[.。]$/, "")).join(text.sentence_end));
  }
}
