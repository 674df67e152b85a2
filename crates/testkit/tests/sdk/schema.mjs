// Structured output: an answer that fits, one that fits at the second try, one that never does.
import { assert, client, fs, given, options } from "./harness.mjs";
import os from "node:os";

const outputSchema = {
  type: "object",
  properties: { summary: { type: "string" }, status: { enum: ["ok", "bad"] } },
  required: ["summary", "status"],
  additionalProperties: false,
};
const run = (model) => {
  const thread = client().startThread(options({ model }));
  return thread.run("say it as JSON", { outputSchema });
};

const fitting = await run(given.fitting);
assert.deepEqual(JSON.parse(fitting.finalResponse), { summary: "done", status: "ok" });

const second = await run(given.second);
assert.deepEqual(JSON.parse(second.finalResponse), { summary: "again", status: "bad" });
assert.equal(second.items.filter((item) => item.type === "agent_message").length, 2);

await assert.rejects(run(given.never), /does not fit the output schema/);

// An answer that the model's output limit cut in two is one answer.
const cut = await run(given.cut);
assert.deepEqual(JSON.parse(cut.finalResponse), { summary: "in two pieces", status: "ok" });

// A schema that is none is told before anything is done.
const thread = client().startThread(options({ model: given.fitting }));
await assert.rejects(
  thread.run("say it", { outputSchema: { type: "no such type" } }),
  /exited with code 2.*not a valid JSON schema/s,
);
assert.equal(thread.id, null);

const left = fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith("codex-output-schema"));
assert.deepEqual(left, []);
