/** A line of prices as small as a word. */

import { svg } from "./dom.js";

const WIDTH = 80;
const HEIGHT = 24;

/** An empty one; see `showSpark`. */
export function spark() {
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" }, svg("polyline"));
}

/** Draw `closes`, pairs of unix seconds and price, the oldest first: from the first to the last of them, whatever time that is. */
export function showSpark(element, closes) {
  const line = element.firstChild;
  const known = closes.filter(([, price]) => price !== null);
  const points = known.length > 1 ? shape(known) : "";
  if (line.getAttribute("points") !== points) line.setAttribute("points", points);
  const way = known.length > 1 && known.at(-1)[1] < known[0][1] ? "down" : "up";
  if (element.getAttribute("data-way") !== way) element.setAttribute("data-way", way);
}

function shape(closes) {
  const prices = closes.map(([, price]) => price);
  const low = Math.min(...prices);
  const height = Math.max(...prices) - low || 1;
  const begin = closes[0][0];
  const length = closes.at(-1)[0] - begin || 1;
  return closes
    .map(([at, price]) => {
      const x = 1 + ((at - begin) / length) * (WIDTH - 2);
      const y = HEIGHT - 2 - ((price - low) / height) * (HEIGHT - 4);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
