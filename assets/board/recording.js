/* A recording: every step's row and every probe of a few lanes, as a file holds them, and what stands at any of its steps.
 *
 * Its numbers are in single precision, little-endian, in base64, each array with its shape; the step is the first axis.
 * The row of a step was measured on the batch that comes next, by the net as it stands there.
 */

import { averageBins, KEPT } from "./series.js";

const CURVES = { loss: "loss", accuracy: "accuracy" };
const PROBED = { loss: "test_loss", accuracy: "test_accuracy" };
const MEANS = { weight_norm: "weight_norm", ratio: "ratio", cosine: "cosine" }; // of the blocks
const PROFILES = ["weight_gradient", "ratio", "share", "cosine", "weight_norm"];

/** The numbers of one array as lists, a list a step; what is not finite is null. */
export function readArray({ shape, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const number = (i) => {
    const value = view.getFloat32(4 * i, true);
    return Number.isFinite(value) ? value : null;
  };
  const [rows, columns] = shape;
  if (columns === undefined) return Array.from({ length: rows }, (_, i) => number(i));
  return Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (__, k) => number(i * columns + k)));
}

const meanOf = (values) => {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
};

/** The place of the newest step that is not after `step`; -1 where there is none. */
export function findNewest(steps, step) {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The first `count` numbers of a series, thinned as the live board's are. */
function take(series, count) {
  let taken = Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.slice(0, count)]));
  while (taken.step.length > KEPT) taken = Object.fromEntries(Object.entries(taken).map(([name, values]) => [name, averageBins(values, 2)]));
  return taken;
}

class RecordedLane {
  constructor({ net, arrays, probe_step: probeStep, stages, marks = [], watched, overflow }) {
    const read = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, readArray(array)]));
    Object.assign(this, { net, read, stages, marks, overflow, probeStep });
    const named = (names) => Object.fromEntries(Object.entries(names).map(([name, source]) => [name, read[source]]));
    const watch = (values) => (watched === null ? meanOf(values) : values[watched]);
    const means = Object.entries(MEANS).map(([name, source]) => [name, read[source].map(watch)]);
    this.points = { step: read.loss.map((_, i) => i), ...named(CURVES) };
    this.probes = { step: probeStep, ...named(PROBED), ...Object.fromEntries(means) };
  }

  /** The last step that was measured. */
  get end() {
    return this.points.step.length - 1;
  }

  /** The lane as the board draws it, where training stood at `step`; a lane that stopped before stays where it stopped. */
  at(step) {
    const row = Math.min(step, this.end);
    const probe = findNewest(this.probeStep, step);
    const profiles = PROFILES.map((name) => [name, this.read[name][probe] ?? null]);
    return {
      ...this.net, ...this.stages[findNewest(this.stages.map(({ step: first }) => first), step)], step,
      points: take(this.points, row + 1), probes: take(this.probes, probe + 1),
      gradient: this.read.gradient[row] ?? null, ...Object.fromEntries(profiles),
      marks: this.marks, scores: null, scores_before: null, probed: this.probeStep[probe] ?? null,
    };
  }
}

export class Recording {
  constructor({ race, lanes, marks = [] }) {
    Object.assign(this, { race, marks, lanes: lanes.map((lane) => new RecordedLane(lane)) });
  }

  get end() {
    return Math.max(...this.lanes.map(({ end }) => end));
  }

  at(step) {
    return this.lanes.map((lane) => lane.at(step));
  }

  /** Of the first lane that had to stop at or before `step`: which, where and why. */
  stopAt(step) {
    const lane = this.lanes.findIndex((one) => one.overflow !== null && one.end < step + 1 && step >= one.end);
    return lane < 0 ? null : { lane, diverged_at: this.lanes[lane].end + 1, overflow: this.lanes[lane].overflow };
  }
}
