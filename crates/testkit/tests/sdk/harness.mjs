// What the scenarios share: the unmodified SDK, pointed at the program under test.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const modules = path.join(process.env.TEST_SDK, "node_modules");
const { Codex } = await import(
  pathToFileURL(path.join(modules, "@openai/codex-sdk/dist/index.js")).href
);

export { assert, fs, path };

/** What the Rust test passes to its scenario. */
export const given = JSON.parse(process.argv[2] ?? "{}");

/** The SDK's client, with the program under test in place of its own. */
export function client(options = {}) {
  return new Codex({ codexPathOverride: process.env.RECTO_BIN, ...options });
}

/** The options of a thread that works in the test's repository with its scripted model. */
export function options(more = {}) {
  return { model: given.model, workingDirectory: given.repo, ...more };
}

/** All events of a streamed turn, and what the SDK threw at its end. */
export async function collect(thread, input, turn = {}, watch = () => {}) {
  const events = [];
  let thrown = null;
  try {
    const streamed = await thread.runStreamed(input, turn);
    for await (const event of streamed.events) {
      events.push(event);
      watch(event, events);
    }
  } catch (error) {
    thrown = error;
  }
  return { events, thrown };
}

/** Hands the Rust test what it goes on with. */
export function report(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const text = (value) => typeof value === "string";
const count = (value) => Number.isInteger(value) && value >= 0;
const one = (...words) => (value) => words.includes(value);
const list = (check) => (value) => Array.isArray(value) && value.every(check);
const shape = (fields) => (value) =>
  Object.entries(fields).every(([name, check]) => check(value[name]));
const maybe = (check) => (value) => value === undefined || value === null || check(value);

// The SDK's type declarations, by hand: an item or event of a known type must fit them.
const items = {
  agent_message: shape({ text }),
  reasoning: shape({ text }),
  command_execution: shape({
    command: text,
    aggregated_output: text,
    exit_code: maybe(Number.isInteger),
    status: one("in_progress", "completed", "failed"),
  }),
  file_change: shape({
    changes: list(shape({ path: text, kind: one("add", "delete", "update") })),
    status: one("in_progress", "completed", "failed"),
  }),
  web_search: shape({ query: text }),
  todo_list: shape({ items: list(shape({ text, completed: (v) => typeof v === "boolean" })) }),
};
const usage = shape({
  input_tokens: count,
  cached_input_tokens: count,
  cache_write_input_tokens: count,
  output_tokens: count,
  reasoning_output_tokens: count,
});
const item = (value) => text(value.id) && (items[value.type]?.(value) ?? text(value.type));
const kinds = {
  "thread.started": shape({ thread_id: text }),
  "turn.started": () => true,
  "turn.completed": shape({ usage }),
  "turn.failed": shape({ error: shape({ message: text }) }),
  "item.started": shape({ item }),
  "item.updated": shape({ item }),
  "item.completed": shape({ item }),
  error: shape({ message: text }),
};

/** Asserts what holds for the events of every turn that was begun. */
export function assertWellFormed(events) {
  assert.equal(events[0]?.type, "thread.started", JSON.stringify(events));
  const open = new Set();
  for (const event of events) {
    assert.ok(kinds[event.type]?.(event) ?? true, JSON.stringify(event));
    if (event.type === "item.started") open.add(event.item.id);
    if (event.type === "item.completed") open.delete(event.item.id);
  }
  assert.deepEqual([...open], [], "items that never ended");
  const ends = events.filter((event) => ["turn.completed", "turn.failed"].includes(event.type));
  assert.equal(ends.length, 1);
  assert.equal(events.at(-1), ends[0]);
}

/** Running processes whose command line holds this word. */
export function processesWith(word) {
  return fs.readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!pid || pid === process.pid) return [];
    try {
      const line = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return line.includes(word) ? [{ pid, line }] : [];
    } catch {
      return [];
    }
  });
}

/** Waits until no process holds the word any more. */
export async function gone(word) {
  const patience = Date.now() + 5000;
  while (processesWith(word).length > 0 && Date.now() < patience) {
    await new Promise((wake) => setTimeout(wake, 20));
  }
  assert.deepEqual(processesWith(word), []);
}
