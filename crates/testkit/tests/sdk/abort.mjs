// AbortSignal: at the first event, and while a command runs. Nothing survives, and the thread goes
// on afterwards.
import { assert, assertWellFormed, client, collect, given, gone, options } from "./harness.mjs";

async function abort(model, when) {
  const controller = new AbortController();
  const thread = client().startThread(options({ model }));
  let asked = 0;
  const { events, thrown } = await collect(
    thread,
    "work for long",
    { signal: controller.signal },
    (event) => {
      if (!asked && when(event)) {
        asked = Date.now();
        controller.abort();
      }
    },
  );
  const took = Date.now() - asked;
  assert.ok(asked, "the moment never came");
  assert.equal(thrown?.name, "AbortError", String(thrown));
  assert.ok(took < 4000, `took ${took} ms`);
  assertWellFormed(events);
  assert.equal(events.at(-1).type, "turn.failed");
  assert.equal(events.at(-1).error.reason, "interrupted");
  return { events, thread };
}

const isCommand = (event) => event.type === "item.started";
const running = await abort(given.model, isCommand);
const command = running.events.find((event) => event.item?.status === "failed");
assert.equal(command.item.type, "command_execution");
assert.equal(command.item.exit_code, null);
await gone(given.word);

const turn = await running.thread.run("go on");
assert.equal(turn.finalResponse, "Went on.");

for (let times = 0; times < 3; times += 1) {
  await abort(given.model, (event) => event.type === "thread.started");
  await gone(given.word);
}

// A consumer that just stops reading ends the program as well.
const left = await client().startThread(options()).runStreamed("work for long");
for await (const event of left.events) if (isCommand(event)) break;
await gone(given.word);

// Aborted before it began: nothing is started at all.
const before = await collect(
  client().startThread(options()),
  "work for long",
  { signal: AbortSignal.abort() },
);
assert.equal(before.thrown?.name, "AbortError");
assert.deepEqual(before.events, []);
