// Calls the real SDK of Trigger.dev for a Python test: one command on each line of stdin, one answer on each of stdout.
//
//     node driver.mjs sdk4            with TRIGGER_API_URL and TRIGGER_SECRET_KEY, and nothing else
//
// A command is {"id", "call": "runs.retrieve", "args": [...]}. `task(slug).trigger` calls a method of a task, `api.addTags`
// one of the client that the SDK itself uses. With "collect": n, up to n items of what the call iterates over are answered,
// and none after one that has a status of "until".
// The answer is {"id", "ok": value} or {"id", "error": {name, message, status}}. What JSON has no form for is
// {"$date": "..."}, {"$map": [...]}, {"$bigint": "..."}, {"$undefined": true}, both ways.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [major] = process.argv.slice(2);
const sdk = await import(`${major}/v3`);
const require = createRequire(import.meta.url);
const ownRequire = createRequire(require.resolve(`${major}/v3`));
const core = await import(pathToFileURL(ownRequire.resolve("@trigger.dev/core/v3")));
const api = new core.ApiClient(process.env.TRIGGER_API_URL, process.env.TRIGGER_SECRET_KEY);
const tasks = new Map();

const marked = {
  $date: (value) => new Date(value),
  $map: (value) => new Map(value),
  $bigint: (value) => BigInt(value),
  $undefined: () => undefined,
};

function read(value) {
  if (Array.isArray(value)) return value.map(read);
  if (value === null || typeof value !== "object") return value;
  const [[name, inner] = []] = Object.entries(value);
  if (name in marked) return marked[name](read(inner));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, read(member)]));
}

function written(value) {
  if (value === undefined) return { $undefined: true };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Map) return { $map: [...value].map(written) };
  if (typeof value === "bigint") return { $bigint: String(value) };
  if (Array.isArray(value)) return value.map(written);
  if (value === null || typeof value !== "object") return typeof value === "function" ? undefined : value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined && typeof member !== "function")
      .map(([key, member]) => [key, written(member)])
  );
}

function task(id) {
  if (!tasks.has(id)) tasks.set(id, sdk.task({ id, run: async () => undefined }));
  return tasks.get(id);
}

function resolve(call) {
  const [, slug, method] = /^task\((.*)\)\.(\w+)$/.exec(call) ?? [];
  if (slug !== undefined) return [task(slug), method];
  const names = call.split(".");
  const method_ = names.pop();
  const owner = names.reduce((at, name) => at[name], { api, ...sdk });
  return [owner, method_];
}

async function perform({ call, args, collect, until = [] }) {
  const [owner, name] = resolve(call);
  if (typeof owner?.[name] !== "function") throw new Error(`${major} has no ${call}`);
  const result = owner[name](...read(args));
  if (collect === undefined) return await result;
  const items = [];
  for await (const item of await result) {
    items.push(item);
    if (items.length >= collect || until.includes(item?.status)) break;
  }
  return items;
}

const lines = createInterface({ input: process.stdin, terminal: false });
process.stdout.write(`${JSON.stringify({ ready: major })}\n`);
for await (const line of lines) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: written(await perform(command)) };
  } catch (error) {
    answer = { error: { name: error?.constructor?.name, message: String(error?.message ?? error), status: error?.status } };
  }
  process.stdout.write(`${JSON.stringify({ id: command.id, ...answer })}\n`);
}
process.exit(0);
