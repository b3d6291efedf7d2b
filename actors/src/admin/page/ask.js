// How the page asks this node. Nobody else is ever asked.

/** For an answer: the node is near. */
export const DEADLINE = 10_000;

/** Asks the node. `status` is 0 if it does not answer. */
export async function ask(path, headers = {}) {
  const token = sessionStorage.getItem("token");
  const open = token ? { ...headers, authorization: `Bearer ${token}` } : headers;
  try {
    const answer = await fetch(path, {
      headers: open, signal: AbortSignal.timeout(DEADLINE), cache: "no-store", credentials: "omit",
    });
    const json = answer.headers.get("content-type")?.startsWith("application/json");
    return { status: answer.status, etag: answer.headers.get("etag"), body: json ? await answer.json() : null };
  } catch {
    return { status: 0, body: null };
  }
}

/** From now on with this token. It is forgotten with the tab. */
export function open(token) {
  sessionStorage.setItem("token", token);
}
