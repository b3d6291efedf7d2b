// What stands below a server's row when it is opened: all that it says of itself, and its history.

import { ask } from "./ask.js";
import { ago, badge, count, day, figure, make, milliseconds, moment, percent, short } from "./marks.js";

/** Changes that are shown; the rest is in the CSV. */
const MOST_CHANGES = 12;
const MOST_PINGS = 24;
const WINDOWS = ["1h", "24h", "7d", "30d"];

/** The details of a server. The history comes when it comes. */
export function details(server, model) {
  const info = server.info;
  const facts = make("dl", { of: "facts" });
  const fact = (name, ...values) => facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, ...values)));
  fact("Peer id", make("code", {}, server.peer_id));
  fact("Blocks", `${server.start} to ${server.end - 1} of ${model.num_blocks}`);
  fact("Answer", ...answer(server));
  fact("Throughput", `${figure(info.throughput)} a second`);
  fact("Inference", rate(info.inference_rps));
  fact("Forward", rate(info.forward_rps));
  fact("Network", rate(info.network_rps));
  fact("Types", [info.torch_dtype, info.quant_type].filter(Boolean).join(", ") || "–");
  fact("Adapters", info.adapters.join(", ") || "none");
  fact("Records", `live for ${ago(server.seconds_to_live)} more`);
  if (server.addresses.length) {
    fact("Addresses", ...server.addresses.flatMap((address) => [make("code", {}, address), make("br")]));
  }
  if (server.notes.length) fact("Odd", server.notes.join("; "));
  const parts = [facts, pings("Round trips from here", info.next_pings), pings("Round trips to here", server.pings_to_me)];
  const past = make("section", { of: "past", "aria-label": "History" }, make("p", { of: "quiet" }, "History …"));
  history(server.peer_id, past);
  return make("div", { of: "details" }, ...parts, past);
}

function answer(server) {
  const { verdict, seconds, error } = server.reach;
  if (verdict === "answered") return [`within ${milliseconds(seconds)}`];
  if (verdict === "failed") return [make("span", { of: "bad" }, error)];
  return ["was not asked"];
}

function rate(rps) {
  return rps === undefined || rps === null ? "–" : `${figure(rps)} a second`;
}

function pings(name, round_trips) {
  const all = Object.entries(round_trips ?? {});
  if (!all.length) return null;
  const near = all.sort(([, one], [, other]) => (one ?? Infinity) - (other ?? Infinity)).slice(0, MOST_PINGS);
  const items = near.map(([peer, seconds]) => make("li", {},
    make("code", { title: peer }, short(peer)), ` ${seconds === null ? "no answer" : milliseconds(seconds)}`));
  const more = all.length > near.length ? ` (the nearest of ${figure(all.length)})` : "";
  return make("section", { of: "pings" }, make("h4", {}, name + more), make("ul", {}, ...items));
}

async function history(peer, place) {
  const { status, body } = await ask(`/api/v1/history/${encodeURIComponent(peer)}`);
  if (status !== 200) {
    const why = status === 404 ? body?.error ?? "nothing is known" : "it does not come just now";
    place.replaceChildren(make("p", { of: "quiet" }, `No history: ${why}`));
    return;
  }
  const uptimes = make("dl", { of: "uptimes" }, ...WINDOWS.map((window) =>
    make("div", {}, make("dt", {}, window), make("dd", {}, percent(body.uptime[window])))));
  const changes = body.history.slice(-MOST_CHANGES).reverse().map((change) =>
    make("li", {}, moment(change.at), " ", badge(change.state)));
  const path = `/api/v1/history/${encodeURIComponent(peer)}`;
  place.replaceChildren(
    make("h4", {}, "Online, of the time that is known"),
    make("div", { of: "shares" }, uptimes, day(body.day)),
    make("p", { of: "quiet" }, "First seen ", moment(body.first_seen), ", last seen ", moment(body.last_seen), "."),
    make("h4", {}, count(body.changes, "change")),
    make("ol", { of: "changes" }, ...changes),
    make("p", {}, make("a", { href: path }, "JSON"), " · ", make("a", { href: `${path}?format=csv` }, "CSV")),
  );
}
