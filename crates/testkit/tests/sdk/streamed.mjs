// A streamed turn: every kind of item, in the shapes of the SDK's type declarations.
import { assert, assertWellFormed, client, collect, given, options } from "./harness.mjs";

const thread = client().startThread(options());
const { events, thrown } = await collect(thread, "do it");
assert.equal(thrown, null);
assertWellFormed(events);
assert.equal(events[0].thread_id, thread.id);
assert.equal(events[1].type, "turn.started");

const completed = events
  .filter((event) => event.type === "item.completed")
  .map((event) => event.item);
assert.deepEqual(
  completed.map((item) => item.type),
  [
    "reasoning",
    "web_search",
    "command_execution",
    "file_change",
    "tool_call",
    "agent_message",
    "todo_list",
  ],
);
const [reasoning, search, command, change, rejected, message, todo] = completed;
assert.equal(reasoning.text, "**Looking**");
assert.equal(search.query, "weather");
// Node's readline takes U+2028 for the end of a line.
assert.equal(command.aggregated_output, "a\u2028b\u0085c\u001b[31m\n");
assert.deepEqual(change.changes, [{ path: `${given.repo}/new.txt`, kind: "add" }]);
assert.equal(rejected.status, "rejected");
assert.match(rejected.error.message, /no tool "fly"/);
assert.equal(message.text, "line\u2028separated");
assert.deepEqual(todo.items, [
  { text: "one", completed: true },
  { text: "two", completed: false },
]);
assert.ok(events.some((event) => event.type === "item.updated"));
assert.deepEqual(events.at(-1).usage, {
  input_tokens: 50,
  cached_input_tokens: 30,
  cache_write_input_tokens: 5,
  output_tokens: 20,
  reasoning_output_tokens: 7,
});
