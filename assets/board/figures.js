/* What the charts show: each figure makes traces and axes from the numbers that the board has, and knows its advice. */

import { SCALE, SYMBOLS } from "./colour.js";
import { thinned } from "./series.js";
import { fill, isNumber, last, percentSign, roundUp, scientific, superscript } from "./tools.js";

/** A line of lane `i`; the shape of its markers tells lanes apart without colour, and open ones those of one colour. */
function trace(board, i, { x, y }, { dash = "solid", markers = 0, series = "", digits = ".3~g", unit = "" }) {
  const name = board.laneName(i) + (series && ` · ${series}`);
  const { colour, dash: apart } = board.look(i);
  const color = board.theme.lanes[colour];
  const marker = { symbol: SYMBOLS[colour] + (apart ? "-open" : ""), size: 6, maxdisplayed: markers, color };
  return {
    type: "scatter", x, y, name, marker, mode: markers ? "lines+markers" : "lines", connectgaps: false,
    line: { color, width: dash === "solid" ? 2 : 1.5, dash },
    hovertemplate: `%{y:${digits}}${unit}<extra>${name}</extra>`,
  };
}

function curve(series, name, scale) {
  const { x, y } = thinned(series, name);
  return { x, y: y.map((value) => (isNumber(value) ? value * scale : null)) };
}

function stepTraces(board, name, scale, options) {
  return board.lanes.flatMap((lane, i) => [
    trace(board, i, curve(lane.points, name, scale), { ...options, series: board.text.training_batch }),
    trace(board, i, curve(lane.probes, name, scale), { ...options, series: board.text.held_out_set, dash: "dash", markers: 12 }),
  ]);
}

/** Steps grow in the strides 1, 2, 5: the curve uses the room, and the axis seldom moves. */
function stepRange(board) {
  const steps = board.lanes.flatMap(({ points, probes }) => [last(points.step), last(probes.step)]);
  const newest = Math.max(50, board.race?.recorded ?? 0, ...steps.filter(isNumber));
  const unit = 10 ** Math.floor(Math.log10(newest));
  const end = [1, 2, 5, 10].map((stride) => stride * unit).find((value) => value >= newest);
  return [0, Math.min(end, Math.max(board.race?.limit ?? end, newest))];
}
const valuesOf = (traces) => traces.flatMap(({ y }) => y).filter(isNumber);

function lossFigure(board, mode) {
  const traces = stepTraces(board, "loss", 1, {});
  const values = valuesOf(traces);
  const range = { range: stepRange(board) };
  if (mode !== "log") {
    // BatchNorm's running statistics can throw the first held-out losses far off: the training loss sets the scale.
    const trained = board.lanes.reduce((high, lane) => Math.max(high, ...lane.points.loss), 0) || Math.log(board.race?.classes ?? 10);
    return { traces, x: range, y: { range: [0, roundUp(1.02 * Math.min(Math.max(trained, ...values), 2 * trained))] } };
  }
  const positive = values.filter((value) => value > 0);
  const ends = positive.length ? positive : [0.1, 10];
  const [low, high] = [Math.floor(Math.log10(Math.min(...ends))), Math.ceil(Math.log10(Math.max(...ends)))];
  return { traces, x: range, y: logAxis(low, Math.max(high, low + 1)) };
}

function accuracyFigure(board) {
  const chance = 100 * (board.race?.chance ?? 0);
  const line = { type: "line", xref: "paper", x0: 0, x1: 1, y0: chance, y1: chance, line: { color: board.theme.muted, width: 1, dash: "dot" } };
  const words = fill(board.text.chance, { chance: Number(chance.toPrecision(3)) });
  const label = { xref: "paper", x: 1, y: chance, xanchor: "right", yanchor: "bottom", text: words, showarrow: false, font: { size: 11, color: board.theme.muted } };
  return {
    traces: stepTraces(board, "accuracy", 100, { digits: ".1f", unit: percentSign() }),
    x: { range: stepRange(board) },
    y: { range: [-2, 102], ticksuffix: percentSign(), dtick: 25, tick0: 0 },
    shapes: board.race ? [line] : [],
    annotations: board.race ? [label] : [],
  };
}

/** One line a lane, of what is measured every few steps; dashed where the lane is. */
function probeTraces(board, name, scale = 1, options = {}, from = "probes") {
  return board.lanes.flatMap((lane, i) => {
    const points = curve(lane[from], name, scale);
    const dash = board.look(i).dash ? "dash" : "solid";
    return points.y.some(isNumber) ? [trace(board, i, points, { markers: 10, dash, ...options })] : [];
  });
}

function normFigure(board, mode) {
  const traces = probeTraces(board, "weight_norm", 1, { digits: ".3~g" });
  const values = valuesOf(traces).filter((value) => value > 0);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0.1, 10];
  const y = mode === "log" ? logAxis(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high) + 1e-9)) : { range: [0, roundUp(1.02 * high)] };
  return { traces, x: { range: stepRange(board) }, y };
}

function ratioFigure(board) {
  const traces = probeTraces(board, "ratio");
  return { traces, x: { range: stepRange(board) }, y: { range: [0, roundUp(1.02 * Math.max(0.1, ...valuesOf(traces)))] } };
}

function directionFigure(board) {
  const traces = probeTraces(board, "cosine");
  const low = Math.min(0, ...valuesOf(traces).map((value) => (value < 0 ? -roundUp(-value) : 0)));
  return { traces, x: { range: stepRange(board) }, y: { range: [low - 0.03, 1.03] } };
}

/** The accuracy figure with one line a lane. */
function scoreFigure(board, mode) {
  const training = mode === "training";
  const traces = probeTraces(board, "accuracy", 100, { digits: ".1f", unit: percentSign(), markers: training ? 0 : 10 }, training ? "points" : "probes");
  return { ...accuracyFigure(board), traces };
}

/** Whole decades, six labels at most, in the same script as the words around. */
function logAxis(low, high) {
  const stride = Math.ceil((high - low) / 6) || 1;
  const powers = [];
  for (let power = Math.ceil(low / stride) * stride; power <= high; power += stride) powers.push(power);
  const label = (power) => (power === 0 ? "1" : `10${superscript(power)}`);
  return { type: "log", range: [low - 0.1, high + 0.1], tickvals: powers.map((power) => 10 ** power), ticktext: powers.map(label) };
}

function band(board, x0, x1) {
  const fillcolor = board.theme.text;
  return { type: "rect", yref: "paper", y0: 0, y1: 1, x0, x1, line: { width: 0 }, fillcolor, opacity: 0.08, layer: "below" };
}

/** The decades shown only ever widen (until the race or the choice changes), so the axis holds still. */
function layersFigure(board, mode, chart) {
  const weights = mode === "weights";
  const of = (lane) => (weights ? lane.weight_gradient : lane.gradient);
  const count = Math.max(2, ...board.race?.lanes.map((lane) => lane.layers.length + (weights ? 1 : 0)) ?? [2]);
  const traces = board.lanes.flatMap((lane, i) => {
    const values = of(lane)?.map((v) => (v > 0 ? v : null));
    return values ? [trace(board, i, { x: values.map((_, l) => l + 1), y: values }, { markers: 60, digits: ".2e" })] : [];
  });
  const powers = valuesOf(traces).map(Math.log10);
  chart.decades ??= { low: Infinity, high: -Infinity };
  chart.decades.low = Math.min(chart.decades.low, ...powers.map(Math.floor));
  chart.decades.high = Math.max(chart.decades.high, ...powers.map(Math.ceil));
  const { low, high } = powers.length || chart.decades.low <= chart.decades.high ? chart.decades : SCALE;
  const k = board.selected;
  const shapes = k === null ? [] : [band(board, 2 * k + 1.5, 2 * k + 3.5)];
  return { traces, x: { range: [0.5, count + 0.5] }, y: logAxis(low, Math.max(high, low + 1)), shapes };
}

function blocksFigure(board, mode, chart) {
  const count = Math.max(1, ...board.race?.lanes.map((lane) => lane.blocks.length) ?? [1]);
  const traces = board.lanes.flatMap((lane, i) =>
    lane[mode]?.some(isNumber) ? [trace(board, i, { x: lane[mode].map((_, k) => k + 1), y: lane[mode] }, { markers: 60 })] : []);
  const values = valuesOf(traces);
  chart.low = Math.min(chart.low ?? 0, ...values.map((v) => (v < 0 ? -roundUp(-v) : 0)));
  chart.high = Math.max(chart.high ?? 0, ...values.map((v) => roundUp(v * 1.02)));
  const range = mode === "ratio" ? [0, chart.high || 1] : [chart.low, 1];
  const slack = 0.03 * (range[1] - range[0]);
  const k = board.selected;
  const shapes = k === null ? [] : [band(board, k + 0.5, k + 1.5)];
  return { traces, x: { range: [0.5, count + 0.5] }, y: { range: [range[0] - slack, range[1] + slack] }, shapes };
}

function layersNote(board, mode) {
  return board.lanes.flatMap((lane, i) => {
    const values = mode === "weights" ? lane.weight_gradient : lane.gradient;
    const ratio = values && last(values) > 0 ? values[0] / last(values) : null;
    const sentence = mode === "weights" ? board.text.weights_note : board.text.gradient_note;
    return isNumber(ratio) ? [fill(sentence, { lane: board.laneName(i), ratio: scientific(ratio) })] : [];
  });
}

function blocksNote(board, mode) {
  return [mode === "cosine" || board.lanes.some((lane) => lane.skip) ? board.text[`${mode}_note`] : board.text.no_shortcuts];
}

/** Every chart that a page can ask for: its axis, its modes, the first of which it opens with, and the lines below it. */
export const CHARTS = [
  { id: "loss", x: "axis_step", modes: ["linear", "log"], figure: lossFigure },
  { id: "accuracy", x: "axis_step", modes: [], figure: accuracyFigure },
  { id: "layers", x: "axis_layer", modes: ["activations", "weights"], figure: layersFigure, note: layersNote },
  { id: "blocks", x: "axis_block", modes: ["ratio", "share", "cosine"], figure: blocksFigure, note: blocksNote },
  { id: "weight_norm", x: "axis_step", modes: ["linear", "log"], figure: normFigure, note: ({ text }) => [text.weight_norm_note] },
  { id: "held_out", x: "axis_step", modes: ["held_out", "training"], figure: scoreFigure },
  { id: "branch_ratio", x: "axis_step", modes: [], figure: ratioFigure, note: ({ text }) => [text.ratio_note] },
  { id: "direction", x: "axis_step", modes: [], figure: directionFigure, note: ({ text }) => [text.cosine_note] },
];
