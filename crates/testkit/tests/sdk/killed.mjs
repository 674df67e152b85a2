// Ends the program by SIGKILL while a command runs; says which thread it was.
import { assert, client, given, options, processesWith, report } from "./harness.mjs";
import { execFileSync } from "node:child_process";

const thread = client().startThread(options());
const streamed = await thread.runStreamed("work for long");
await assert.rejects(async () => {
  for await (const event of streamed.events) {
    if (event.type !== "item.started") continue;
    const pids = execFileSync("ps", ["-o", "pid=", "--ppid", String(process.pid)], {
      encoding: "utf8",
    });
    const program = pids.split("\n").map(Number).find((pid) => {
      return pid && processesWith("exec --experimental-json").length > 0;
    });
    process.kill(program, "SIGKILL");
  }
}, /exited with signal SIGKILL/);
report({ id: thread.id, word: given.word });
