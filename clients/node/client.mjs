// The client: stubs made at run time from the contract itself, `proto/image2poem/v1`, and nothing generated.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const local = (path) => fileURLToPath(new URL(path, import.meta.url));
const contract = grpc.loadPackageDefinition(
  loadSync("image2poem/v1/poem_service.proto", {
    includeDirs: [local("../../proto")],
    longs: String,
    enums: String,
    oneofs: true,
    defaults: true,
  }),
).image2poem.v1;

const SERVICE_CONFIG = readFileSync(local("../service_config.json"), "utf-8");
const CHANNEL_OPTIONS = {
  "grpc.service_config": SERVICE_CONFIG,
  // What is kept of requests to send them again to another server; pictures are large.
  "grpc.per_rpc_retry_buffer_size": 16 * 2 ** 20,
  "grpc.retry_buffer_size": 64 * 2 ** 20,
};

/** A call that failed. `reason` is stable, for programs: a value of ErrorReason without its prefix, or null. */
export class Image2PoemError extends Error {
  constructor(error) {
    super(error.details || error.message, { cause: error });
    this.name = "Image2PoemError";
    this.code = grpc.status[error.code] ?? "UNKNOWN";
    this.reason = first(error.metadata, "image2poem-reason");
    this.requestId = first(error.metadata, "x-request-id");
    const pushback = first(error.metadata, "grpc-retry-pushback-ms");
    /** Seconds after which the server asks to be tried again, or null. */
    this.retryAfter = pushback === null ? null : Number(pushback) / 1000;
  }
}

export class Client {
  #stub;
  #seconds;
  #metadata = new grpc.Metadata();

  /**
   * @param target  `host:port`, or `dns:///name:port` for every address of a name, in turn
   * @param seconds the deadline of each call
   * @param token   a bearer token, for a server that asks for one; send it by TLS alone
   * @param credentials  of grpc-js; in the clear where none are given
   */
  constructor(target, { seconds = 60, token, credentials = grpc.credentials.createInsecure() } = {}) {
    this.#stub = new contract.PoemService(target, credentials, CHANNEL_OPTIONS);
    this.#seconds = seconds;
    if (token) this.#metadata.set("authorization", `Bearer ${token}`);
  }

  /**
   * The events of a poem as they are made: objects with one of `retrieved`, `token`, `line` and `finished`, and its
   * name in `event`. Leaving the loop cancels the call, and the server stops writing.
   * @param wish a ComposePoemRequest: `{ keywords: { words: ["明月"] }, form: "FORM_WUJUE" }`
   */
  async *compose(wish) {
    const call = this.#stub.composePoem(wish, this.#metadata, { deadline: this.#deadline() });
    try {
      yield* call;
    } catch (error) {
      throw new Image2PoemError(error);
    } finally {
      call.cancel();
    }
  }

  /** The keywords nearest to `{ picture }`, `{ text }` or `{ vector: { values } }`: a LookupKeywordsResponse. */
  lookupKeywords(wish) {
    return this.#answer("lookupKeywords", wish);
  }

  /** What the server has and allows: a GetServerInfoResponse. */
  serverInfo() {
    return this.#answer("getServerInfo", {});
  }

  close() {
    this.#stub.close();
  }

  #answer(method, request) {
    return new Promise((resolve, reject) => {
      this.#stub[method](request, this.#metadata, { deadline: this.#deadline() }, (error, answer) =>
        error ? reject(new Image2PoemError(error)) : resolve(answer),
      );
    });
  }

  #deadline() {
    return new Date(Date.now() + this.#seconds * 1000);
  }
}

function first(metadata, key) {
  const [value] = metadata?.get(key) ?? [];
  return value === undefined ? null : String(value);
}
