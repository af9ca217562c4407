#!/usr/bin/env node
// A poem on the terminal, character by character.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Client, Image2PoemError } from "./client.mjs";

const USAGE = `node main.mjs [PICTURE] [--keywords 明月,故乡] [--text 秋江] [--form wujue|qijue|wulv|qilv] [--poet NAME]
              [--seed N] [--target HOST:PORT] [--seconds 60] [--json]`;

const string = { type: "string" };
const OPTIONS = {
  target: { type: "string", default: process.env.IMAGE2POEM_TARGET ?? "localhost:50051" },
  seconds: { type: "string", default: "60" },
  keywords: string,
  text: string,
  form: string,
  poet: string,
  seed: string,
  json: { type: "boolean", default: false },
};

class Misuse extends Error {}

function read() {
  let values, positionals;
  try {
    ({ values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true }));
  } catch (error) {
    throw new Misuse(error.message);
  }
  const sources = [positionals[0], values.keywords, values.text].filter((source) => source !== undefined);
  if (sources.length !== 1 || positionals.length > 1) {
    throw new Misuse("give one of: a picture, --keywords, --text");
  }
  return { values, picture: positionals[0] };
}

function wishOf({ values, picture }) {
  const wish = { poet: values.poet };
  if (picture) wish.picture = readFileSync(picture);
  if (values.keywords) wish.keywords = { words: values.keywords.split(/[,，]/) };
  if (values.text) wish.text = values.text;
  if (values.form) wish.form = `FORM_${values.form.toUpperCase()}`;
  if (values.seed) wish.seed = values.seed;
  return wish;
}

function show(event) {
  switch (event.event) {
    case "retrieved":
      return `意象：${event.retrieved.keywords.map((keyword) => keyword.text).join(" ")}\n\n`;
    case "token":
      return event.token.text;
    case "line":
      return event.line.line % 2 ? "。\n" : "，\n";
    case "finished":
      return `\n${event.finished.poet} · seed ${event.finished.seed}\n`;
    default:
      return "";
  }
}

async function main() {
  const wanted = read();
  const client = new Client(wanted.values.target, { seconds: Number(wanted.values.seconds) });
  try {
    for await (const event of client.compose(wishOf(wanted))) {
      process.stdout.write(wanted.values.json ? `${JSON.stringify(event)}\n` : show(event));
    }
  } finally {
    client.close();
  }
}

try {
  await main();
} catch (error) {
  const expected = error instanceof Misuse || error instanceof Image2PoemError || error.code === "ENOENT";
  if (!expected) throw error;
  console.error(`image2poem: ${error.reason ?? error.code ?? ""} ${error.message}`.replace(/\s+/g, " "));
  if (error instanceof Misuse) console.error(USAGE);
  process.exitCode = error instanceof Misuse ? 2 : 1;
}
