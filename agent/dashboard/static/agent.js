// Asks this page's agent. Every question has a deadline, and every answer a status: nothing here throws.

const READ = 3000; // milliseconds
const WRITE = 9000; // milliseconds; the agent gives up after six seconds

async function ask(path, options, deadline) {
  try {
    const answer = await fetch(path, { cache: "no-store", ...options, signal: AbortSignal.timeout(deadline) });
    const content = await answer.json().catch(() => null);
    return { status: answer.status, content: content ?? {} };
  } catch (error) {
    const late = error?.name === "TimeoutError";
    return { status: 0, content: { reason: late ? "the agent has not answered in time" : "the agent does not answer" } };
  }
}

export function read(path) {
  return ask(path, { headers: { Accept: "application/json" } }, READ);
}

// Asks for something; without a token only for a dry run.
export function write(path, content, token) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  return ask(path, { method: "POST", headers, body: JSON.stringify(content) }, WRITE);
}

// Whether another agent is there for this browser. Nothing of its answer is read.
export async function answers(url) {
  try {
    await fetch(`${url}/live`, {
      mode: "no-cors",
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(2000),
    });
    return true;
  } catch {
    return false;
  }
}

const KINDS = [
  "state", "member", "leader", "leader_elected", "leader_lost", "member_down", "member_up", "operation", "zookeeper",
];
const SHOWN = 60; // events before now that are asked for

// Listens to what happens; the browser comes again by itself and gets what it has missed. `greeted` is called each time
// that the agent begins to tell.
export function listen(heard, greeted) {
  let source;
  const open = () => {
    source = new EventSource(`events?last=${SHOWN}`);
    source.addEventListener("hello", greeted);
    for (const kind of KINDS) {
      source.addEventListener(kind, (message) => {
        try {
          heard(JSON.parse(message.data), message.lastEventId);
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error;
        }
      });
    }
    source.addEventListener("error", () => {
      // The browser gives up for good when it is refused, as when too many listen.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 5000 + 5000 * Math.random());
    });
  };
  open();
}
