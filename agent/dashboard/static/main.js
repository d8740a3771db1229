// The page: asks the agent, listens to its events, and has each part drawn again when what it is made of has changed.

import { listen, read } from "./agent.js";
import * as clock from "./clock.js";
import * as dialog from "./dialog.js";
import { alone, el, name, render } from "./dom.js";
import { banners, leadSection } from "./lead.js";
import { eventsSection, operationsSection } from "./operations.js";
import { drawLines, pictureSection } from "./picture.js";
import { problems } from "./reading.js";
import * as successor from "./successor.js";
import { timelineSection } from "./timeline.js";
import { trafficSection } from "./traffic.js";

const EVERY = 2000; // milliseconds between two looks when nothing happens
const HIDDEN = 15000; // while nobody looks
const LOGS_EVERY = 15000; // the logs, when nothing happens
const AGAIN = 500; // milliseconds, and by chance up to as much more, when nothing was answered
const SOON = 40; // milliseconds after an event: some come together
const PATIENCE = 4000; // milliseconds without an answer until another agent is looked for
const OLD = 6; // seconds after which an answer is called old
const KEPT = 200; // events
const NOW = ["group", "health"]; // answered from the agent's memory
const LATER = ["traffic", "history", "log"]; // the logs may wait for ZooKeeper
const BRIEF = 200; // milliseconds that one question waits for another
const LONG = 3000; // as long as one may take
const BUSY = 503;

const self = document.documentElement.dataset.member;
const version = document.documentElement.dataset.version;
const $ = (id) => document.getElementById(id);
const known = { group: {}, health: {}, history: {}, log: {}, traffic: {}, events: [] };
const state = { answeredAt: Date.now(), failing: null, hangs: false, notes: [], arrived: successor.arrival(), leader: undefined };
const heard = new Set();

function tell(text) {
  $("told").textContent = text;
}

function act(kind, subject) {
  dialog.open($("ask"), kind, subject, known.group, (what, answer) => {
    tell(`${what} is accepted`);
    soon(["group", "log"]);
    const followed = { tone: "busy", parts: [`${what} is accepted`] };
    state.followed = followed;
    dialog.follow(answer.id, (told, how) => {
      followed.parts = [told];
      followed.tone = how === "failed" ? "bad" : how === "done" ? "good" : "busy";
      tell(told);
      soon(["group", "log", "history"]);
      if (how === "done" || how === "failed") setTimeout(() => { if (state.followed === followed) { state.followed = undefined; draw(); } }, 15000);
    });
  });
}

// -- reading

const PATHS = { group: "group", health: "health", traffic: "traffic", history: "history?last=50", log: "operations?last=50" };

function learn(part, status, content) {
  if (part === "health") {
    state.hangs = content.live === false ? content.reason : false;
    if (!content.at) return;
    known.health = content;
    clock.learn(content.at);
  } else if (status === 200) {
    known[part] = content;
  } else if (part === "history" || part === "log") {
    known[part] = { ...known[part], problem: content.reason ?? "it cannot be read" };
  }
}

async function ask(part) {
  const { status, content } = await read(PATHS[part]);
  learn(part, status, content);
  return status;
}

let last = Promise.resolve(); // the question that was put last

// One question after the other, so that a page keeps two connections: this one, and that of its events. Behind a proxy many
// pages are one address to the agent, which gives one address a part of its places. What is now waits but briefly for the logs.
function askInTurn(part) {
  const brief = new Promise((resume) => setTimeout(resume, NOW.includes(part) ? BRIEF : LONG));
  last = Promise.race([last, brief]).then(() => ask(part));
  return last;
}

const waiting = new Set();
let timer;
let reading = false;

function soon(parts, delay = SOON) {
  for (const part of parts) waiting.add(part);
  if (reading) return;
  clearTimeout(timer);
  timer = setTimeout(look, delay);
}

async function look() {
  if (reading) return;
  reading = true;
  const parts = [...waiting];
  waiting.clear();
  const began = Date.now();
  const statuses = {};
  for (const part of NOW.filter((one) => parts.includes(one))) {
    statuses[part] = await askInTurn(part);
    if (statuses[part] === 0) break; // who does not answer would only be waited for twice
  }
  reading = false;
  if (Object.values(statuses).some((status) => status !== 0)) await answered();
  else state.failing ??= began;
  draw();
  for (const part of LATER) if (parts.includes(part)) later(part);
  await seek();
  if (waiting.size) soon([]);
  else again(statuses.group === BUSY);
}

const due = new Set(); // what is asked for meanwhile
let asking = false;

// What may wait for ZooKeeper is waited for by nobody.
async function later(part) {
  due.add(part);
  if (asking) return;
  asking = true;
  while (due.size) {
    const next = LATER.find((one) => due.has(one));
    due.delete(next);
    await askInTurn(next);
    draw();
  }
  asking = false;
}

let logsAt = 0;

function again(busy) {
  const parts = [...NOW];
  if (Date.now() - logsAt > LOGS_EVERY) {
    parts.push(...LATER);
    logsAt = Date.now();
  }
  soon(parts, document.hidden ? HIDDEN : state.failing || busy ? AGAIN + AGAIN * Math.random() : EVERY);
}

async function answered() {
  const failed = state.failing;
  state.answeredAt = Date.now();
  state.failing = null;
  if (failed === null) return;
  logsAt = 0;
  // An agent that was away may be of another release: then the page is too.
  const { status, content } = await read("./");
  if (status === 200 && content.rabbitkeeper !== version && !dialog.isOpen($("ask"))) location.reload();
}

// -- going over to another agent

let looked = 0;

async function seek() {
  const since = state.failing ?? (state.hangs ? (state.hangsSince ??= Date.now()) : (state.hangsSince = null));
  if (since === null || Date.now() - since < PATIENCE || Date.now() - looked < PATIENCE / 2) return;
  looked = Date.now();
  const found = await successor.find();
  if (found && !dialog.isOpen($("ask"))) successor.go(found[1], self, state.hangs || "it does not answer");
}

// -- drawing

function notes() {
  const shown = [];
  if (state.followed) shown.push(state.followed);
  if (state.arrived) {
    shown.push({ tone: "warn", parts: [name(state.arrived.from), "’s agent was left: ", state.arrived.because ?? "it did not answer",
      ". This is what ", name(self), "’s agent sees."] });
  }
  if (state.failing && Date.now() - state.failing > 1500) {
    shown.push({ tone: "bad", parts: ["The agent of ", name(self), " does not answer. What is shown is what it said last; another agent is looked for."] });
  } else if (state.hangs) {
    shown.push({ tone: "bad", parts: ["The agent of ", name(self), " hangs: ", state.hangs, ". What is shown is old."] });
  }
  return shown;
}

function draw() {
  const { group, health, history, log, events, traffic } = known;
  state.notes = notes();
  render($("banners"), [group.pause, state.notes.map((one) => [one.tone, one.parts.map((part) => part.textContent ?? part)])], () => banners(group, state));
  if (group.members) {
    const { operations } = health;
    const members = group.members.map(({ config, instance, ...rest }) => ({ ...rest, problem: config?.problem }));
    const found = problems(group, health);
    render($("lead"), [group.leader, group.epoch, found, operations, !group.pause, members.length], () => leadSection(group, found, operations, act));
    render($("picture"), [members, group.leader?.name, group.cluster, health.zookeeper?.connected, health.zookeeper?.hosts, health.zookeeper?.since, operations],
      () => pictureSection(group, health, operations, act));
    requestAnimationFrame(() => drawLines($("picture")));
    if (log.entries || log.problem || group.switchover || group.maintenance) render($("operations"), [log.entries, log.problem, group.switchover, group.maintenance, operations], () => operationsSection(log, group, operations, act));
    timeline();
    agents();
    announce();
    document.title = `${found.some((one) => one.tone === "bad") ? "● " : ""}${alone(group.group)}: ${group.leader ? `${alone(group.leader.name)} leads` : "nobody leads"} · RabbitKeeper`;
  }
  if (state.greeted) render($("events"), events.map((event) => event.key), () => eventsSection(events));
  if (traffic.samples?.length) render($("traffic"), traffic, () => trafficSection(traffic));
  else $("traffic").hidden = true;
  fresh();
}

function timeline() {
  if (!known.history.entries && !known.history.problem) return; // not read yet
  $("timeline").hidden = false; // it has a width only then
  const width = Math.max(260, Math.floor($("timeline").clientWidth) - 50);
  const minute = Math.floor(clock.now() / 20000);
  render($("timeline"), [known.history, known.group.members.map((one) => one.name), Boolean(known.group.leader), width, minute],
    () => timelineSection(known.history, known.group, width));
}

function agents() {
  const there = successor.learn(known.group, self);
  render($("agents"), there, () => there.length
    ? [el("span", { class: "quiet" }, "also at "), ...there.map(([member, url]) => el("a", { href: `${url}/`, rel: "noreferrer" }, name(member)))]
    : []);
}

function announce() {
  const leader = known.group.leader?.name ?? null;
  if (state.leader !== undefined && leader !== state.leader) tell(leader === null ? "Nobody leads" : `${leader} leads now`);
  state.leader = leader;
}

// How old what is shown is.
function fresh() {
  const seconds = Math.max(0, (Date.now() - state.answeredAt) / 1000);
  const away = known.health.zookeeper?.connected === false ? known.health.zookeeper.since : null;
  let tone = "good", told = `live · ${self} answered ${seconds < 1.5 ? "just now" : `${Math.round(seconds)} s ago`}`;
  if (state.failing || seconds > OLD || state.hangs) [tone, told] = ["bad", `${clock.whole(Math.round(seconds))} old · ${self} does not answer`];
  else if (away) [tone, told] = ["warn", `${clock.whole(Math.max(0, Math.round((clock.now() - Date.parse(away)) / 1000)))} old · ${self} has no ZooKeeper`];
  else if (!known.group.members) [tone, told] = ["quiet", "loading"];
  $("freshness").dataset.tone = tone;
  if ($("age").textContent !== told) $("age").textContent = told;
}

// -- beginning

listen((event, id) => {
  const key = id || `${event.at}-${known.events.length}`;
  if (heard.has(key)) return;
  heard.add(key);
  known.events = [...known.events, { ...event, key }].slice(-KEPT);
  const parts = [...NOW];
  if (event.event.startsWith("leader")) parts.push("history");
  if (event.event === "operation" || event.event.startsWith("leader")) parts.push("log");
  soon(parts);
}, () => {
  state.greeted = true;
  soon(NOW);
});
setInterval(() => { clock.tick(); fresh(); seek(); }, 1000);
addEventListener("resize", () => { if (known.group.members) { timeline(); drawLines($("picture")); } });
document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(Object.keys(PATHS), 0); });
logsAt = Date.now();
// What the agent answered as it made the page: shown before anything is asked.
for (const part of NOW) {
  const content = JSON.parse($("page").dataset[part]);
  learn(part, part === "group" && !content.members ? BUSY : 200, content);
}
draw();
soon(Object.keys(PATHS), 0);
