// Go on with a thread that another process began.
import { assert, assertWellFormed, client, collect, given, options } from "./harness.mjs";

const thread = client().resumeThread(given.id, options());
assert.equal(thread.id, given.id);
const { events, thrown } = await collect(thread, given.prompt);
assert.equal(thrown, null);
assertWellFormed(events);
assert.equal(events[0].thread_id, given.id);
assert.equal(events.at(-1).type, "turn.completed");
const messages = events.filter((event) => event.item?.type === "agent_message");
assert.equal(messages.at(-1).item.text, given.answer);
