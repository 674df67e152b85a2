// Ends the program by SIGKILL while a command runs; says which thread it was.
import { assert, client, given, gone, options, processesWith, report } from "./harness.mjs";

const thread = client().startThread(options());
const streamed = await thread.runStreamed("work for long");
await assert.rejects(async () => {
  for await (const event of streamed.events) {
    if (event.type !== "item.started") continue;
    const [program] = processesWith(`exec --experimental-json --model ${given.model}`);
    process.kill(program.pid, "SIGKILL");
  }
}, /exited with signal SIGKILL/);
await gone(given.word);
report({ id: thread.id });
