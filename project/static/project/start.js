"use strict";

const element = (id) => document.getElementById(id);
const demo = element("demo");
const form = element("token-form"); // Not there with a real gateway.
const token = element("token");
const { protectedUrl, tokenUrl } = demo.dataset;

/** The JSON in a segment of a token: base64url (RFC 7515 §2), then UTF-8. */
function decode(segment) {
  const octets = atob(segment.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

const pretty = (value) => JSON.stringify(value, null, 2);

function show(segment, target) {
  try {
    target.textContent = pretty(decode(segment));
  } catch {
    target.textContent = token.value.trim() ? "This cannot be read." : "–";
  }
}

function showToken() {
  const [header = "", claims = ""] = token.value.trim().split(".");
  show(header, element("token-header"));
  show(claims, element("token-claims"));
}

/** The claims of the two fields. Throws what `fetchToken` shows. */
function wantedClaims(data) {
  let claims = {};
  try {
    claims = JSON.parse(data.get("claims").trim() || "{}");
  } catch (error) {
    throw new Error(`the claims are not JSON (${error.message})`);
  }
  if (claims === null || typeof claims !== "object" || Array.isArray(claims)) {
    throw new Error("the claims must be a JSON object");
  }
  const scope = data.get("scope").trim();
  return scope ? { ...claims, scope } : claims;
}

/** What the form asks for. An expired token ran out a minute ago. */
function wanted() {
  const data = new FormData(form);
  return {
    algorithm: data.get("algorithm"),
    claims: wantedClaims(data),
    lifetime: data.has("expired") ? -60 : 300,
    stranger: data.has("stranger"),
  };
}

async function fetchToken(event) {
  event.preventDefault();
  const problem = element("token-problem");
  problem.textContent = "";
  try {
    const response = await fetch(tokenUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(wanted()),
    });
    const body = await response.json();
    if (!response.ok) {
      throw new Error(body.detail ?? pretty(body));
    }
    token.value = body.token;
    showToken();
  } catch (error) {
    problem.textContent = `No token: ${error.message}`;
  }
}

/** A shell's argument, in double quotes. */
const quoted = (text) => `"${text.replace(/["\\$`]/g, "\\$&")}"`;

function shellLine(headers) {
  const options = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  return ["curl -i", ...options, quoted(String(new URL(protectedUrl, location.href)))].join(" ");
}

/** Call the view, and show the request with its answer, also if another call has begun since. */
async function call(headers) {
  const request = shellLine(headers);
  showAnswer({ request, status: "…" });
  try {
    const response = await fetch(protectedUrl, { headers, cache: "no-store" });
    const text = await response.text();
    showAnswer({
      request,
      status: `${response.status} ${response.statusText}`,
      mood: response.ok ? "good" : "bad",
      challenge: response.headers.get("WWW-Authenticate") ?? undefined,
      body: prettyIfJson(text),
    });
  } catch (error) {
    showAnswer({ request, status: `No answer: ${error.message}`, mood: "bad" });
  }
}

function showAnswer({ request, status, mood = "", challenge = "–", body = "–" }) {
  element("curl").textContent = request;
  element("status").textContent = status;
  element("status").className = mood;
  element("challenge").textContent = challenge;
  element("body").textContent = body;
  element("answer").hidden = false;
}

function prettyIfJson(text) {
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

async function copy(button) {
  const source = element(button.dataset.copies);
  button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.textContent = "Copied";
  } catch {
    // Browsers offer no clipboard to pages from another machine without HTTPS.
    getSelection().selectAllChildren(source);
    source.select?.();
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = button.dataset.label), 1500);
}

form?.addEventListener("submit", fetchToken);
token.addEventListener("input", showToken);
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
}
element("call").addEventListener("click", () =>
  call({ Authorization: `Bearer ${token.value.trim()}` }),
);
element("call-without").addEventListener("click", () => call({}));
showToken();
