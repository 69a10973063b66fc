/** A line of prices as small as a word. */

import { svg } from "./dom.js";

const WIDTH = 96;
const HEIGHT = 24;

/** An empty one; see `showSpark`. */
export function spark() {
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" }, svg("polyline"));
}

/** Draw `closes`, pairs of unix seconds and price, the oldest first; `until` is the right end. */
export function showSpark(element, closes, until, seconds = 3600) {
  const line = element.firstChild;
  const prices = closes.map(([, price]) => price).filter((price) => price !== null);
  const points = prices.length > 1 ? shape(closes, Math.min(...prices), Math.max(...prices), until, seconds) : "";
  if (line.getAttribute("points") !== points) line.setAttribute("points", points);
  const way = prices.length > 1 && prices.at(-1) < prices[0] ? "down" : "up";
  if (element.getAttribute("data-way") !== way) element.setAttribute("data-way", way);
}

function shape(closes, low, high, until, seconds) {
  const height = high - low || 1;
  return closes
    .filter(([, price]) => price !== null)
    .map(([at, price]) => {
      const x = Math.max(0, 1 - (until - at - 60) / seconds) * (WIDTH - 2) + 1;
      const y = HEIGHT - 2 - ((price - low) / height) * (HEIGHT - 4);
      return `${Math.min(x, WIDTH - 1).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
