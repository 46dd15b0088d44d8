// What a page in a browser has, as far as React, SWR and Trigger.dev's hooks look: a window, a document that can be hidden,
// and a fetch that keeps to the rules for requests to another origin. It asks first whether the request may be sent, refuses
// what the server does not allow, and shows of an answer no header that is not exposed.

const ORIGIN = "https://app.example.com";
const SIMPLE_METHODS = new Set(["GET", "HEAD", "POST"]);
const SIMPLE_SENT = new Set(["accept", "accept-language", "content-language"]);
const SIMPLE_CONTENT = new Set(["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"]);
const ALWAYS_SHOWN = "cache-control content-language content-length content-type expires last-modified pragma".split(" ");

const send = globalThis.fetch;

/** Every request of the page: its method and path, the names of those of its headers that needed leave, and once it is over
 *  its status, or the error that ended it. */
export const requests = [];
/** Names of headers that were looked for in answers. */
export const sought = new Set();

class Shown extends Headers {
  get(name) {
    sought.add(name.toLowerCase());
    return super.get(name);
  }

  has(name) {
    sought.add(name.toLowerCase());
    return super.has(name);
  }
}

function listed(headers, name) {
  return (headers.get(name) ?? "").split(",").map((item) => item.trim().toLowerCase());
}

function needsLeave([name, value]) {
  if (name === "content-type") return !SIMPLE_CONTENT.has(value.split(";")[0]);
  return !SIMPLE_SENT.has(name);
}

function blocked(why) {
  return new TypeError(`blocked by the browser: ${why}`);
}

async function askLeave(request, names) {
  const asking = { Origin: ORIGIN, "Access-Control-Request-Method": request.method };
  if (names.length) asking["Access-Control-Request-Headers"] = names.join(",");
  const answer = await send(request.url, { method: "OPTIONS", headers: asking, signal: request.signal });
  if (!answer.ok) throw blocked(`OPTIONS ${request.url} was answered ${answer.status}`);
  requireOrigin(answer, request.url);
  const methods = listed(answer.headers, "access-control-allow-methods");
  if (!SIMPLE_METHODS.has(request.method) && !methods.some((one) => one === request.method.toLowerCase() || one === "*"))
    throw blocked(`${request.method} ${request.url} is not allowed`);
  const allowed = listed(answer.headers, "access-control-allow-headers");
  const refused = names.filter((name) => !allowed.includes(name) && (name === "authorization" || !allowed.includes("*")));
  if (refused.length) throw blocked(`the headers ${refused} are not allowed for ${request.url}`);
}

function requireOrigin(answer, url) {
  if (!["*", ORIGIN].includes(answer.headers.get("access-control-allow-origin")))
    throw blocked(`the answer to ${url} is not for ${ORIGIN}`);
}

globalThis.fetch = async function fetch(input, init) {
  const request = new Request(input, init);
  const names = [...request.headers].filter(needsLeave).map(([name]) => name).sort();
  const { pathname, search } = new URL(request.url);
  const noted = { method: request.method, path: pathname + search, headers: names };
  requests.push(noted);
  try {
    if (names.length || !SIMPLE_METHODS.has(request.method)) await askLeave(request, names);
    request.headers.set("origin", ORIGIN);
    const answer = await send(request);
    requireOrigin(answer, request.url);
    noted.status = answer.status;
    const exposed = [...ALWAYS_SHOWN, ...listed(answer.headers, "access-control-expose-headers")];
    const shown = [...answer.headers].filter(([name]) => exposed.includes(name));
    return Object.defineProperty(answer, "headers", { value: new Shown(shown) });
  } catch (error) {
    noted.status = error?.name ?? String(error);
    throw error;
  }
};

const document = Object.assign(new EventTarget(), {
  nodeType: 9,
  hidden: false,
  visibilityState: "visible",
  activeElement: null,
  createElement: element,
});
const window = Object.assign(new EventTarget(), { document, HTMLIFrameElement: class {} });
document.defaultView = window;
Object.assign(globalThis, { window, document });

/** Returns an element that nothing is ever put into: enough for React to render a component that shows nothing. */
export function element(tagName) {
  const namespaceURI = "http://www.w3.org/1999/xhtml";
  const own = { nodeType: 1, nodeName: tagName, tagName, namespaceURI, ownerDocument: document, style: {} };
  return Object.assign(new EventTarget(), own, { setAttribute: () => undefined });
}

// A page goes on after a promise that nobody looked at was rejected; `submit` of a hook leaves such a one behind its error.
process.on("unhandledRejection", () => {});

/** Puts the page behind another, or back before the user. */
export function hide(hidden) {
  Object.assign(document, { hidden, visibilityState: hidden ? "hidden" : "visible" });
  document.dispatchEvent(new Event("visibilitychange"));
}
