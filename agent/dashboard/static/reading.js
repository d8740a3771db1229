// What the group is like, from what the agent answers. Pure: content in, content out; nothing of the page.

export const TONE = {
  running: "good", alarmed: "warn", starting: "busy", draining: "busy", minority: "bad", hung: "bad", stopped: "bad",
  unreachable: "bad", split: "bad", starving: "bad", gone: "bad",
};

const MEANING = {
  alarmed: "publishers are blocked", minority: "no majority confirms", hung: "it answers nothing",
  stopped: "it does not run", unreachable: "its agent cannot connect to it",
  split: "it and the other nodes do not count each other in",
  starving: "it takes messages and feeds nobody", gone: "its agent is not registered",
  starting: "it boots, or joins the cluster", draining: "it is closed for maintenance",
};

// All members: those that are registered, and those of the cluster whose agent is gone.
export function members(group) {
  const registered = group.members ?? [];
  const there = new Set(registered.map((one) => one.name));
  const gone = Object.entries(group.cluster?.nodes ?? {})
    .filter(([, node]) => !there.has(node.member))
    .map(([node, record]) => ({ name: record.member, node, state: "gone", reasons: [], warnings: [], gone: true }));
  return [...registered, ...gone].sort((one, other) => (one.name < other.name ? -1 : 1));
}

// By site, in order; those without a site last.
export function sites(all) {
  const found = new Map();
  for (const one of all) {
    const site = one.tags?.site ?? "";
    found.set(site, [...(found.get(site) ?? []), one]);
  }
  return [...found].sort(([one], [other]) => (one === "" ? 1 : other === "" ? -1 : one < other ? -1 : 1));
}

export function why(member) {
  return member.reasons?.length ? member.reasons : MEANING[member.state] ? [MEANING[member.state]] : [];
}

// What is wrong, the worst first: {tone, member, text, since}.
export function problems(group, health) {
  const found = [];
  const zookeeper = health.zookeeper;
  if (zookeeper && !zookeeper.connected) {
    found.push({ tone: "bad", text: "ZooKeeper does not answer this agent: what is shown is as it was then", since: zookeeper.since });
  }
  if (!group.leader && group.members) {
    found.push({ tone: "bad", text: group.leader_unreadable ?? "There is no leader: who wants the leader’s broker waits" });
  }
  for (const one of members(group)) {
    const tone = TONE[one.state] ?? "warn";
    if (tone !== "good") {
      const because = why(one).join("; ");
      found.push({ tone, member: one.name, text: `is ${one.state}${because ? `: ${because}` : ""}`, since: one.since });
    }
    for (const text of one.warnings ?? []) found.push({ tone: "warn", member: one.name, text });
    if (one.config?.problem) found.push({ tone: "warn", member: one.name, text: one.config.problem });
  }
  for (const text of group.problems ?? []) found.push({ tone: "warn", text });
  const order = ["bad", "warn", "busy"];
  return found.sort((one, other) => order.indexOf(one.tone) - order.indexOf(other.tone));
}

// The steps of what is under way: {title, by, reason, id, steps: [{text, member, state}]}.
export function underWay(group) {
  const found = [];
  const work = group.maintenance;
  if (work) {
    const [current, ...later] = work.members ?? [];
    const steps = (work.done ?? []).map((member) => ({ member, text: "done", state: "done" }));
    if (current !== undefined) {
      const text = { drain: "drains: clients and replicas move", restart: "restarts its broker" }[work.step] ?? "is next";
      steps.push({ member: current, text, state: "now" });
    }
    steps.push(...later.map((member) => ({ member, text: "to come", state: "later" })));
    found.push({ kind: work.kind, id: work.id, by: work.by, reason: work.reason, requested: work.requested, steps });
  }
  const move = group.switchover;
  if (move) {
    const steps = [{ text: `the lead of ${move.from ?? "nobody"} is to go to ${move.to ?? "the best candidate"}`, state: "done" }];
    if (move.at) steps.push({ text: `waits until ${move.at}`, state: Date.parse(move.at) > Date.now() ? "now" : "done" });
    steps.push({ text: "a majority confirms through the new leader", state: move.at ? "later" : "now" });
    found.push({ kind: move.kind, id: move.id, by: move.by, reason: move.reason, requested: move.requested, steps });
  }
  return found;
}

// The seconds without a leader that a change has cost; null if it is not known.
export function gap(entry) {
  const seconds = entry.timings?.vacant;
  return typeof seconds === "number" ? seconds : null;
}

// What a change was: "first" of a new group, "asked" for by somebody, or "failed" over.
export function nature(entry) {
  if (entry.operation !== null && entry.operation !== undefined) return "asked";
  return entry.from === null || entry.from === undefined ? "first" : "failed";
}
