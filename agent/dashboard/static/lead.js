// The top of the page: who leads, since when and why; what is wrong; what can be done about it.

import { absolute, time } from "./clock.js";
import { el, name, sentence } from "./dom.js";

const MOST = 12; // problems that are shown

export function leadSection(group, found, operations, act) {
  const lead = group.leader;
  const worst = found[0]?.tone ?? "good";
  const head = lead
    ? el("h2", { id: "lead-head", class: "headline" }, name(lead.name), " leads")
    : el("h2", { id: "lead-head", class: "headline" }, "Nobody leads");
  const how = lead
    ? el("p", { class: "how" }, "Since ", el("strong", {}, absolute(lead.since)), " (", time(lead.since, "lasting"), "), because: ",
        el("strong", {}, sentence(lead.cause, "cause")), ". Epoch ", String(group.epoch), ".")
    : el("p", { class: "how" }, "Clients stay with the brokers that they have. The agents are choosing, or no member may lead.");
  const wrong = found.length
    ? el("ul", { class: "wrong" }, found.slice(0, MOST).map((one, place) => item(one, place)),
        found.length > MOST ? el("li", {}, `and ${found.length - MOST} more`) : null)
    : el("p", { class: "well" }, el("span", { class: "badge", "data-tone": "good" }, "all is well"),
        ` ${(group.members ?? []).length} of ${(group.members ?? []).length} members run.`);
  return [
    el("div", { class: "who", "data-tone": lead ? worst : "bad" }, head, how, wrong),
    el("div", { class: "do", role: "group", "aria-label": "Operations" }, buttons(group, operations, act)),
  ];
}

function item(one, place) {
  return el("li", { "data-tone": one.tone }, el("span", { class: "shape", "aria-hidden": "true" }),
    el("span", {}, one.member !== undefined ? [name(one.member), " "] : [], sentence(one.text, `wrong-${place}`),
      one.since ? el("span", { class: "quiet" }, " ", time(one.since, "lasting")) : null));
}

function buttons(group, operations, act) {
  if (operations === false) {
    return [el("p", { class: "quiet" }, "Operations are off: no http.token is configured for this agent.")];
  }
  const button = (kind, text, main) =>
    el("button", { type: "button", class: main ? "main" : undefined, "data-key": kind, on: { click: () => act(kind) } }, text);
  return [
    group.leader ? button("switchover", "Move the lead…", !group.pause) : button("failover", "Give the lead…", true),
    group.pause ? button("resume", "Resume…", true) : button("pause", "Pause…"),
    button("rolling-restart", "Rolling restart…"),
  ];
}

export function banners(group, state) {
  const shown = [];
  if (group.pause) {
    shown.push(banner("warn", ["Paused by ", name(group.pause.by), ", ", time(group.pause.since, "lasting"),
      ": no automatic failover. ", sentence(group.pause.reason ?? "No reason is given.", "pause")]));
  }
  for (const { tone, parts } of state.notes) shown.push(banner(tone, parts));
  return shown;
}

function banner(tone, parts) {
  return el("div", { class: "banner", "data-tone": tone }, el("span", { class: "shape", "aria-hidden": "true" }), el("p", {}, parts));
}
