// The page: asks this node for the last crawl, again and again, and lets the rest of it follow. Nobody else is asked.

import { ask, DEADLINE, open } from "./ask.js";
import { ago, badge, count, coverage, figure, gaps, make, moment, say, short, show, shown, STATES } from "./marks.js";
import { follow, search } from "./models.js";

/** Between two questions. An answer that is no news costs a line. */
const PERIOD = 3000;
/** Ages after which a crawl counts as old, if it does not say when the next one comes. */
const OLD_SECONDS = 180;
/** Rows of the lists below the models. */
const MOST_ISSUES = 200;

const at = (id) => document.getElementById(id);
let etag = "";
/** What was last said, and the age that its crawl had then. */
let last = null;
let lastAnswer = performance.now();
let own = "";

async function poll() {
  const asked = await ask("/api/v1/map", etag ? { "if-none-match": etag } : {});
  show(at("key"), asked.status === 401);
  if (asked.status === 200) {
    etag = asked.etag ?? "";
    take(asked.body);
  }
  if (asked.status === 200 || asked.status === 304) lastAnswer = performance.now();
  else if (asked.status !== 401 && asked.status !== 0) trouble(`This node answers: ${asked.body?.error ?? asked.status}`);
  tick();
}

function take(answer) {
  own = answer.peer_id;
  say(at("about"), `petald ${answer.version} · this node is ${own}`);
  if (!answer.swarm) return;
  last = { swarm: answer.swarm, seen: performance.now() - answer.age_seconds * 1000 };
  const { swarm } = last;
  sums(swarm);
  follow(swarm, own);
  show(at("mine"), swarm.models.some((model) => model.servers.some((server) => server.peer_id === own)));
  bootstraps(swarm.bootstraps);
  issues(swarm);
  notes(swarm);
  performance.mark("rows");
}

/** The swarm in a line. */
function sums(swarm) {
  const states = Object.fromEntries(STATES.map((state) => [state, 0]));
  const servers = new Set();
  for (const model of swarm.models) {
    for (const server of model.servers) {
      servers.add(server.peer_id);
      states[shown(server)]++;
    }
  }
  const whole = swarm.models.filter((model) => model.servers.length && !gaps(coverage(model)).length).length;
  const reached = swarm.bootstraps.filter((bootstrap) => !bootstrap.error).length;
  const all = [
    ["Models whole", `${figure(whole)} of ${figure(swarm.models.length)}`, ""],
    ["Servers", figure(servers.size), ""],
    ...STATES.filter((state) => state !== "missing").map((state) => [state, figure(states[state]), states[state] ? state : ""]),
    ["Bootstraps reached", `${reached} of ${swarm.bootstraps.length}`, reached === swarm.bootstraps.length ? "" : "unreachable"],
  ];
  at("sums").replaceChildren(...all.map(([name, value, state]) => make("div", { of: state },
    make("dt", {}, STATES.includes(state) && name === state ? badge(state) : name), make("dd", {}, value))));
  say(at("said"), `${count(servers.size, "server")}: ${STATES.filter((state) => states[state]).map((state) => `${states[state]} ${state}`).join(", ")}`);
}

function bootstraps(all) {
  at("bootstraps").replaceChildren(...all.map((bootstrap) => make("li", {},
    badge(bootstrap.error ? "unreachable" : "online"), " ",
    make("code", { title: bootstrap.peer_id }, short(bootstrap.peer_id)), " ",
    make("span", { of: "quiet" }, bootstrap.error ?? bootstrap.addresses[0] ?? ""))));
}

function issues(swarm) {
  const why = new Map();
  for (const bootstrap of swarm.bootstraps) if (bootstrap.error) why.set(bootstrap.peer_id, bootstrap.error);
  for (const model of swarm.models) {
    for (const server of model.servers) if (server.reach.verdict === "failed") why.set(server.peer_id, server.reach.error);
  }
  show(at("issues-section"), why.size > 0);
  say(at("issues-count"), figure(why.size));
  const rows = [...why].sort().slice(0, MOST_ISSUES);
  at("issues").replaceChildren(...rows.map(([peer, error]) => make("tr", {},
    make("td", {}, make("code", {}, peer)), make("td", {}, error))));
}

function notes(swarm) {
  const all = [...swarm.notes];
  if (!swarm.complete) all.unshift("The crawl did not come to its end before its deadline.");
  if (Math.abs(swarm.clock_offset ?? 0) > 3) all.unshift(`The swarm's clock is ${figure(swarm.clock_offset)} s off ours.`);
  show(at("notes-section"), all.length > 0);
  at("notes").replaceChildren(...all.map((note) => make("li", {}, note)));
}

/** What is told of time, every second. */
function tick() {
  const silent = (performance.now() - lastAnswer) / 1000;
  if (silent > DEADLINE / 1000) trouble(`This node has not answered for ${ago(silent)}. What is below is what it said last.`);
  else if (last || at("key").hidden) trouble("");
  if (!last) return;
  const age = (performance.now() - last.seen) / 1000;
  const old = age > (last.swarm.period ? last.swarm.period * 3 + last.swarm.took : OLD_SECONDS);
  const text = `Seen ${ago(age)} ago`;
  const pulse = at("age");
  pulse.classList.toggle("old", old);
  say(pulse, old ? `${text}: old` : text);
  pulse.title = `Crawled at ${moment(last.swarm.crawled_at).textContent}, in ${figure(last.swarm.took)} s, by ${count(last.swarm.dht_peers, "peer")} of the DHT`;
}

function trouble(text) {
  say(at("trouble"), text);
  show(at("trouble"), text !== "");
}

const THEMES = ["", "light", "dark"];
const THEME_WORDS = { "": "as the system has them", light: "light", dark: "dark" };
function theme(name) {
  const known = THEMES.includes(name) ? name : "";
  if (known) document.documentElement.dataset.theme = known;
  else delete document.documentElement.dataset.theme;
  at("theme").title = `Colours: ${THEME_WORDS[known]}`;
  at("theme").setAttribute("aria-label", at("theme").title);
  localStorage.setItem("theme", known);
}

function find(text) {
  const found = search(text);
  say(at("found"), text.trim() ? `${count(found, "server")} found for “${text.trim()}”` : "");
  history.replaceState(null, "", text.trim() ? `#${encodeURIComponent(text.trim())}` : location.pathname);
}

function listen() {
  let typing = 0;
  at("query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => find(at("query").value), 120);
  });
  at("find").addEventListener("submit", (event) => {
    event.preventDefault();
    find(at("query").value);
  });
  at("mine").addEventListener("click", () => {
    at("query").value = own;
    find(own);
  });
  at("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length]));
  at("key").addEventListener("submit", (event) => {
    event.preventDefault();
    open(at("token").value);
    at("token").value = "";
    poll();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      at("query").focus();
    } else if (event.key === "Escape" && event.target === at("query")) {
      at("query").value = "";
      find("");
    }
  });
}

/** What the address asks for; nothing, where somebody wrote it by hand and not well. */
function sought() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

async function run() {
  theme(localStorage.getItem("theme") ?? "");
  listen();
  setInterval(tick, 1000);
  const wanted = sought();
  at("query").value = wanted;
  search(wanted);
  for (;;) {
    // Nobody looks at a page that is hidden.
    if (!document.hidden) await poll();
    if (wanted && last && at("found").textContent === "") find(at("query").value);
    await new Promise((rested) => setTimeout(rested, PERIOD));
  }
}

run();
