# The settings of the backend that match this gateway.
JWTAUTH = {
    # The URL of the deployment, and the plugin's basePath.
    "ISSUER": "https://my-api.zuplo.app/__zuplo/issuer",
    # The policy's audience.
    "AUDIENCE": "https://backend.example.com",
    # The plugin's algorithm.
    "ALGORITHMS": ["EdDSA"],
    # The claims that every token has, because of the policy's claimsFromUser.
    "REQUIRED_CLAIMS": {"sub": True},
    # The claim that claimsFromUser fills with the caller's scopes.
    "SCOPE_CLAIM": "scope",
}
