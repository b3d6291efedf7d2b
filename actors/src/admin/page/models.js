// The models, each with its servers. A model that is closed has no rows; one with many servers shows them by and by; and
// what is shown is changed where it differs, so that what was opened stays open and the keyboard stays where it is.

import { ask } from "./ask.js";
import { badge, bar, count, coverage, day, figure, gaps, make, milliseconds, percent, say, short, show, shown, STATES, strip, title } from "./marks.js";
import { details } from "./details.js";

/** Rows that are shown of a model, and that are added by each wish for more. */
const ROWS = 100;
/** Servers of a swarm up to which all models are open from the start. */
const FEW_SERVERS = 60;
/** Rows and columns of the matrix of round trips. */
const MOST_PINGERS = 40;
/** Between two questions for the histories of a model. */
const HISTORY_PERIOD = 60_000;
const COLUMNS = ["State", "Server", "Blocks", "Throughput", "Version", "Cache left", "Way", "Answer", "Last day"];
const LABELS = ["State", "Server", "Blocks", "Throughput", "Version", "Cache", "Way", "Answer", "Last day"];

const views = new Map();
let swarm = null;
let own = "";
let query = "";

/** Shows a crawl. */
export function follow(next, self) {
  const first = swarm === null;
  [swarm, own] = [next, self];
  const few = swarm.models.reduce((sum, model) => sum + model.servers.length, 0) <= FEW_SERVERS;
  const place = document.getElementById("models");
  if (first) place.replaceChildren();
  const keys = new Set(swarm.models.map((model) => model.dht_prefix));
  for (const [key, view] of views) {
    if (!keys.has(key)) {
      view.root.remove();
      views.delete(key);
    }
  }
  swarm.models.forEach((model, index) => {
    let view = views.get(model.dht_prefix);
    if (!view) {
      view = new View((few || swarm.models.length === 1) && model.servers.length > 0);
      views.set(model.dht_prefix, view);
    }
    if (place.children[index] !== view.root) place.insertBefore(view.root, place.children[index] ?? null);
    view.follow(model);
  });
  draw();
  if (!swarm.models.length) place.replaceChildren(make("p", { of: "empty" }, "Nobody serves a model in this swarm."));
}

/** Shows the servers that match, and says how many there are. */
export function search(text) {
  query = text.trim().toLowerCase();
  for (const view of views.values()) view.choice = null;
  return draw();
}

/** Draws all models; of what is looked for, no more than so many rows open by themselves. */
function draw() {
  let found = 0;
  for (const view of views.values()) found += view.draw(found < ROWS);
  return found;
}

function matches(server) {
  const { public_name: name, version } = server.info;
  return [server.peer_id, name, version].some((text) => text?.toLowerCase().includes(query));
}

/** Whether a model can be used, in words. */
function verdict(blocks, missing) {
  if (!blocks.length) return make("span", { of: "verdict bad" }, "not looked for");
  if (!missing.length) return make("span", { of: "verdict good" }, "whole");
  const where = missing.length > 3 ? `${missing.length} gaps` : `no server for ${missing.join(", ")}`;
  return make("span", { of: "verdict bad" }, where);
}

/** One model on the page. */
class View {
  constructor(open) {
    const id = `model-${views.size}-${Date.now()}`;
    this.open = open;
    /** What the reader chose while something is looked for. */
    this.choice = null;
    this.limit = ROWS;
    this.rows = new Map();
    this.pasts = new Map();
    this.asked = -Infinity;
    this.name = make("span", { of: "name" });
    this.sign = make("span", { of: "sign", "aria-hidden": "true" }, "▸");
    this.button = make("button", { type: "button", "aria-expanded": "false", "aria-controls": id }, this.sign, this.name);
    this.button.addEventListener("click", () => {
      const wanted = !this.root.classList.contains("open");
      if (query) this.choice = wanted;
      else this.open = wanted;
      this.draw(false);
    });
    this.facts = make("p", { of: "about" });
    this.strip = make("div", { of: "cover" });
    this.body = make("div", { of: "body", id });
    this.more = make("button", { type: "button", of: "more" });
    this.more.addEventListener("click", () => {
      this.limit += ROWS;
      this.draw(true);
    });
    this.root = make("article", { of: "model" }, make("header", {}, make("h3", {}, this.button), this.facts, this.strip), this.body);
  }

  follow(model) {
    this.model = model;
    say(this.name, title(model));
    const blocks = coverage(model);
    const missing = gaps(blocks);
    const states = STATES.map((state) => [state, model.servers.filter((server) => shown(server) === state).length]);
    const about = [
      verdict(blocks, missing),
      make("span", {}, `${model.num_blocks} blocks`),
      ...states.filter(([, number]) => number).map(([state, number]) => make("span", {}, badge(state), ` ${figure(number)}`)),
      ...(model.listed ? [] : [make("span", { of: "quiet" }, "not in the index")]),
    ];
    this.facts.replaceChildren(...about);
    this.strip.replaceChildren(strip(blocks));
  }

  /** Draws what is to be seen, with its rows if there is room; gives back how many servers match what is looked for. */
  draw(room) {
    if (!this.model) return 0;
    const chosen = query ? this.model.servers.filter(matches) : this.model.servers;
    show(this.root, !query || chosen.length > 0);
    const open = query ? chosen.length > 0 && (this.choice ?? room) : this.open;
    this.button.setAttribute("aria-expanded", String(open));
    this.root.classList.toggle("open", open);
    if (!open) {
      if (this.body.hasChildNodes()) this.close();
      return chosen.length;
    }
    if (!this.body.hasChildNodes()) this.build();
    const ordered = [...chosen].sort(byBlocks);
    this.fill(ordered.slice(0, this.limit));
    show(this.servers, ordered.length > 0);
    show(this.nobody, ordered.length === 0);
    show(this.more, ordered.length > this.limit);
    say(this.more, `Show ${Math.min(ROWS, ordered.length - this.limit)} more of ${figure(ordered.length)}`);
    this.bad();
    if (this.matrix.open) this.ping();
    show(this.matrix, this.model.servers.some((server) => server.info.next_pings && Object.keys(server.info.next_pings).length));
    this.remember();
    return chosen.length;
  }

  close() {
    this.body.replaceChildren();
    this.rows.clear();
    this.limit = ROWS;
  }

  build() {
    const heads = COLUMNS.map((name, column) => make("th", { scope: "col", role: "columnheader", of: `c${column}` }, name));
    this.table = make("tbody", { role: "rowgroup" });
    this.nobody = make("p", { of: "nobody" }, "Nobody serves this model.");
    this.servers = make("table", { of: "servers", role: "table", "aria-label": `Servers of ${title(this.model)}` },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), this.table);
    this.matrix = make("details", { of: "matrix" }, make("summary", {}, "Round trips between servers"), make("div", { of: "scroll", tabindex: "0" }));
    this.matrix.addEventListener("toggle", () => this.matrix.open && this.ping());
    this.refused = make("div", { of: "refused" });
    this.body.replaceChildren(this.nobody, this.servers, this.more, this.matrix, this.refused);
  }

  /** The rows, in order. */
  fill(servers) {
    const wanted = new Set(servers.map((server) => server.peer_id));
    for (const [peer, row] of this.rows) {
      if (!wanted.has(peer)) {
        row.remove();
        this.rows.delete(peer);
      }
    }
    let before = this.table.firstChild;
    for (const server of servers) {
      let row = this.rows.get(server.peer_id);
      if (!row) {
        row = new Row(server.peer_id, this);
        this.rows.set(server.peer_id, row);
      }
      row.follow(server, this.model);
      if (row.root !== before) this.table.insertBefore(row.root, before);
      else before = before.nextSibling;
      if (row.below) {
        if (row.below !== before) this.table.insertBefore(row.below, before);
        else before = before.nextSibling;
      }
    }
  }

  /** Asks for the histories of what is open, not too often. */
  async remember() {
    const now = performance.now();
    if (now - this.asked < HISTORY_PERIOD) return;
    this.asked = now;
    const { status, body } = await ask(`/api/v1/history?model=${encodeURIComponent(this.model.dht_prefix)}`);
    if (status !== 200) return;
    this.pasts = new Map(body.servers.map((server) => [server.peer_id, server]));
    for (const row of this.rows.values()) row.past();
  }

  /** Records that cannot be used, each with what is wrong with it. */
  bad() {
    const lines = [...this.model.bad_records.map((bad) => [`${bad.subkey} at ${bad.blocks}`, bad.note]), ...this.model.notes.map((note) => ["", note])];
    const items = lines.slice(0, ROWS).map(([who, note]) => make("li", {}, who ? make("code", {}, who) : null, who ? " " : null, note));
    this.refused.replaceChildren(...(items.length ? [make("h4", {}, `${count(lines.length, "record")} that cannot be used, and notes`), make("ul", { of: "notes" }, ...items)] : []));
  }

  /** Who needs how long to whom. */
  ping() {
    const place = this.matrix.lastElementChild;
    const from = this.model.servers.filter((server) => Object.keys(server.info.next_pings ?? {}).length).sort(byBlocks).slice(0, MOST_PINGERS);
    const known = new Map(this.model.servers.map((server) => [server.peer_id, server]));
    const all = new Set(from.flatMap((server) => Object.keys(server.info.next_pings)));
    const strangers = [...all].filter((peer) => !known.has(peer)).sort();
    const near = [...all].map((peer) => known.get(peer)).filter(Boolean).sort(byBlocks).map((server) => server.peer_id);
    const to = [...near, ...strangers].slice(0, MOST_PINGERS);
    const label = (peer) => known.get(peer)?.info.public_name || short(peer);
    const head = make("tr", {}, make("th", { scope: "col" }, "from ╲ to"), ...to.map((peer) => make("th", { scope: "col", title: peer }, make("span", {}, label(peer)))));
    const rows = from.map((server) => make("tr", {}, make("th", { scope: "row", title: server.peer_id }, label(server.peer_id)), ...to.map((peer) => {
      if (!Object.hasOwn(server.info.next_pings, peer)) return make("td", {}, "");
      const seconds = server.info.next_pings[peer];
      return make("td", { of: `heat-${heat(seconds)}` }, seconds === null ? "×" : String(Math.round(seconds * 1000)));
    })));
    place.replaceChildren(make("table", { of: "grid" }, make("caption", {}, `Milliseconds, as servers say${all.size > to.length || from.length === MOST_PINGERS ? `; the first ${MOST_PINGERS}` : ""}`), make("thead", {}, head), make("tbody", {}, ...rows)));
  }
}

/** In the order of their blocks; longer spans first. */
function byBlocks(one, other) {
  return one.start - other.start || other.end - one.end || (one.peer_id < other.peer_id ? -1 : 1);
}

/** How long is long. */
function heat(seconds) {
  if (seconds === null) return 5;
  return [0.01, 0.05, 0.15, 0.4].filter((limit) => seconds > limit).length;
}

/** One server in its model's table. */
class Row {
  constructor(peer, view) {
    this.peer = peer;
    this.view = view;
    this.cells = COLUMNS.map((_, column) => make("td", { role: "cell", of: `c${column}`, "data-label": LABELS[column] }));
    this.name = make("span", { of: "name", dir: "auto" });
    this.id = make("code", { title: peer }, short(peer));
    this.mine = make("span", { of: "mine" }, "this node");
    this.button = make("button", { type: "button", "aria-expanded": "false" }, this.name, this.id, this.mine);
    this.button.addEventListener("click", () => this.toggle());
    this.cells[1].append(this.button);
    this.root = make("tr", { role: "row" }, ...this.cells);
    this.below = null;
    this.seen = "";
  }

  follow(server, model) {
    // What has not changed is left alone.
    const now = JSON.stringify(server) + model.num_blocks + own;
    if (now === this.seen) return;
    [this.seen, this.server, this.model] = [now, server, model];
    const state = shown(server);
    const { info, reach } = server;
    this.root.className = state;
    this.cells[0].replaceChildren(badge(state));
    say(this.name, info.public_name ?? "");
    show(this.name, Boolean(info.public_name));
    show(this.mine, this.peer === own);
    const blocks = `${server.start}:${server.end}`;
    this.cells[2].replaceChildren(bar(server, model.num_blocks, state), make("span", { of: "range" }, blocks));
    say(this.cells[3], figure(info.throughput));
    say(this.cells[4], info.version ?? "–");
    this.cells[4].title = info.version ?? "";
    const tokens = info.cache_tokens_left;
    say(this.cells[5], tokens === null || tokens === undefined ? "–" : figure(Math.floor(tokens / (2 * Math.max(server.end - server.start, 1)))));
    this.cells[5].title = "Tokens, for each block";
    say(this.cells[6], info.using_relay === null || info.using_relay === undefined ? "–" : info.using_relay ? "relay" : "direct");
    say(this.cells[7], reach.verdict === "answered" ? milliseconds(reach.seconds) : reach.verdict === "failed" ? reach.error : "not asked");
    this.cells[7].title = reach.error ?? "";
    this.past();
    if (this.below) this.below.firstChild.replaceChildren(details(server, model));
  }

  /** How it was there in the last day. */
  past() {
    const past = this.view.pasts.get(this.peer);
    const cell = this.cells[8];
    if (!past) say(cell, "");
    else cell.replaceChildren(day(past.day), make("span", { of: "share" }, percent(past.uptime["24h"])));
  }

  toggle() {
    if (this.below) {
      this.below.remove();
      this.below = null;
    } else {
      const cell = make("td", { role: "cell", colspan: String(COLUMNS.length) }, details(this.server, this.model));
      this.below = make("tr", { of: "below", role: "row" }, cell);
      this.root.after(this.below);
    }
    this.button.setAttribute("aria-expanded", String(this.below !== null));
  }

  remove() {
    this.root.remove();
    this.below?.remove();
  }
}
