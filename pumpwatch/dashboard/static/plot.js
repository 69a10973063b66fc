/** Plotly, from our own server: how it is loaded under a strict policy, and how a picture of candles is told to it. */

import { price } from "./core/format.js";

let loading = null;

/**
 * The library, loaded once, as a classic script.
 *
 * It would write its rules into <style> elements, which the page's policy forbids (`style-src 'self'`): ours are in chart.css. It
 * leaves its own out where it finds an element of this id and class; those of its maps, which are not used here, do not ask.
 */
export function loadPlotly(url) {
  loading ??= new Promise((resolve, reject) => {
    const mark = document.createElement("template");
    mark.id = "plotly.js-style-global";
    mark.className = "no-inline-styles";
    document.head.append(mark);
    const head = document.head;
    head.appendChild = (node) => (node.nodeName === "STYLE" ? node : Node.prototype.appendChild.call(head, node));
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => {
      delete head.appendChild;
      resolve(window.Plotly);
    };
    script.onerror = () => {
      delete head.appendChild;
      loading = null;
      reject(new Error("The chart's script could not be loaded."));
    };
    head.append(script);
  });
  return loading;
}

export const CONFIG = {
  displayModeBar: false,
  displaylogo: false,
  doubleClick: false,
  responsive: true,
  scrollZoom: false,
  showTips: false,
  topojsonURL: "/static/", // never asked for; its default is a server of others
};

const NAMES = ["card", "raised", "line", "text", "soft", "accent", "up", "down", "warn", "bad-soft"];

/** The page's colours of now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Candles above their volume: what plotly calls traces. `volumes` are whole quotes, or US dollars. */
export function traces(candles, volumes, seconds, colour) {
  const x = candles.map((candle) => candle.opens_at * 1000);
  const line = (of) => ({ line: { color: of, width: 1 }, fillcolor: of });
  return [
    {
      type: "bar",
      x,
      y: volumes,
      yaxis: "y2",
      width: seconds * 1000 * 0.72,
      marker: { color: candles.map((candle) => (candle.close >= candle.open ? colour.up : colour.down)), opacity: 0.38, line: { width: 0 } },
      hoverinfo: "none",
    },
    {
      type: "candlestick",
      x,
      open: candles.map((candle) => candle.open),
      high: candles.map((candle) => candle.high),
      low: candles.map((candle) => candle.low),
      close: candles.map((candle) => candle.close),
      increasing: line(colour.up),
      decreasing: line(colour.down),
      whiskerwidth: 0,
      hoverinfo: "none",
    },
  ];
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

/** Where what is drawn: `range` in unix ms, `prices` lowest and highest that are in sight, `top` the largest volume of them. */
export function layout({ range, prices: [low, high], top, last, holes, isLog, isTouched, width, height }, colour) {
  const shown = isLog && low > 0 ? logScale(low, high) : plainScale(low, high, Math.max(3, Math.round(height / 70)));
  return {
    height,
    autosize: true,
    margin: { l: 8, r: 72, t: 8, b: 24, pad: 0 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: FONT, size: 11, color: colour.soft },
    showlegend: false,
    dragmode: isTouched ? false : "pan",
    hovermode: "x",
    hoverdistance: -1,
    spikedistance: -1,
    xaxis: {
      type: "date",
      anchor: "y2",
      range,
      rangeslider: { visible: false },
      tickformat: timeFormat(range),
      gridcolor: colour.line,
      linecolor: colour.line,
      nticks: Math.max(3, Math.round(width / 110)),
      tickangle: 0,
      fixedrange: isTouched,
      showspikes: true,
      spikemode: "across",
      spikesnap: "cursor",
      spikethickness: 1,
      spikecolor: colour.soft,
      spikedash: "dot",
    },
    yaxis: {
      side: "right",
      anchor: "x",
      type: shown.type,
      range: shown.range,
      domain: [0.2, 1],
      tickvals: shown.ticks,
      ticktext: shown.ticks.map((value) => price(value, 4)),
      gridcolor: colour.line,
      zeroline: false,
      fixedrange: true,
    },
    yaxis2: { domain: [0, 0.17], range: [0, (top || 1) * 1.05], showgrid: false, showticklabels: false, zeroline: false, fixedrange: true },
    shapes: [...holes.map((hole) => shade(hole, range, colour)), ...(last === null ? [] : [lastLine(last, colour)])],
    annotations: last === null ? [] : [lastLabel(last, shown.type, colour)],
  };
}

function timeFormat([from, to]) {
  const hours = (to - from) / 3_600_000;
  return hours < 1 ? "%H:%M:%S" : hours < 30 ? "%H:%M" : hours < 24 * 20 ? "%b %d %H:%M" : "%Y-%m-%d";
}

function shade([from, to, text], range, colour) {
  return {
    type: "rect",
    layer: "below",
    xref: "x",
    yref: "paper",
    x0: from,
    x1: to,
    y0: 0,
    y1: 1,
    fillcolor: colour["bad-soft"],
    opacity: 0.85,
    line: { color: colour.down, width: 1, dash: "dot" },
    label: { text: to - from > (range[1] - range[0]) * 0.07 ? text : "", textposition: "top left", font: { color: colour.down, size: 11 } },
  };
}

function lastLine(last, colour) {
  const y = last.close;
  return { type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: last.close >= last.open ? colour.up : colour.down, width: 1, dash: "dot" } };
}

function lastLabel(last, type, colour) {
  return {
    xref: "paper",
    x: 1,
    xanchor: "left",
    y: type === "log" ? Math.log10(last.close) : last.close,
    text: price(last.close, 4),
    showarrow: false,
    bgcolor: last.close >= last.open ? colour.up : colour.down,
    font: { color: colour.card, size: 11 },
    borderpad: 2,
  };
}

function plainScale(low, high, wanted) {
  const room = (high - low || high || 1) * 0.08;
  const bottom = Math.max(0, low - room);
  return { type: "linear", range: [bottom, high + room], ticks: niceTicks(bottom, high + room, wanted) };
}

/** Equal heights for equal changes; plotly takes such a range as powers of ten. */
function logScale(low, high) {
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const room = Math.max((to - from) * 0.08, 0.01);
  const steps = to - from > 1 ? [1, 2, 5] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];
  const ticks = [];
  for (let power = Math.floor(from - room); power <= to + room; power += 1) ticks.push(...steps.map((step) => step * 10 ** power));
  const range = [from - room, to + room];
  return { type: "log", range, ticks: ticks.filter((one) => Math.log10(one) >= range[0] && Math.log10(one) <= range[1]) };
}

function niceTicks(low, high, wanted) {
  const rough = (high - low) / wanted;
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const ticks = [];
  for (let number = Math.ceil(low / step); number * step <= high; number += 1) ticks.push(number * step);
  return ticks;
}
