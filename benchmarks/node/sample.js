// The sample of the field: Express with jsonwebtoken, whose keys come from jwks-rsa and its cache.
// The issuer's URL is the first argument. It prints its port, and serves until it is ended.
"use strict";

const express = require("express");
const jwt = require("jsonwebtoken");
const jwksClient = require("jwks-rsa");

const issuer = process.argv[2];
const keys = jwksClient({
  jwksUri: `${issuer}/.well-known/jwks.json`,
  cache: true,
  cacheMaxAge: 10 * 60 * 1000,
});

function signingKey(header, callback) {
  keys.getSigningKey(header.kid, (error, key) => callback(error, key?.getPublicKey()));
}

function authenticate(request, response, next) {
  const token = request.headers.authorization?.replace("Bearer ", "");
  if (!token) {
    response.status(401).json({ detail: "No token." });
    return;
  }
  jwt.verify(token, signingKey, { issuer, algorithms: ["RS256"] }, (error, claims) => {
    if (error) {
      response.status(401).json({ detail: "The token is refused." });
      return;
    }
    request.user = claims;
    next();
  });
}

function view(_request, response) {
  response.json({ message: "Access granted" });
}

const app = express();
app.get("/open", view);
app.get("/jsonwebtoken", authenticate, view);
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
