// The gateway, as functions. Every failure is a Failure with a stable reason.

export class Failure extends Error {
  constructor(reason, message = "", retryAfter = null) {
    super(message || reason);
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

export async function info() {
  return (await ask("/api/info", {})).json();
}

export async function check(text, rhymeBook) {
  return (await post("/api/checks", { text, rhyme_book: rhymeBook || undefined })).json();
}

export async function card(wish, picture) {
  return (await post("/api/cards", wish, picture)).blob();
}

/** A poem's events as {kind, …}, ending with `finished`. Aborting the signal stops the poet. */
export async function* compose(wish, picture, signal) {
  const response = await post("/api/poems", wish, picture, signal);
  let kind = "";
  for await (const event of serverSent(response.body, signal)) {
    kind = event.kind;
    if (kind === "failed") throw new Failure(event.reason, event.message, event.retry_after);
    yield event;
  }
  if (kind !== "finished" && !signal.aborted) throw new Failure("GATEWAY_GONE");
}

function post(path, wish, picture, signal) {
  if (!picture) {
    const headers = { "Content-Type": "application/json" };
    return ask(path, { method: "POST", headers, body: JSON.stringify(wish), signal });
  }
  const headers = { "Content-Type": picture.type || "application/octet-stream" };
  const query = new URLSearchParams({ wish: JSON.stringify(wish) });
  return ask(`${path}?${query}`, { method: "POST", headers, body: picture, signal });
}

async function ask(path, options) {
  const response = await reached(() => fetch(path, options));
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const reason = body.reason ?? (response.status === 413 ? "TOO_LARGE" : "INTERNAL");
  throw new Failure(reason, body.message, body.retry_after);
}

async function* serverSent(stream, signal) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reached(() => reader.read());
      if (done || signal.aborted) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((row) => row.split(/: (.*)/s)));
        if (fields.data) yield { kind: fields.event, ...JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Network errors are the gateway's absence; an abort is the caller's own doing. */
async function reached(call) {
  try {
    return await call();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("GATEWAY_GONE");
  }
}
