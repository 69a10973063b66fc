/** What the recorder warned of, and each start of its worker. */

import { el, fill } from "./core/dom.js";
import { age, moment, visible } from "./core/format.js";

/** The card of alerts. */
export function alertsCard() {
  const list = el("ul", { class: "events" });
  return {
    element: el("section", { class: "card" }, el("h2", {}, "Alerts"), list),
    show({ alerts }) {
      fill(list, alerts.length ? alerts.map(item) : el("li", { class: "soft" }, "None was raised. The rules are in [alerts] of pumpwatch.ini."));
    },
  };
}

function item(alert) {
  const lasts = alert.resolved_at_us === null;
  const end = lasts ? "lasts" : alert.resolved_at_us > alert.raised_at_us ? `resolved after ${age((alert.resolved_at_us - alert.raised_at_us) / 1e6)}` : "";
  const based = alert.completeness ? `record ${alert.completeness}` : "";
  const notes = [end, based, alert.sent].filter(Boolean).join(", ");
  return el(
    "li",
    { "data-severity": alert.severity, "data-lasts": String(lasts) },
    el("span", { class: "when soft" }, moment(alert.raised_at_us / 1e6)),
    el("strong", {}, ` ${alert.rule} `),
    visible(alert.text, 300),
    notes ? el("span", { class: "soft" }, ` (${notes})`) : null,
  );
}

/** The card of the worker's starts and ends. */
export function runsCard() {
  const list = el("ul", { class: "events" });
  return {
    element: el("section", { class: "card" }, el("h2", {}, "Starts of the worker"), list),
    show({ runs }) {
      fill(list, runs.length ? runs.map(run) : el("li", { class: "soft" }, "It never ran."));
    },
  };
}

function run(one) {
  const end =
    one.ended_at_us === null
      ? "runs"
      : `ran ${age((one.ended_at_us - one.started_at_us) / 1e6)}, ${one.exit_status === null ? "ended without a word" : `exit ${one.exit_status}`}`;
  const why = one.reason ? `: ${visible(one.reason, 120)}` : "";
  return el("li", {}, el("span", { class: "when soft" }, moment(one.started_at_us / 1e6)), ` pid ${one.pid}, version ${one.version}, ${end}${why}`);
}
