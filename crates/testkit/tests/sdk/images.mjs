// Local images go along with the text, at the beginning and when a thread is resumed.
import { assert, client, given, options } from "./harness.mjs";

const thread = client().startThread(options());
const images = given.images.map((path) => ({ type: "local_image", path }));
const turn = await thread.run([{ type: "text", text: "what is this?" }, ...images]);
assert.equal(turn.finalResponse, "Pictures.");
const again = await thread.run([{ type: "text", text: "and this?" }, images[0]]);
assert.equal(again.finalResponse, "The same.");

await assert.rejects(
  thread.run([{ type: "text", text: "gone" }, { type: "local_image", path: "/no/such.png" }]),
  /exited with code 2.*cannot read image \/no\/such\.png/s,
);
