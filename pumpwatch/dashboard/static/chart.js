/** A token's price as candles, with what its record lacks shaded. */

import { get } from "./core/api.js";
import { el, write } from "./core/dom.js";
import { change, clock, compact, moment, price, quoteName, UNKNOWN } from "./core/format.js";
import { pace } from "./pace.js";
import { choice, plural, way } from "./pieces.js";
import { colours, CONFIG, layout, loadPlotly, traces } from "./plot.js";

const INTERVALS = { "1s": 1, "15s": 15, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400 };
const LOADED = 300;
const MOST = 2000;
const TAIL = 12;
const DRAW_MS = 1000;
const WORDS = { "1s": "1-second", "15s": "15-second", "1m": "1-minute", "5m": "5-minute", "15m": "15-minute", "1h": "1-hour", "4h": "4-hour", "1d": "1-day" };

export class Chart {
  constructor(mint, plotlyUrl) {
    this.mint = mint;
    this.url = plotlyUrl;
    this.candles = new Map();
    this.range = null; // of time, unix seconds; null: follow the newest
    this.changedFrom = Infinity;
    this.isLog = false;
    this.readout = el("p", { class: "readout mono" });
    this.summary = el("figcaption", { class: "soft" });
    this.plot = el("div", { class: "plot", tabIndex: 0, role: "group", "aria-label": "Price chart. Arrow keys move it, plus and minus zoom, End shows the newest." });
    this.latest = el("button", { type: "button", hidden: true, on: { click: () => this.follow() } }, "Newest ⇥");
    this.log = el("button", { type: "button", title: "Equal heights for equal changes", "aria-pressed": "false", on: { click: () => this.turnLog() } }, "Log");
    this.waiting = el("p", { class: "empty" }, "Loading the chart…");
    this.tools = el("div", { class: "chart-tools" });
    const figure = el("figure", {}, this.readout, this.plot, this.waiting, this.summary);
    this.element = el("section", { class: "card chart", "aria-labelledby": "chart-title" }, el("h2", { id: "chart-title", class: "unseen" }, "Price"), this.tools, figure);
    this.tail = pace(DRAW_MS, () => this.loadTail());
    this.plot.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.draw());
    addEventListener("resize", () => this.draw());
  }

  /** Show what was chosen in the address, or what fits a life so long. */
  begin(lifeSeconds) {
    this.isBegun = true;
    const [interval, unit] = location.hash.slice(1).split("-");
    this.interval = interval in INTERVALS ? interval : fitting(lifeSeconds);
    this.inUsd = unit === "usd";
    const intervals = Object.keys(INTERVALS).map((name) => [name, name, `${WORDS[name]} candles`]);
    const zoom = (factor, text, label) => el("button", { type: "button", "aria-label": label, title: label, on: { click: () => this.zoom(factor) } }, text);
    this.tools.replaceChildren(
      choice("Interval", intervals, this.interval, (value) => this.choose({ interval: value })),
      choice("Unit", [["quote", "Quote", "Prices in what it trades against"], ["usd", "USD", "Each minute at its own rate"]], this.inUsd ? "usd" : "quote", (value) => this.choose({ inUsd: value === "usd" })),
      el("div", { class: "tabs small" }, this.log, zoom(1.5, "−", "Zoom out"), zoom(1 / 1.5, "+", "Zoom in"), this.latest),
    );
    this.start();
  }

  async start() {
    try {
      this.plotly = await loadPlotly(this.url);
      this.draw();
    } catch (error) {
      write(this.waiting, error.message);
    }
  }

  async choose(wanted) {
    Object.assign(this, wanted);
    history.replaceState(null, "", `#${this.interval}${this.inUsd ? "-usd" : ""}`);
    this.range = null;
    try {
      await this.reload();
    } catch (error) {
      write(this.summary, error.message);
    }
  }

  get seconds() {
    return INTERVALS[this.interval];
  }

  ask(params) {
    return get(`/api/tokens/${encodeURIComponent(this.mint)}/candles`, { interval: this.interval, usd: this.inUsd, ...params });
  }

  /** Load all anew. */
  async reload() {
    const asked = this.interval + this.inUsd;
    const series = await this.ask({ limit: LOADED });
    if (asked !== this.interval + this.inUsd) return;
    this.candles.clear();
    this.isWhole = series.candles.length < LOADED;
    this.take(series);
  }

  /** Trades have come, or changed: their candles are asked for again, as only the record knows their order. */
  traded(trades) {
    for (const trade of trades) {
      if (trade.block_time !== null) this.changedFrom = Math.min(this.changedFrom, trade.block_time);
    }
    if (this.changedFrom < Infinity) this.tail();
  }

  async loadTail() {
    if (this.series === undefined) return;
    const newest = this.newest?.opens_at ?? 0;
    const isRecent = this.changedFrom >= newest - TAIL * this.seconds * 0.5;
    this.changedFrom = Infinity;
    try {
      if (!isRecent) await this.reload();
      else {
        const asked = this.interval + this.inUsd;
        const passed = Math.ceil((Date.now() / 1000 - newest) / this.seconds);
        const series = await this.ask({ limit: Math.min(LOADED, TAIL + Math.max(0, passed)) });
        if (asked === this.interval + this.inUsd) this.take(series);
      }
    } catch {
      this.changedFrom = 0; // tried again with the next trade
    }
  }

  async loadOlder() {
    const first = this.list[0];
    if (this.isWhole || this.isLoading || !first || this.candles.size >= MOST) return;
    this.isLoading = true;
    try {
      const series = await this.ask({ limit: LOADED, until: first.opens_at - 1 });
      this.isWhole = series.candles.every((candle) => this.candles.has(candle.opens_at) || candle.open === null) || series.candles.length < LOADED;
      this.take({ ...series, gaps: [...this.series.gaps, ...series.gaps] });
    } catch {
      // tried again when it is moved again
    } finally {
      this.isLoading = false;
    }
  }

  take(series) {
    for (const candle of series.candles) this.candles.set(candle.opens_at, candle);
    this.series = series;
    this.list = [...this.candles.values()].sort((a, b) => a.opens_at - b.opens_at);
    if (this.list.length > MOST) for (const candle of this.list.splice(0, this.list.length - MOST)) this.candles.delete(candle.opens_at);
    this.newest = this.list.at(-1);
    this.draw();
  }

  /** The span of time that is in sight, unix seconds. */
  sight() {
    if (this.range) return this.range;
    const most = Math.max(30, Math.round((this.plot.clientWidth || 800) / 9));
    const shown = Math.min(most, Math.max(30, this.list.length));
    const end = this.newest.opens_at + this.seconds * 2;
    return [end - (shown + 2) * this.seconds, end];
  }

  draw() {
    if (!this.list) return;
    this.tell();
    const isEmpty = this.list.length === 0 || this.series.unit === null;
    this.waiting.hidden = Boolean(this.plotly) && !isEmpty;
    this.plot.hidden = !this.waiting.hidden;
    if (isEmpty) write(this.waiting, "No price yet: no trade that the chain told is in the record.");
    if (isEmpty || !this.plotly || this.isDragged) return;
    const [from, to] = this.sight();
    const seen = this.list.filter((one) => one.opens_at + this.seconds > from && one.opens_at < to && one.high !== null);
    const priced = seen.length ? seen : this.list.slice(-1);
    const volumes = this.list.map((candle) => this.volume(candle));
    const colour = colours();
    const told = {
      range: [from * 1000, to * 1000],
      prices: [Math.min(...priced.map((one) => one.low)), Math.max(...priced.map((one) => one.high))],
      top: Math.max(0, ...seen.map((candle) => this.volume(candle) ?? 0)),
      last: this.newest.close === null ? null : this.newest,
      holes: this.holes(from, to),
      isLog: this.isLog,
      isTouched: matchMedia("(pointer: coarse)").matches,
      width: this.plot.clientWidth,
      height: this.plot.clientHeight,
    };
    this.plotly.react(this.plot, traces(this.list, volumes, this.seconds, colour), layout(told, colour), CONFIG);
    if (!this.isHeard) this.hear();
    if (from < this.list[0].opens_at) this.loadOlder();
    this.latest.hidden = this.range === null;
  }

  volume(candle) {
    if (this.inUsd) return candle.volume_usd;
    return this.series.quote_decimals === null ? null : candle.volume / 10 ** this.series.quote_decimals;
  }

  /** Stretches of time in which trades may be missing, at least a candle wide: [from, to, text], unix ms. */
  holes(from, to) {
    return this.series.gaps
      .map((gap) => [Math.floor(gap.from_us / 1e6 / this.seconds), Math.ceil((gap.to_us ?? Date.now() * 1000) / 1e6 / this.seconds), gap])
      .map(([start, end, gap]) => [start * this.seconds, Math.max(end, start + 1) * this.seconds, gap.net_token_amount === null ? "?" : "hole"])
      .filter(([start, end]) => end > from && start < to)
      .map(([start, end, text]) => [start * 1000, end * 1000, text]);
  }

  hear() {
    this.isHeard = true;
    this.plot.on("plotly_hover", ({ points }) => this.readOut(this.list[points[0].pointNumber]));
    this.plot.on("plotly_unhover", () => this.readOut(this.newest));
    this.plot.on("plotly_relayouting", () => (this.isDragged = true));
    this.plot.on("plotly_relayout", (moved) => {
      this.isDragged = false;
      if (moved["xaxis.range[0]"] === undefined) return;
      const [from, to] = [0, 1].map((end) => asSeconds(moved[`xaxis.range[${end}]`]));
      this.range = [from, to];
      this.draw();
    });
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.list?.length) return;
    const [from, to] = this.sight();
    const step = (to - from) / 5;
    if (event.key === "ArrowLeft") this.range = [from - step, to - step];
    else if (event.key === "ArrowRight") this.range = [from + step, to + step];
    else if (event.key === "+") return this.zoom(1 / 1.5);
    else if (event.key === "-") return this.zoom(1.5);
    else if (event.key === "End") return this.follow();
    else return;
    event.preventDefault();
    this.draw();
  }

  zoom(factor) {
    if (!this.list?.length) return;
    const [from, to] = this.sight();
    const length = Math.min(MOST, Math.max(10, ((to - from) / this.seconds) * factor)) * this.seconds;
    this.range = [to - length, to];
    this.draw();
  }

  turnLog() {
    this.isLog = !this.isLog;
    this.log.setAttribute("aria-pressed", String(this.isLog));
    this.draw();
  }

  follow() {
    this.range = null;
    this.draw();
  }

  readOut(candle) {
    if (!candle) return;
    const unit = this.inUsd ? "USD" : quoteName(this.series.quote_mint);
    const moved = candle.open ? candle.close / candle.open - 1 : null;
    const at = this.seconds >= 86_400 ? moment(candle.opens_at).slice(0, 10) : `${moment(candle.opens_at).slice(5, this.seconds < 60 ? 19 : 16)}`;
    const volume = this.volume(candle);
    const shown = `${at}  O ${price(candle.open)}  H ${price(candle.high)}  L ${price(candle.low)}  C ${price(candle.close)} ${unit}  ${change(moved)}  V ${volume === null ? UNKNOWN : compact(volume)}`;
    write(this.readout, shown);
    this.readout.dataset.way = way(moved);
  }

  /** The same in a sentence. */
  tell() {
    this.readOut(this.newest);
    const priced = this.list.filter((candle) => candle.close !== null);
    if (priced.length === 0) return write(this.summary, "");
    const unit = this.inUsd ? "USD" : quoteName(this.series.quote_mint);
    const [first, last] = [priced[0], priced.at(-1)];
    const trades = this.list.reduce((sum, candle) => sum + candle.trades, 0);
    const high = Math.max(...priced.map((candle) => candle.high));
    const low = Math.min(...priced.map((candle) => candle.low));
    const holes = this.series.gaps.length;
    const lacks = holes ? ` ${plural(holes, "stretch", "stretches")} may lack trades: shaded.` : "";
    const at = (seconds) => (last.opens_at - first.opens_at > 86_400 ? moment(seconds).slice(0, 16) : clock(seconds));
    const span = `${at(first.opens_at)} to ${at(last.opens_at + this.seconds)} UTC`;
    return write(
      this.summary,
      `${WORDS[this.interval]} candles, ${span}: from ${price(first.open)} to ${price(last.close)} ${unit} (${change(last.close / first.open - 1)}), lowest ${price(low)}, highest ${price(high)}, ${plural(trades, "trade")}.${lacks}`,
    );
  }
}

/** Plotly tells times as text, UTC, or as a number. */
function asSeconds(value) {
  return (typeof value === "number" ? value : Date.parse(`${String(value).replace(" ", "T")}Z`)) / 1000;
}

/** The shortest interval that shows a life so long in 200 candles. */
function fitting(seconds) {
  return Object.keys(INTERVALS).find((name) => INTERVALS[name] * 200 >= seconds) ?? "1d";
}
