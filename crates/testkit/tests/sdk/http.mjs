// A provider over HTTP: the request carries the key, and nothing else leaves the program. The Rust
// test starts this in a network namespace of its own, whose counters tell.
import { assert, client, fs, given, options } from "./harness.mjs";
import http from "node:http";
import { spawn } from "node:child_process";

const KEY = "sk-test-0123456789";

const server = spawn(process.env.RECTO_BIN, ["script", "serve", given.script], {
  stdio: ["ignore", "pipe", "inherit"],
});
const address = await new Promise((found) => {
  server.stdout.once("data", (data) => found(String(data).trim()));
});

// Stands before the scripted model and keeps what was asked: the server itself masks keys.
const seen = [];
const front = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    const { host: _, ...headers } = request.headers;
    const onward = http.request(`${address}${request.url}`, { method: request.method, headers });
    onward.on("response", (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.end(body);
  });
});
let accepted = 0;
front.on("connection", () => (accepted += 1));
await new Promise((done) => front.listen(0, "127.0.0.1", done));

const counters = () => {
  const lines = fs.readFileSync("/proc/net/snmp", "utf8").split("\n");
  const value = (protocol, name) => {
    const [names, values] = lines.filter((line) => line.startsWith(`${protocol}:`));
    return Number(values.split(" ")[names.split(" ").indexOf(name)]);
  };
  return { nowhere: value("Ip", "OutNoRoutes"), datagrams: value("Udp", "OutDatagrams") };
};

try {
  const baseUrl = `http://127.0.0.1:${front.address().port}/v1`;
  const env = { ...process.env };
  delete env.OPENAI_API_KEY;
  const codex = client({ baseUrl, apiKey: KEY, env });
  const thread = codex.startThread(options({ model: "gpt-5.1-codex" }));
  const turn = await thread.run("print the environment");
  assert.equal(turn.finalResponse, "Printed.");
  const [command] = turn.items.filter((item) => item.type === "command_execution");
  assert.equal(command.exit_code, 0, command.aggregated_output);
  assert.doesNotMatch(command.aggregated_output, /sk-test|API_KEY/);
  const again = await thread.run("and again");
  assert.equal(again.finalResponse, "Again.");

  assert.equal(seen.length, 3);
  for (const request of seen) {
    assert.equal(request.method, "POST");
    assert.equal(request.url, "/v1/responses");
    assert.equal(request.headers.authorization, `Bearer ${KEY}`);
    assert.equal(JSON.parse(request.body).model, "gpt-5.1-codex");
    assert.ok(!request.body.includes(KEY));
  }
  assert.ok(accepted <= 3, `${accepted} connections`);
  if (given.alone) {
    assert.deepEqual(counters(), { nowhere: 0, datagrams: 0 });
  }
} finally {
  front.close();
  front.closeAllConnections();
  server.kill();
}
