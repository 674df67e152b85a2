// Options of the client and of a turn: configuration, environment, Cyber selection.
import { assert, client, given, options } from "./harness.mjs";

async function run(clientOptions, threadOptions = {}, turnOptions = {}) {
  const thread = client(clientOptions).startThread(options(threadOptions));
  return thread.run("do it", turnOptions);
}
const output = (turn) => turn.items.find((item) => item.type === "command_execution");

const configured = await run({
  config: {
    approval_policy: "never",
    env: { set: { FROM_CONFIG: "a b" } },
    sandbox_workspace_write: { network_access: false, writable_roots: [given.extra] },
    budget: { steps: 20 },
  },
  configOverrides: ['env.set.FROM_RAW="raw"'],
});
assert.equal(output(configured).aggregated_output, "a b|raw|\n");

// Later pairs win: an override over the configuration, a thread's option over both.
const layered = await run(
  { config: { sandbox_mode: "read-only" }, configOverrides: ['sandbox_mode="read-only"'] },
  { sandboxMode: "workspace-write" },
);
assert.equal(output(layered).exit_code, 0);

// The environment that is given is the whole environment; its secrets stay out of commands.
const { HOME, RECTO_HOME, PATH } = process.env;
process.env.NOT_PASSED_ON = "1";
const bare = await run({ env: { HOME, RECTO_HOME, PATH, SECRET: "s3cret" }, apiKey: "sk-unused" });
assert.equal(output(bare).aggregated_output, "||\n");

for (const cyberAccessProgram of ["standard", "daybreak_blue", "daybreak_red"]) {
  const turn = await run({}, {}, { cyberAccessProgram });
  assert.equal(turn.finalResponse, "done");
}

// What can't be used is an error that says so, and no crash of the consumer.
await assert.rejects(run({ config: { no_such_key: true } }), /exited with code 2.*no_such_key/s);
await assert.rejects(
  run({}, { workingDirectory: given.outside }),
  /exited with code 2.*not inside a git repository/s,
);

// Nor is a prompt that nobody reads: Node dies of a write to a closed pipe.
const thread = client({ config: { no_such_key: true } }).startThread(options());
await assert.rejects(thread.run("long ".repeat(1_000_000)), /exited with code 2.*no_such_key/s);
const long = client().startThread(options());
await assert.rejects(long.run("long ".repeat(1_000_000)), /exited with code 2.*prompt is longer/s);
