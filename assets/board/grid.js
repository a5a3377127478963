/* The charts side by side: which there are, and how much of a frame they may take. */

import { Chart } from "./chart.js";
import { besidePage } from "./feed.js";
import { CHARTS } from "./figures.js";
import { html } from "./tools.js";

const CHARTS_MS = 28; // what one frame may spend on charts; the others wait for the next
let plotlyLoading = null;

/** plotly.js of the server, once for a page; where it could not be had, the next call asks anew. */
export function loadPlotly(address) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  plotlyLoading ??= new Promise((resolve, reject) => {
    const script = html("script", { src: besidePage(address) });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotlyLoading = null;
      reject(new Error(address));
    };
    document.head.append(script);
  });
  return plotlyLoading;
}

export class Grid {
  constructor(board) {
    Object.assign(this, { board, charts: [], node: html("div", { class: "rv-grid" }) });
    this.sight = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "100px" });
    this.release = () => this.released();
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, this.release);
  }

  /** Show these charts. As long as they are the same, so are the plots. */
  choose(ids) {
    if (ids.join() === this.charts.map(({ spec }) => spec.id).join()) return;
    this.charts.forEach((chart) => chart.end());
    this.charts = ids.map((id) => new Chart(this.board, CHARTS.find((spec) => spec.id === id)));
    this.node.replaceChildren(...this.charts.map((chart) => chart.node));
    this.sight.disconnect();
    this.charts.forEach((chart) => this.sight.observe(chart.node));
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) this.charts.find(({ node }) => node === target).visible = isIntersecting;
    this.board.schedule();
  }

  released() {
    setTimeout(() => {
      this.charts.forEach((chart) => (chart.held = false));
      this.board.schedule();
    });
  }

  /** The charts that waited longest first; what the budget leaves over is drawn a moment later. */
  draw(Plotly) {
    this.charts.filter((chart) => !chart.drawable).forEach((chart) => chart.drawNote());
    if (!Plotly) return;
    clearTimeout(this.leftOver);
    const begin = performance.now();
    const waiting = this.charts.filter((chart) => chart.drawable).sort((a, b) => a.drawnAt - b.drawnAt);
    const fits = (chart) => performance.now() - begin + chart.cost < CHARTS_MS;
    do waiting.shift()?.draw(Plotly); while (waiting.length && fits(waiting[0]));
    if (waiting.length) this.leftOver = setTimeout(() => this.board.schedule(), this.board.status.state === "running" ? 150 : 0);
  }

  end() {
    this.sight.disconnect();
    for (const name of ["pointerup", "pointercancel"]) window.removeEventListener(name, this.release);
    this.charts.forEach((chart) => chart.end());
  }
}
