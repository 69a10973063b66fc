/**
 * What changes, as it happens: server-sent events, or where they cannot be had, a question each second.
 *
 * A browser opens at most six connections to one server, for all tabs together, and a stream holds one for good: so only a few
 * visible tabs stream, the others ask. A hidden tab does neither, and goes on from where it was when it is looked at again.
 */

import { get } from "./api.js";

const STREAMS = 3;
const POLL_MS = 1000;
const RETRY_MS = 2000;
const SILENT_MS = 25_000; // a `beat` comes every 10 s
const NO_STREAM_MS = 15_000;
const NAMES = ["hello", "tokens", "trades", "completeness", "system", "resync", "beat"];

/**
 * Listen until `stop()` is called.
 *
 * `interest` holds `board`, `mint`, `wallet`, `system`, as /api/live takes them. `handlers` has a function for each event that is
 * wanted, `state(name)` for `live`, `polling`, `paused` or `offline`, and `reload()`, which loads the page's data anew and
 * resolves to their cursor: it is called first, and again whenever the server cannot tell everything that happened since.
 */
export function listen(interest, handlers) {
  const listener = new Listener(interest, handlers);
  listener.run();
  return listener;
}

class Listener {
  constructor(interest, handlers) {
    this.interest = interest;
    this.handlers = handlers;
    this.cursor = null;
    this.isStopped = false;
    this.streamsFrom = 0;
    this.wake = () => {};
    this.source = null;
    document.addEventListener("visibilitychange", () => this.wake());
    addEventListener("pagehide", () => this.source?.close());
    addEventListener("pageshow", () => this.wake());
  }

  stop() {
    this.isStopped = true;
    this.source?.close();
    this.wake();
  }

  async run() {
    while (!this.isStopped) {
      if (document.hidden) {
        this.tell("paused");
        await this.sleep(60_000);
        continue;
      }
      try {
        if (this.cursor === null) this.cursor = (await this.handlers.reload()) ?? null;
        if (this.cursor === null) await this.sleep(RETRY_MS);
        else if (Date.now() < this.streamsFrom || !(await withSlot(() => this.stream()))) await this.poll();
      } catch (error) {
        this.tell("offline", error);
        await this.sleep(RETRY_MS);
      }
    }
  }

  /** Resolves when the stream has ended, however: to whether it ever brought something. */
  stream() {
    return new Promise((resolve) => {
      const params = new URLSearchParams(this.asked());
      const source = new EventSource(`/api/live?${params}`);
      this.source = source;
      let heard = false;
      let last = Date.now();
      const end = () => {
        source.close();
        clearInterval(watch);
        this.wake = () => {};
        if (!heard) this.streamsFrom = Date.now() + NO_STREAM_MS;
        resolve(heard);
      };
      const watch = setInterval(() => {
        if (this.isStopped || document.hidden || this.cursor === null || Date.now() - last > SILENT_MS) end();
      }, 500);
      this.wake = () => (document.hidden || this.isStopped ? end() : undefined);
      source.onerror = end;
      for (const name of NAMES) {
        source.addEventListener(name, (event) => {
          last = Date.now();
          if (!heard) this.tell("live");
          heard = true;
          if (event.lastEventId) this.cursor = event.lastEventId;
          this.take(name, JSON.parse(event.data));
        });
      }
    });
  }

  /** Ask once, and wait. */
  async poll() {
    const answer = await get("/api/changes", this.asked());
    this.tell("polling");
    this.cursor = answer.cursor;
    for (const { event, data } of answer.events) this.take(event, data);
    await this.sleep(POLL_MS);
  }

  asked() {
    const asked = Object.entries({ ...this.interest, after: this.cursor }).filter(([, value]) => value);
    return Object.fromEntries(asked.map(([name, value]) => [name, value === true ? "1" : value]));
  }

  take(name, data) {
    if (name === "resync") this.cursor = null; // `run` loads anew
    this.handlers[name]?.(data);
  }

  tell(state, error = null) {
    if (this.state === state && error === null) return;
    this.state = state;
    this.handlers.state?.(state, error);
  }

  sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Run `work` holding one of the few places for streams that all tabs share; false: none is free. */
async function withSlot(work) {
  if (!navigator.locks) return work();
  for (let number = 0; number < STREAMS; number += 1) {
    let took = false;
    const result = await navigator.locks.request(`pumpwatch-stream-${number}`, { ifAvailable: true }, async (lock) => {
      if (lock === null) return false;
      took = true;
      return work();
    });
    if (took) return result;
  }
  return false;
}
