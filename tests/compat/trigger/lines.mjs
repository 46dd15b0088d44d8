// How a Python test speaks to a program in Node: one command on each line of stdin, one message on each of stdout.
//
// A command is {"id", ...}. To it come any number of {"id", "item": value}, and then {"id", "ok": value} or
// {"id", "error": {name, message, status}}. Commands do not wait for each other. What JSON has no form for is
// {"$date": "..."}, {"$map": [...]}, {"$bigint": "..."}, {"$error": {...}}, {"$undefined": true}.
import { createInterface } from "node:readline";

const marked = {
  $date: (value) => new Date(value),
  $map: (value) => new Map(value),
  $bigint: (value) => BigInt(value),
  $undefined: () => undefined,
};

/** Returns what a value of a command stands for; `more` has further marks, each with what makes a value of its member. */
export function read(value, more = {}) {
  if (Array.isArray(value)) return value.map((member) => read(member, more));
  if (value === null || typeof value !== "object") return value;
  const [[name, inner] = []] = Object.entries(value);
  const make = more[name] ?? marked[name];
  if (make !== undefined) return make(read(inner, more));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, read(member, more)]));
}

/** Returns a value as messages have it, without its functions. */
export function written(value) {
  if (value === undefined) return { $undefined: true };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Map) return { $map: [...value].map(written) };
  if (value instanceof Error) return { $error: described(value) };
  if (typeof value === "bigint") return { $bigint: String(value) };
  if (Array.isArray(value)) return value.map(written);
  if (value === null || typeof value !== "object") return typeof value === "function" ? undefined : value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined && typeof member !== "function")
      .map(([key, member]) => [key, written(member)])
  );
}

/** Performs the commands that come, until stdin ends. `perform(command, tell)` tells items and returns what is answered. */
export async function serve(name, perform) {
  const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  const answer = async ({ id, ...command }) => {
    try {
      say({ id, ok: written(await perform(command, (item) => say({ id, item: written(item) }))) });
    } catch (error) {
      say({ id, error: described(error) });
    }
  };
  say({ ready: name });
  for await (const line of createInterface({ input: process.stdin, terminal: false })) answer(JSON.parse(line));
  process.exit(0);
}

function described(error) {
  return { name: error?.constructor?.name, message: String(error?.message ?? error), status: error?.status };
}
