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
  const url = new URL(protectedUrl, location.href);
  element("curl").textContent = token.value.trim()
    ? `curl -i -H "Authorization: Bearer ${token.value.trim()}" "${url}"`
    : `curl -i "${url}"`;
}

/** What the form asks for. An expired token ran out a minute ago. */
function wanted() {
  const data = new FormData(form);
  return {
    algorithm: data.get("algorithm"),
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

async function call(headers) {
  const status = element("status");
  element("challenge").textContent = "–";
  element("body").textContent = "–";
  try {
    const response = await fetch(protectedUrl, {
      headers: { Accept: "application/json", ...headers },
      cache: "no-store",
    });
    const text = await response.text();
    status.textContent = `${response.status} ${response.statusText}`;
    status.className = response.ok ? "good" : "bad";
    element("challenge").textContent = response.headers.get("WWW-Authenticate") ?? "–";
    try {
      element("body").textContent = pretty(JSON.parse(text));
    } catch {
      element("body").textContent = text;
    }
  } catch (error) {
    status.textContent = `No answer: ${error.message}`;
    status.className = "bad";
  }
  element("answer").hidden = false;
}

form?.addEventListener("submit", fetchToken);
token.addEventListener("input", showToken);
element("call").addEventListener("click", () =>
  call({ Authorization: `Bearer ${token.value.trim()}` }),
);
element("call-without").addEventListener("click", () => call({}));
showToken();
