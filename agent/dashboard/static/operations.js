// What is under way, step by step, and the log of what was asked for; and what has happened.

import { absolute, duration, time } from "./clock.js";
import { el, name, sentence } from "./dom.js";
import { underWay } from "./reading.js";

const LISTED = 12;
const TONE = { done: "good", failed: "bad", running: "busy", pending: "busy" };

export function operationsSection(log, group, operations, act) {
  const list = [...(log.entries ?? [])].reverse();
  const running = underWay(group);
  const rest = list.slice(LISTED);
  return [
    el("h2", { id: "operations-head" }, "Operations"),
    running.map((one) => stepper(one, list.find((entry) => entry.id === one.id), operations, act)),
    running.length ? null : el("p", { class: "quiet" }, "Nothing is under way."),
    log.problem ? el("p", { class: "quiet" }, `As it was ${duration(log.age)} ago: ${log.problem}.`) : null,
    el("ol", { class: "rows log" }, list.slice(0, LISTED).map(row)),
    rest.length ? el("details", { "data-key": "older-operations" }, el("summary", {}, `${rest.length} older operations`),
      el("ol", { class: "rows log" }, rest.map(row))) : null,
  ].flat().filter(Boolean);
}

function stepper(one, entry, operations, act) {
  return el("div", { class: "running" },
    el("h3", {}, one.kind, el("span", { class: "quiet" }, " asked for by ", name(one.by), ", ", time(one.requested, "lasting"))),
    one.reason ? el("p", {}, sentence(one.reason, `running-${one.id}`)) : null,
    el("ol", { class: "steps" }, one.steps.map((step) =>
      el("li", { "data-step": step.state, "aria-current": step.state === "now" ? "step" : null },
        step.member !== undefined ? [name(step.member), " "] : [], step.text))),
    entry?.outcome ? el("p", { class: "quiet" }, sentence(entry.outcome, `outcome-now-${one.id}`)) : null,
    operations === false ? null : el("button", { type: "button", class: "small", "data-key": `cancel-${one.id}`,
      on: { click: () => act("cancel", one.id) } }, "Cancel it…"));
}

function row(entry) {
  const took = entry.ended ? (Date.parse(entry.ended) - Date.parse(entry.requested)) / 1000 : NaN;
  return el("li", { "data-tone": TONE[entry.state] ?? "quiet" },
    el("span", { class: "when" }, absolute(entry.requested)),
    el("span", { class: "what" }, entry.kind, entry.target ? [" ", name(entry.target)] : []),
    el("span", { class: "cause" }, el("span", { class: "badge", "data-tone": TONE[entry.state] ?? "quiet" }, entry.state), " ",
      entry.outcome ? sentence(entry.outcome, `outcome-${entry.id}`) : null,
      entry.reason ? [" (", sentence(entry.reason, `why-${entry.id}`), ")"] : []),
    el("span", { class: "cost" }, took >= 0.05 ? `took ${duration(took)}` : ""),
    el("span", { class: "quiet by" }, name(entry.by)));
}

const SHOWN = 40;
const BAD = new Set(["leader_lost", "member_down"]);

export function eventsSection(events) {
  return [
    el("h2", { id: "events-head" }, "What has happened"),
    events.length ? null : el("p", { class: "quiet" }, "Nothing since this agent was started."),
    el("ol", { class: "rows happened" }, events.slice(-SHOWN).reverse().map((event) =>
      el("li", { "data-tone": BAD.has(event.event) || event.state === "disconnected" ? "bad" : "quiet" },
        el("span", { class: "when" }, absolute(event.at)),
        el("span", { class: "what" }, event.event.replaceAll("_", " ")),
        el("span", { class: "cause" }, told(event))))),
  ].filter(Boolean);
}

function told(event) {
  const key = `event-${event.key}`;
  const rest = [event.state, event.cause, event.reason].filter(Boolean).join(": ");
  const whom = event.event === "zookeeper" ? "seen by " : "";
  return [whom, name(event.member), " ", sentence(rest, key)];
}
