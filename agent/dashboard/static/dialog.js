// Asks for operations: first what it would do, as the agent says it, then the token, then the operation. The token is kept
// in this module's memory and nowhere else, and is gone with the page or after some idle minutes.

import { read, write } from "./agent.js";
import { alone, el, name, sentence } from "./dom.js";
import { members } from "./reading.js";

const FORGET = 10 * 60 * 1000; // milliseconds without an operation
const OPERATIONS = {
  switchover: { title: "Move the lead", path: () => "switchover", target: "to", any: "the best candidate", verb: "Move it" },
  failover: { title: "Give the lead to a member", path: () => "failover", target: "to", verb: "Give it" },
  pause: { title: "Pause the group", path: () => "pause", verb: "Pause" },
  resume: { title: "End the pause", path: () => "resume", verb: "Resume" },
  restart: { title: "Restart a broker", path: () => "restart", target: "member", verb: "Restart it" },
  "rolling-restart": { title: "Restart all brokers, one after the other", path: () => "rolling-restart", verb: "Restart them" },
  cancel: { title: "End an operation", path: (id) => `operations/${encodeURIComponent(id)}/cancel`, verb: "End it", blind: true },
};

let token;
let forgetting;
let who = "";

function keep(given) {
  token = given;
  clearTimeout(forgetting);
  if (given !== undefined) forgetting = setTimeout(() => keep(undefined), FORGET);
}

// Whether something is being asked for, so that the page must not go away.
export function isOpen(dialog) {
  return dialog.open;
}

// Opens the dialog for an operation.
//   kind: which; subject: the member or the operation it is about; group: as it is now; done: told of what was accepted.
export function open(dialog, kind, subject, group, done) {
  const about = OPERATIONS[kind];
  const state = { tried: about.blind === true, busy: false };
  const target = about.target ? choice(about, subject, group) : null;
  const by = el("input", { id: "ask-by", name: "by", maxlength: 100, autocomplete: "off", value: who });
  const reason = el("input", { id: "ask-reason", name: "reason", maxlength: 500, autocomplete: "off" });
  const secret = el("input", { id: "ask-token", name: "token", type: "password", autocomplete: "off", spellcheck: "false" });
  const secretField = field("Token of this agent (http.token)", secret);
  const outcome = el("div", { class: "outcome", role: "status", "aria-live": "polite" });
  const go = el("button", { type: "submit", class: "main" });
  const stop = el("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  const form = el("form", { method: "dialog", novalidate: true },
    el("h2", { id: "ask-head" }, about.title),
    kind === "cancel" ? el("p", {}, "Operation ", name(subject), ". What it has done already stays. This cannot be tried first.") : null,
    target ? field(kind === "restart" ? "Which" : "To", target) : null,
    field("Who asks (for the record)", by), field("Why (for the record)", reason), outcome, secretField,
    el("div", { class: "do" }, go, stop));

  const show = () => {
    secretField.hidden = !state.tried || token !== undefined;
    go.disabled = state.busy;
    go.textContent = state.busy ? "Asking…" : state.tried ? about.verb : "See what it would do";
  };
  const tell = (tone, ...parts) => outcome.replaceChildren(el("div", { class: "banner", "data-tone": tone },
    el("span", { class: "shape", "aria-hidden": "true" }), el("div", {}, parts)));
  const content = () => {
    const asked = {};
    if (target && target.value !== "") asked[about.target] = target.value;
    if (by.value.trim()) asked.by = by.value.trim();
    if (reason.value.trim()) asked.reason = reason.value.trim();
    return asked;
  };
  // What was tried is not what would be done any more.
  form.addEventListener("input", (event) => {
    if (event.target === secret || about.blind || !state.tried || state.busy) return;
    state.tried = false;
    outcome.replaceChildren();
    show();
  });

  const tryIt = async () => {
    const { status, content: answer } = await write(about.path(subject), { ...content(), dry_run: true }, token);
    if (status === 200) {
      state.tried = true;
      tell("busy", el("p", {}, "It would do this: ", sentence(answer.sentence, "dry-run")),
        (answer.warnings ?? []).map((text) => el("p", {}, el("span", { class: "badge", "data-tone": "warn" }, "warning"), " ", sentence(text, "w"))));
    } else {
      if (status === 401) keep(undefined);
      tell("bad", el("p", {}, status === 409 ? "Refused: " : "", sentence(answer.reason ?? `HTTP status ${status}`, "refused")));
    }
  };
  const doIt = async () => {
    const given = token ?? secret.value.trim();
    if (given === "") {
      tell("warn", el("p", {}, "Give the token: the value of http.token in this agent’s configuration."));
      return;
    }
    const { status, content: answer } = await write(about.path(subject), content(), given);
    if (status === 202 || status === 200) {
      keep(given);
      dialog.close();
      done(kind, answer);
    } else if (status === 401) {
      keep(undefined);
      secret.value = "";
      tell("bad", el("p", {}, "This is not the token of this agent. Nothing was done."));
    } else if (status === 0 || status === 504) {
      tell("bad", el("p", {}, "No answer in time: whether it was taken is not known. The log of operations says it; look there before you ask again."));
      state.tried = about.blind === true;
    } else {
      tell("bad", el("p", {}, status === 409 ? "Refused, and nothing was done: " : "Nothing was done: ", sentence(answer.reason ?? `HTTP status ${status}`, "refused")));
      state.tried = about.blind === true;
    }
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (state.busy) return;
    state.busy = true;
    who = by.value.trim();
    show();
    await (state.tried ? doIt() : tryIt());
    state.busy = false;
    show();
    if (!secretField.hidden) secret.focus();
  });
  dialog.addEventListener("close", () => dialog.replaceChildren(), { once: true });
  dialog.replaceChildren(form);
  show();
  dialog.showModal();
  (target ?? reason).focus();
}

function field(label, control) {
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control);
}

function choice(about, subject, group) {
  const all = members(group).filter((one) => !one.gone);
  const fit = about.target === "member" ? all : all.filter((one) => !one.leader);
  const options = fit.map((one) => el("option", { value: one.name, selected: one.name === subject }, `${alone(one.name)} (${one.state})`));
  if (about.any) options.unshift(el("option", { value: "", selected: subject === undefined }, about.any));
  return el("select", { id: "ask-target", name: "target" }, options);
}

// Follows an operation that was accepted to its end; tells each sentence that is new.
export async function follow(id, tell) {
  let said;
  for (let missed = 0; missed < 20; ) {
    const { status, content } = await read(`operations/${encodeURIComponent(id)}`);
    if (status === 200) {
      const told = `${content.kind} is ${content.state}${content.outcome ? `: ${content.outcome}` : ""}`;
      if (told !== said) tell(told, content.state);
      said = told;
      if (content.state === "done" || content.state === "failed") return;
    }
    missed = status === 200 ? 0 : missed + 1;
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}
