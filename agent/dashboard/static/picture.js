// The group as a picture: ZooKeeper above, the brokers below by site, and who is joined to whom. The boxes are HTML, so
// that they wrap, grow and can be read out; the lines behind them are drawn to where the boxes have come to stand.

import { time } from "./clock.js";
import { el, name, sentence, svg } from "./dom.js";
import { TONE, members, sites, why } from "./reading.js";

export function pictureSection(group, health, operations, act) {
  const all = members(group);
  return [
    el("h2", { id: "picture-head" }, "The group"),
    el("div", { class: "stage" },
      svg("svg", { class: "lines", "aria-hidden": "true", focusable: "false" }),
      zookeeper(health),
      el("div", { class: "sites" }, sites(all).map(([site, there]) => siteBox(site, there, group, operations, act)))),
  ];
}

function zookeeper(health) {
  const hosts = health.zookeeper?.hosts ?? [];
  const connected = health.zookeeper?.connected;
  const tone = connected === undefined ? "quiet" : connected ? "good" : "bad";
  return el("div", { class: "ensemble", "data-tone": tone },
    el("h3", {}, "ZooKeeper"),
    el("ul", { class: "servers" }, hosts.map((host) => el("li", { class: "server" }, host))),
    el("p", { class: "quiet" }, connected === undefined ? "not known" : connected ? "a session " : "no answer ",
      health.zookeeper?.since ? time(health.zookeeper.since, "lasting") : null));
}

function siteBox(site, there, group, operations, act) {
  const cards = el("ul", { class: "members" }, there.map((one) => card(one, group, operations, act)));
  return el("div", { class: "site" }, site ? el("h3", {}, "Site ", name(site)) : null, cards);
}

function card(member, group, operations, act) {
  const tone = TONE[member.state] ?? "warn";
  const leads = member.leader || (group.leader && group.leader.name === member.name && !member.gone);
  const reasons = why(member);
  const facts = [
    member.versions?.rabbitmq ? `RabbitMQ ${member.versions.rabbitmq}` : null,
    member.amqp ?? member.amqps ?? null,
    typeof member.load?.connections === "number" ? `${member.load.connections} connections` : null,
    typeof member.load?.classic_queues === "number" && member.load.classic_queues > 0
      ? `${member.load.classic_queues} classic queues` : null,
    member.tags?.no_failover ? "never leads" : null,
  ].filter(Boolean);
  return el("li", { class: "member", "data-tone": tone, "data-leads": leads ? "yes" : null, "data-gone": member.gone ? "yes" : null },
    el("div", { class: "title" }, el("h4", {}, name(member.name)), leads ? el("span", { class: "crown" }, "leads") : null),
    el("p", { class: "state" }, el("span", { class: "badge", "data-tone": tone }, member.state), " ",
      member.since ? time(member.since, "lasting") : null),
    reasons.length ? el("p", { class: "reason" }, sentence(reasons.join("; "), `reason-${member.name}`)) : null,
    (member.warnings ?? []).map((text, place) =>
      el("p", { class: "reason" }, el("span", { class: "badge", "data-tone": "warn" }, "warning"), " ", sentence(text, `warning-${member.name}-${place}`))),
    el("p", { class: "facts quiet" }, facts.map((fact) => el("span", {}, fact))),
    operations === false || member.gone ? null : el("div", { class: "do" },
      !leads && member.state === "running" && !member.tags?.no_failover
        ? action("switchover", "Lead here…", member, act) : null,
      action("restart", "Restart…", member, act)));
}

function action(kind, text, member, act) {
  return el("button", { type: "button", class: "small", "data-key": `${kind}-${member.name}`,
    "aria-label": `${text.replace("…", "")}: ${member.name}`, on: { click: () => act(kind, member.name) } }, text);
}

// Draws the lines anew: from ZooKeeper to each agent, and from the leader to the others.
export function drawLines(section) {
  const stage = section.querySelector(".stage");
  const lines = section.querySelector(".lines");
  if (!stage || !lines) return;
  const frame = stage.getBoundingClientRect();
  lines.setAttribute("viewBox", `0 0 ${Math.max(1, frame.width)} ${Math.max(1, frame.height)}`);
  const ensemble = stage.querySelector(".ensemble");
  const from = ensemble.getBoundingClientRect();
  const start = { x: from.left + from.width / 2 - frame.left, y: from.bottom - frame.top };
  const cards = [...stage.querySelectorAll(".member")].map((one) => ({ one, at: one.getBoundingClientRect() }));
  const top = Math.min(...cards.map(({ at }) => at.top));
  const away = ensemble.dataset.tone === "bad";
  lines.replaceChildren(...cards.filter(({ at }) => at.top < top + 60).map(({ one, at }) => {
    const end = { x: at.left + at.width / 2 - frame.left, y: at.top - frame.top };
    const middle = start.y + 14;
    const d = `M${start.x} ${start.y} V${middle} H${end.x} V${end.y}`;
    return svg("path", { d, class: "line", "data-leads": one.dataset.leads, "data-tone": away || one.dataset.gone ? "bad" : "quiet" });
  }));
}
