// Every option that the type declarations offer is taken, each value of it.
import { assert, client, given, options } from "./harness.mjs";

const cases = [
  ...["read-only", "workspace-write", "danger-full-access"].map((sandboxMode) => ({ sandboxMode })),
  ...["never", "on-request", "on-failure", "untrusted"].map((approvalPolicy) => ({ approvalPolicy })),
  ...["minimal", "low", "medium", "high", "xhigh", "max", "ultra", "persistent"].map(
    (modelReasoningEffort) => ({ modelReasoningEffort }),
  ),
  ...["disabled", "cached", "live"].map((webSearchMode) => ({ webSearchMode })),
  ...[true, false].map((webSearchEnabled) => ({ webSearchEnabled })),
  ...[true, false].map((networkAccessEnabled) => ({ networkAccessEnabled })),
  { additionalDirectories: [given.extra, given.outside] },
  { skipGitRepoCheck: true, workingDirectory: given.outside },
  { threadSource: "a-test" },
];
const asked = given.part === undefined ? cases : cases.filter((_, at) => at % 4 === given.part);
for (const more of asked) {
  const thread = client().startThread(options(more));
  const turn = await thread.run("do it");
  assert.equal(turn.finalResponse, "done", JSON.stringify(more));
  const again = await thread.run("again");
  assert.equal(again.finalResponse, "done again", JSON.stringify(more));
}
