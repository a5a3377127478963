/* Colour: the scale on which gradient norms are drawn, and what the page's theme says. */

import { isNumber } from "./tools.js";

export const SYMBOLS = ["circle", "diamond", "square", "triangle-up"]; // of the four colours of lanes
export const SCALE = { low: -8, high: 2 }; // log10 of the gradient norm: the ends of the colour scale

/** Blue to yellow in equal steps of OKLab lightness: uniform to the eye, safe for the colour-blind. */
export function scaleColour(position) {
  const t = Math.min(1, Math.max(0, position));
  const [L, a, b] = [0.3 + 0.62 * t, -0.015 - 0.03 * Math.sin(Math.PI * t), -0.105 + 0.265 * t];
  const [l, m, s] = [
    (L + 0.3963377774 * a + 0.2158037573 * b) ** 3,
    (L - 0.1055613458 * a - 0.0638541728 * b) ** 3,
    (L - 0.0894841775 * a - 1.291485548 * b) ** 3,
  ];
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const bytes = linear.map((c) => {
    const bounded = Math.min(1, Math.max(0, c));
    return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
  });
  return `rgb(${bytes.join(",")})`;
}

export function gradientColour(norm) {
  if (!isNumber(norm)) return "var(--rv-neutral)";
  const power = norm > 0 ? Math.log10(norm) : SCALE.low;
  return scaleColour((power - SCALE.low) / (SCALE.high - SCALE.low));
}

/** The colours and the font that the page has now, as a chart needs them; the style sheet is told whether it is dark. */
export function readTheme(root) {
  const style = getComputedStyle(root);
  const [r, g, b] = style.color.match(/[\d.]+/g).map(Number);
  root.classList.toggle("rv-dark", 0.3 * r + 0.6 * g + 0.1 * b > 128);
  const of = (name) => style.getPropertyValue(name).trim();
  const mixed = (part) => `rgba(${r},${g},${b},${part})`;
  return {
    text: style.color, muted: mixed(0.76), grid: mixed(0.1), line: mixed(0.3), background: of("--st-background-color") || "#fff",
    font: of("--st-font") || style.fontFamily, lanes: SYMBOLS.map((_, i) => of(`--rv-lane-${i}`)),
  };
}
