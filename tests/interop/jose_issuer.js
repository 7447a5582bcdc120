// An issuer made of npm's jose, on a free port of the loopback interface.
//
// It prints its issuer as a line of JSON and serves its keys under that. Then each line on standard
// input is a command in JSON, answered by a line: {"header", "claims"} signs a token of that issuer,
// {"token", "jwks_url", "issuer"} verifies one of another. It ends with its input.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

import { SignJWT, createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";

const ALGORITHMS = ["EdDSA", "Ed25519", "RS256", "PS256", "ES256", "ES384", "ES512"];

const keys = {};
const published = [];
for (const alg of ALGORITHMS) {
  const { privateKey, publicKey } = await generateKeyPair(alg);
  keys[alg] = privateKey;
  published.push({ ...(await exportJWK(publicKey)), alg, kid: `key for ${alg}`, use: "sig" });
}

const server = createServer((request, response) => {
  response.setHeader("Content-Type", "application/jwk-set+json");
  response.statusCode = request.url === "/.well-known/jwks.json" ? 200 : 404;
  response.end(JSON.stringify({ keys: published }));
});

async function sign(issuer, { kid, ...header }, claims) {
  const name = kid === undefined ? `key for ${header.alg}` : kid;
  return new SignJWT({ iss: issuer, ...claims })
    .setProtectedHeader(name === null ? header : { kid: name, ...header })
    .setIssuedAt()
    .setExpirationTime(claims.exp ?? "5 minutes")
    .sign(keys[header.alg]);
}

async function verify(token, jwksUrl, issuer) {
  try {
    return (await jwtVerify(token, createRemoteJWKSet(new URL(jwksUrl)), { issuer })).payload;
  } catch (error) {
    return { refused: error.code };
  }
}

server.listen(0, "127.0.0.1", async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify(issuer));
  for await (const line of createInterface({ input: process.stdin })) {
    const { header, claims, token, jwks_url: jwksUrl, issuer: other } = JSON.parse(line);
    const answer = header ? sign(issuer, header, claims) : verify(token, jwksUrl, other);
    console.log(JSON.stringify(await answer));
  }
  process.exit();
});
