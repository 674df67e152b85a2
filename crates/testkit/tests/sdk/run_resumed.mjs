// As resume.mjs, but by `run`, which stops reading at the first `turn.failed`.
import { assert, client, given, options } from "./harness.mjs";

const thread = client().resumeThread(given.id, options());
const turn = await thread.run(given.prompt);
assert.equal(turn.finalResponse, given.answer);
