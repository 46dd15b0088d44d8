// Calls the real SDK of Trigger.dev for a Python test.
//
//     node driver.mjs sdk4            with TRIGGER_API_URL and TRIGGER_SECRET_KEY, and nothing else
//
// A command is {"call": "runs.retrieve", "args": [...]}. `task(slug).trigger` calls a method of a task, `api.addTags` one
// of the client that the SDK itself uses. With "collect": n, up to n items of what the call iterates over are told as they
// come, and none after one that has a status of "until".
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { read, serve } from "./lines.mjs";

const [major] = process.argv.slice(2);
const sdk = await import(`${major}/v3`);
const require = createRequire(import.meta.url);
const ownRequire = createRequire(require.resolve(`${major}/v3`));
const core = await import(pathToFileURL(ownRequire.resolve("@trigger.dev/core/v3")));
const api = new core.ApiClient(process.env.TRIGGER_API_URL, process.env.TRIGGER_SECRET_KEY);
const tasks = new Map();

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

async function perform({ call, args, collect, until = [] }, tell) {
  const [owner, name] = resolve(call);
  if (typeof owner?.[name] !== "function") throw new Error(`${major} has no ${call}`);
  const result = owner[name](...read(args));
  if (collect === undefined) return await result;
  let told = 0;
  for await (const item of await result) {
    tell(item);
    told += 1;
    if (told >= collect || until.includes(item?.status)) break;
  }
  return told;
}

await serve(major, perform);
