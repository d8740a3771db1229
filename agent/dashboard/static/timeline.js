// The changes of the lead: a lane for each member, drawn over the time that the last changes span, and the list of them.

import { absolute, duration, now } from "./clock.js";
import { el, name, sentence, svg } from "./dom.js";
import { gap, nature } from "./reading.js";

const DRAWN = 24; // changes at most in the drawing
const LISTED = 12; // changes in the list before it is folded
const SHORTEST = 10 * 60 * 1000; // milliseconds that the drawing spans at least
const LANE = 26; // pixels
const STEPS = [60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400, 365 * 86400];

export function timelineSection(history, group, width) {
  const entries = (history.entries ?? []).filter((entry) => !Number.isNaN(Date.parse(entry.at)));
  const list = [...entries].reverse();
  const rest = list.slice(LISTED);
  return [
    el("h2", { id: "timeline-head" }, "Who has led"),
    history.problem ? el("p", { class: "quiet" }, `As it was ${duration(history.age)} ago: ${history.problem}.`) : null,
    entries.length ? drawing(entries.slice(-DRAWN), group, width) : el("p", { class: "quiet" }, "Nobody has led yet."),
    el("ol", { class: "rows changes" }, list.slice(0, LISTED).map(row)),
    rest.length ? el("details", { "data-key": "older" }, el("summary", {}, `${rest.length} older changes`),
      el("ol", { class: "rows changes" }, rest.map(row))) : null,
  ].filter(Boolean);
}

function row(entry) {
  const lost = gap(entry);
  const kind = nature(entry);
  return el("li", { "data-tone": { asked: "busy", failed: "bad", first: "quiet" }[kind] },
    el("span", { class: "when" }, absolute(entry.at)),
    el("span", { class: "what" }, entry.from ? [name(entry.from), " → "] : [], name(entry.to)),
    el("span", { class: "cause" }, sentence(entry.cause, `cause-${entry.epoch}`),
      entry.reason ? [": ", sentence(entry.reason, `reason-${entry.epoch}`)] : []),
    el("span", { class: "cost" }, lost === null ? "" : `gap ${duration(lost)}`),
    el("span", { class: "quiet by" }, kind === "asked" ? "asked for by " : "by agent ", name(entry.by)));
}

function drawing(entries, group, width) {
  const end = now();
  const begin = Math.min(Date.parse(entries[0].at), end - SHORTEST);
  const lanes = [...new Set([...entries.map((entry) => entry.to), ...(group.members ?? []).map((one) => one.name)])].sort();
  const label = Math.min(140, Math.max(64, width * 0.18));
  const right = 12;
  const span = Math.max(1, end - begin) * 1.02;
  const x = (moment) => label + ((moment - begin) / span) * Math.max(1, width - label - right);
  const y = (member) => lanes.indexOf(member) * LANE + 6;
  const height = lanes.length * LANE + 30;
  const parts = [...grid(begin, end, x, lanes.length * LANE + 6)];
  lanes.forEach((lane) => {
    parts.push(svg("rect", { class: "lane", x: label, y: y(lane) + 8, width: Math.max(0, width - label - right), height: 4, rx: 2 }));
    parts.push(svg("text", { class: "label", x: label - 10, y: y(lane) + 14, "text-anchor": "end" }, short(lane, label)));
  });
  entries.forEach((entry, place) => {
    const from = Math.max(begin, Date.parse(entry.at));
    const next = entries[place + 1];
    const until = next ? Date.parse(next.at) - 1000 * (gap(next) ?? 0) : group.leader ? end : from;
    const last = place === entries.length - 1 && group.leader;
    parts.push(svg("rect", { class: last ? "reign now" : "reign", x: x(from), y: y(entry.to) + 3, rx: 4,
      width: Math.max(3, x(until) - x(from)), height: 14 }));
    parts.push(svg("circle", { class: `change ${nature(entry)}`, cx: x(from), cy: y(entry.to) + 10, r: 5 },
      svg("title", {}, `${absolute(entry.at)}: ${entry.cause}`)));
  });
  const told = `The lead of the last ${duration((end - begin) / 1000)}: ${entries.length} changes; the list below has each of them.`;
  return el("div", { class: "drawing" },
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": told }, parts),
    el("p", { class: "legend quiet" }, el("span", { class: "dot failed" }), "failed over ", el("span", { class: "dot asked" }), "asked for"));
}

function* grid(begin, end, x, height) {
  const seconds = (end - begin) / 1000;
  const step = 1000 * (STEPS.find((one) => seconds / one <= 5) ?? STEPS.at(-1));
  const offset = new Date(end).getTimezoneOffset() * 60000;
  for (let at = Math.ceil((begin - offset) / step) * step + offset; at < end; at += step) {
    const moment = new Date(at);
    const text = step >= 86400000 ? moment.toLocaleDateString([], { day: "numeric", month: "short" })
      : moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
    yield svg("line", { class: "grid", x1: x(at), x2: x(at), y1: 0, y2: height });
    yield svg("text", { class: "tick", x: x(at), y: height + 16, "text-anchor": "middle" }, text);
  }
}

function short(text, width) {
  const most = Math.max(4, Math.floor(width / 8) - 1);
  const letters = [...text];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}
