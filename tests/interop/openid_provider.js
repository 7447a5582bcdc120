// A certified OpenID provider on a free port of the loopback interface.
//
// It prints its issuer as a line of JSON. Then each line on standard input is a command, answered
// with an empty object when it is done: "rotate" signs with new keys and goes on publishing the old
// ones, "retire" stops publishing all but those that it signs with. It ends with its input.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import Provider from "oidc-provider";

// Which resource a token is for decides how it is signed.
const ALGORITHMS = {
  "https://eddsa.test": "EdDSA",
  "https://rs256.test": "RS256",
};

// Standard output is for answers to commands alone.
console.info = console.error;

let generation = 0;
let keys = [];
let provider;

function newKeys() {
  generation += 1;
  const pairs = {
    EdDSA: generateKeyPairSync("ed25519"),
    RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  };
  return Object.entries(pairs).map(([alg, { privateKey }]) => ({
    ...privateKey.export({ format: "jwk" }),
    alg,
    kid: `${alg}-${generation}`,
    use: "sig",
  }));
}

function publish(issuer, published) {
  keys = published;
  provider = new Provider(issuer, {
    clients: [
      {
        client_id: "gateway",
        client_secret: "for tests only",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          accessTokenFormat: "jwt",
          audience: resource,
          jwt: { sign: { alg: ALGORITHMS[resource] } },
          scope: "read write",
        }),
      },
    },
    jwks: { keys },
    ttl: { ClientCredentials: 300 },
  });
}

const server = createServer((request, response) => provider.callback()(request, response));

server.listen(0, "127.0.0.1", async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  publish(issuer, newKeys());
  console.log(JSON.stringify({ issuer }));
  for await (const command of createInterface({ input: process.stdin })) {
    if (command === "rotate") {
      publish(issuer, [...newKeys(), ...keys]);
    } else if (command === "retire") {
      publish(issuer, keys.slice(0, Object.keys(ALGORITHMS).length));
    } else {
      throw new Error(`unknown command: ${command}`);
    }
    console.log("{}");
  }
  process.exit();
});
