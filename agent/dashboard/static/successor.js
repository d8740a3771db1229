// Goes over to another agent of the group when this page's is gone. The page itself goes: its address is the other agent's
// then, so that it reads, listens and asks there, with that agent's token, and no agent has to answer another's page.

import { answers } from "./agent.js";

let known = new Map(); // agents' URLs by member, of the last answer that named any

function usable(url) {
  try {
    const { protocol, username } = new URL(url);
    return (protocol === "http:" || protocol === "https:") && username === "";
  } catch {
    return false;
  }
}

// The other agents that the group names, as [member, url].
export function learn(group, self) {
  const others = (group.members ?? []).filter((one) => one.name !== self && typeof one.api === "string" && usable(one.api));
  // One that is not registered any more may be the next that is there again.
  for (const one of others) known.set(one.name, one.api);
  return others.map((one) => [one.name, one.api]);
}

export function others() {
  return [...known];
}

// Where to go now, [member, url]; undefined if nobody answers. All are asked at once: the first in order wins.
export async function find() {
  const there = await Promise.all(others().map(async ([member, url]) => [member, url, await answers(url)]));
  return there.find(([, , alive]) => alive);
}

export function go(url, from, because) {
  location.replace(`${url}/#${new URLSearchParams({ from, because })}`);
}

// Where this page has come from: {from, because}; null if it was opened here. The address is as before afterwards.
export function arrival() {
  const told = new URLSearchParams(location.hash.slice(1));
  if (!told.has("from")) return null;
  history.replaceState(null, "", location.pathname);
  return { from: told.get("from"), because: told.get("because") };
}
