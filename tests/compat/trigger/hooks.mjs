// Renders the real hooks of @trigger.dev/react-hooks for a Python test, in what passes for a browser.
//
// Commands: {"call": "mount", hook, args, auth?} renders a component that uses a hook, and answers its number `of`;
// {"call": "state", of, after} answers what it has rendered once that are more than `after` states; "use" calls a function
// that the hook returned; "unmount" takes the component away; "hide" puts the whole page behind another; "requests" answers
// what the page has sent and which headers it has looked for. In args, {"$told": name} is a function whose calls the state
// counts, and {"$answers": value} one that returns a promise.
import { element, hide, requests, sought } from "./browser.mjs";
import { read, serve } from "./lines.mjs";

const { createElement, useEffect } = await import("react");
const { createRoot } = await import("react-dom/client");
const hooks = await import("@trigger.dev/react-hooks");

const mounted = new Map();

function Shows({ hook, args, shown }) {
  const state = hook(...args);
  useEffect(() => shown(state), [state, shown]);
  return null;
}

function mount({ hook, args, auth }) {
  const own = { count: 0, state: undefined, told: {}, waiting: [] };
  const marks = {
    $told: (name) => () => (own.told[name] = (own.told[name] ?? 0) + 1),
    $answers: (value) => async () => value,
  };
  const shown = (state) => {
    Object.assign(own, { state, count: own.count + 1 });
    for (const wake of own.waiting.splice(0)) wake();
  };
  const component = createElement(Shows, { hook: hooks[hook], args: read(args, marks), shown });
  own.more = async (after) => {
    while (own.count <= after) await new Promise((wake) => own.waiting.push(wake));
  };
  const { Provider } = hooks.TriggerAuthContext;
  own.root = createRoot(element("div"));
  own.root.render(auth ? createElement(Provider, { value: read(auth, marks) }, component) : component);
  mounted.set(mounted.size, own);
  return mounted.size - 1;
}

function withNulls(state) {
  return Object.fromEntries(Object.entries(state).map(([name, value]) => [name, value ?? null]));
}

async function perform({ call, of, ...command }) {
  const own = mounted.get(of);
  switch (call) {
    case "mount":
      return mount(command);
    case "state":
      await own.more(command.after);
      return { count: own.count, state: withNulls(own.state), told: own.told };
    case "use":
      await own.more(0);
      own.state[command.name](...read(command.args));
      return undefined;
    case "unmount":
      return own.root.unmount();
    case "hide":
      return hide(command.hidden);
    case "requests":
      return { requests, sought: [...sought] };
    default:
      throw new Error(`there is no ${call}`);
  }
}

await serve("hooks", perform);
