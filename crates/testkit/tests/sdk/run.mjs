// Start a thread, run a turn to its end, and another one on the same thread.
import { assert, client, options, report } from "./harness.mjs";

const thread = client().startThread(options());
assert.equal(thread.id, null);

const first = await thread.run("first task");
assert.equal(first.finalResponse, "The first answer.");
assert.deepEqual(
  first.items.map((item) => item.type),
  ["command_execution", "agent_message"],
);
assert.equal(first.items[0].aggregated_output, "hello\n");
assert.equal(first.items[0].exit_code, 0);
assert.equal(first.usage.input_tokens, 200);
const id = thread.id;
assert.match(id, /^[0-9a-f-]{36}$/);

const second = await thread.run([
  { type: "text", text: "second task" },
  { type: "text", text: "in two parts" },
]);
assert.equal(second.finalResponse, "The second answer.");
assert.equal(thread.id, id);
assert.equal(second.usage.input_tokens, 100, "the turn's own tokens, not the thread's");
report({ id });
