// The small things of which rows are made: elements, bars, figures. Every text goes in as text: no markup is ever parsed.

const SVG = "http://www.w3.org/2000/svg";

export const STATES = ["online", "joining", "unreachable", "offline", "missing"];
const SHAPES = { online: "●", joining: "◐", unreachable: "▲", offline: "○", missing: "·" };

/** An element with its classes, attributes and children; a child may be text. */
export function make(tag, { of = "", ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (of) element.className = of;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Changes a text only if it differs, so that a reader of the screen is not disturbed. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** A state as a shape and a word: never by colour alone. */
export function badge(state) {
  return make("span", { of: `state ${state}` },
    make("span", { of: "dot", "aria-hidden": "true" }, SHAPES[state] ?? "?"), state);
}

/** What a server is shown as, as the rest of the program does. */
export function shown(server) {
  if (server.info.state === "online" && server.reach.verdict === "failed") return "unreachable";
  return STATES.includes(server.info.state) ? server.info.state : "offline";
}

/** How many servers that are online serve each block. */
export function coverage(model) {
  const blocks = new Uint16Array(model.num_blocks);
  for (const server of model.servers) {
    if (shown(server) !== "online") continue;
    for (let block = server.start; block < Math.min(server.end, blocks.length); block++) blocks[block]++;
  }
  return blocks;
}

/** Blocks without a server, as ranges such as `4–9`. */
export function gaps(blocks) {
  const ranges = [];
  for (let block = 0; block < blocks.length; block++) {
    if (blocks[block]) continue;
    const begin = block;
    while (block + 1 < blocks.length && !blocks[block + 1]) block++;
    ranges.push(begin === block ? `${begin}` : `${begin}–${block}`);
  }
  return ranges;
}

/** The strip of a model: how well each block is served. Blocks alike share a mark. */
export function strip(blocks) {
  const missing = gaps(blocks);
  const label = missing.length
    ? `Blocks without a server: ${missing.slice(0, 8).join(", ")}${missing.length > 8 ? " and more" : ""}`
    : `All ${blocks.length} blocks are served`;
  const picture = svg("svg", {
    class: "strip", viewBox: `0 0 ${blocks.length} 10`, preserveAspectRatio: "none", role: "img", "aria-label": label,
  });
  for (let begin = 0; begin < blocks.length;) {
    let end = begin + 1;
    while (end < blocks.length && blocks[end] === blocks[begin]) end++;
    const level = Math.min(blocks[begin], 4);
    const mark = svg("rect", { class: `level-${level}`, x: begin, y: 0, width: end - begin, height: 10 });
    const title = svg("title", {});
    title.textContent = `${begin}–${end - 1}: ${count(blocks[begin], "server")}`;
    mark.append(title);
    picture.append(mark);
    begin = end;
  }
  return picture;
}

/** A server's blocks within its model. */
export function bar(server, blocks, state) {
  const picture = svg("svg", { class: `bar ${state}`, viewBox: `0 0 ${blocks} 8`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const begin = Math.min(server.start, blocks);
  const width = Math.max(Math.min(server.end, blocks) - begin, blocks / 200);
  picture.append(svg("rect", { class: "ground", x: 0, y: 3, width: blocks, height: 2 }));
  picture.append(svg("rect", { class: "span", x: begin, y: 0, width, height: 8 }));
  return picture;
}

/** The last day in half hours: a digit each, 9 for online all along; `-` where nobody looked. */
export function day(digits) {
  const picture = svg("svg", { class: "day", viewBox: `0 0 ${digits.length * 3} 16`, preserveAspectRatio: "none", "aria-hidden": "true" });
  [...digits].forEach((digit, part) => {
    const known = digit !== "-";
    const share = known ? Number(digit) / 9 : 0;
    const height = known ? Math.max(share * 14, 2) : 1;
    const kind = !known ? "unknown" : share === 1 ? "all" : share === 0 ? "none" : "some";
    picture.append(svg("rect", { class: kind, x: part * 3, y: 15 - height, width: 2, height }));
  });
  return picture;
}

export function count(number, word) {
  return `${figure(number)} ${word}${number === 1 ? "" : "s"}`;
}

const FIGURES = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
export function figure(number) {
  return number === undefined || number === null ? "–" : FIGURES.format(number);
}

export function percent(share) {
  if (share === undefined || share === null) return "–";
  // Whoever was away at all was not there all the time.
  const rounded = share < 1 ? Math.floor(share * 1000) / 10 : 100;
  return `${rounded}%`;
}

export function milliseconds(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  return seconds < 0.01 ? `${FIGURES.format(seconds * 1000)} ms` : `${Math.round(seconds * 1000)} ms`;
}

/** A length of time in its largest units. */
export function ago(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 120) return `${whole} s`;
  if (whole < 2 * 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 2 * 86400) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

export function moment(unix) {
  const date = new Date(unix * 1000);
  const text = date.toISOString().slice(0, 19).replace("T", " ");
  return make("time", { datetime: date.toISOString() }, `${text} UTC`);
}

/** The end of a peer id: its beginning is the same for all. */
export function short(id) {
  return id.length > 12 ? `…${id.slice(-6)}` : id;
}

/** The name of a model for people: the path of its repository, or its prefix. */
export function title(model) {
  const path = (model.repository ?? "").replace(/^[a-z]+:\/\/[^/]*\/?/, "").split(/[?#]/)[0].replace(/^\/+/, "");
  return path || model.dht_prefix;
}
