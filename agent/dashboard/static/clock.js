// Times for people. The agent's clock is the page's: how far this computer's is off is measured with each answer.

import { el } from "./dom.js";

let ahead = 0; // milliseconds that the agent's clock is ahead of this computer's

export function learn(agentTime) {
  const there = Date.parse(agentTime);
  if (!Number.isNaN(there)) ahead = there - Date.now();
}

export function now() {
  return Date.now() + ahead;
}

// 75 -> "1 min 15 s"; seconds.
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 10) return `${seconds < 1 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  return whole(Math.floor(seconds));
}

// The same without parts of a second.
export function whole(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

const SKEW = 5; // seconds by which a time may lie ahead before a clock is blamed

function relative(moment) {
  const seconds = (now() - moment) / 1000;
  if (seconds < -SKEW) return `in ${whole(Math.round(-seconds))}`;
  return seconds < 1 ? "just now" : `${whole(Math.floor(seconds))} ago`;
}

// "for 5 min": how long something has been so.
function lasting(moment) {
  const seconds = (now() - moment) / 1000;
  if (seconds < -SKEW) return "its clock is ahead of this agent’s";
  return `for ${whole(Math.max(0, Math.floor(seconds)))}`;
}

const TELL = { relative, lasting };

export function absolute(text) {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return String(text);
  const today = new Date(now()).toDateString() === moment.toDateString();
  const time = moment.toLocaleTimeString([], { hour12: false });
  return today ? time : `${moment.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

// A <time> that is kept right. `how` is "relative" or "lasting".
export function time(text, how = "relative") {
  const moment = Date.parse(text);
  if (Number.isNaN(moment)) return el("span", {}, String(text ?? "at an unknown time"));
  return el("time", { datetime: text, title: new Date(moment).toString(), "data-tell": how }, TELL[how](moment));
}

// Once a second: what is told of times goes on.
export function tick() {
  for (const one of document.querySelectorAll("time[data-tell]")) {
    const told = TELL[one.dataset.tell](Date.parse(one.dateTime));
    if (one.textContent !== told) one.textContent = told;
  }
}
