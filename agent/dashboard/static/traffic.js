// What the brokers carry, as RabbitMQ's management API counts it: a number and its last minutes, drawn as a line.

import { duration } from "./clock.js";
import { el, svg } from "./dom.js";

const WIDTH = 220;
const HEIGHT = 44;
const TILES = [
  ["publish", "published", "/s"], ["deliver", "delivered", "/s"], ["ready", "ready", ""], ["unacknowledged", "unacknowledged", ""],
  ["connections", "connections", ""], ["consumers", "consumers", ""],
];

export function trafficSection(traffic) {
  const last = traffic.samples.at(-1);
  const old = last.age > 30 ? `, as it was ${duration(last.age)} ago` : "";
  return [
    el("h2", { id: "traffic-head" }, "What the cluster carries", el("span", { class: "quiet" }, old)),
    traffic.problem ? el("p", { class: "quiet" }, traffic.problem) : null,
    el("div", { class: "tiles" }, TILES.map(([key, label, unit]) =>
      el("div", { class: "tile" }, el("p", { class: "quiet" }, label),
        el("p", { class: "number" }, number(last[key]), unit ? el("span", { class: "quiet" }, unit) : null),
        line(traffic.samples.map((one) => one[key]))))),
  ].filter(Boolean);
}

function number(value) {
  if (typeof value !== "number") return "?";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(1)} k` : String(Math.round(value));
}

function line(values) {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, place) => `${(place * step).toFixed(1)},${(HEIGHT - 3 - (value / most) * (HEIGHT - 8)).toFixed(1)}`);
  const drawn = points.length > 1 ? points.join(" ") : `${points[0]} ${WIDTH},${points[0].split(",")[1]}`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "spark" },
    svg("polygon", { points: `0,${HEIGHT} ${drawn} ${WIDTH},${HEIGHT}` }), svg("polyline", { points: drawn }));
}
