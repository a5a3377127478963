/* What is measured of a lane: points as they come, held up to a bound and thinned by averaging for drawing. */

import { isNumber, last } from "./tools.js";

export const KEPT = 2000; // points held per series
const DRAWN = 400; // points drawn per series
const POINTS = ["step", "loss", "accuracy"];
const PROBES = [...POINTS, "weight_norm", "ratio", "cosine"];

const emptySeries = (names) => Object.fromEntries(names.map((name) => [name, []]));

export function averageBins(values, size) {
  const out = [];
  for (let start = 0; start < values.length; start += size) {
    const bin = values.slice(start, start + size).filter(isNumber);
    out.push(bin.length ? bin.reduce((sum, v) => sum + v, 0) / bin.length : null);
  }
  return out;
}

function append(series, more) {
  for (const name in series) for (const value of more[name] ?? []) series[name].push(value);
  if (series.step.length > KEPT) for (const name in series) series[name] = averageBins(series[name], 2);
}

/** x and y of at most DRAWN points; the bin is a power of two, so old bins stay put as points arrive. */
export function thinned(series, name) {
  const size = 2 ** Math.max(0, Math.ceil(Math.log2(series.step.length / DRAWN)));
  if (size === 1) return { x: series.step.slice(), y: series[name].slice() };
  return { x: averageBins(series.step, size), y: averageBins(series[name], size) };
}

/** A lane without points. */
export const startLane = (lane) => ({ ...lane, points: emptySeries(POINTS), probes: emptySeries(PROBES) });

/** Add to a lane what the server tells of it: curves grow, all else is replaced. */
export function addNews(lane, { points, probes, ...latest }) {
  append(lane.points, points);
  append(lane.probes, probes);
  Object.assign(lane, latest);
}

/** The mean of the last few batches: one batch alone jumps too much to be read. */
const recent = (values) => averageBins(values.slice(-5), 5)[0] ?? null;

/** A lane's numbers by the names of their words: where it rests as they are measured there, else the newest of its curves. */
export function scoresOf({ points, probes, scores }) {
  return scores ?? {
    training_accuracy: recent(points.accuracy), held_out_accuracy: last(probes.accuracy),
    weight_norm: last(probes.weight_norm), ratio: last(probes.ratio), cosine: last(probes.cosine),
  };
}
