import { JwtServicePlugin, RuntimeExtensions } from "@zuplo/runtime";

export function runtimeInit(runtime: RuntimeExtensions) {
  // The defaults: basePath "/__zuplo/issuer", algorithm "EdDSA", expiresIn "1h".
  runtime.addPlugin(new JwtServicePlugin());
}
