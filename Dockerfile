# The image for production: it needs POSTGRES_DSN, because the PostgreSQL that the service can start by itself is an
# optional dependency meant for trying and is left out here.
#
#   docker build -t messaging-server .
#   docker run -p 8080:8080 -e POSTGRES_DSN=postgres://… -e AUTH=none messaging-server
#
# A container must listen on all its addresses, so HOST is 0.0.0.0 here, and there the service refuses to start until AUTH
# is chosen. The image does not choose: AUTH=none belongs only where everything that reaches the port may speak for anybody.

# Debian 13, because the uWebSockets.js binary for Node 24 needs glibc 2.38 and Debian 12 has 2.36.
FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Optional packages stay in this stage: the compiler's own binary is one of them. No package needs its install script.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json LICENSE ./
COPY src ./src
RUN npm run build && find dist -name '*.map' -delete && rm -f dist/.tsbuildinfo

FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
# AUTH=accounts hashes passwords by a binary that is an optional package, one for each platform. The first stage has this one's.
COPY --from=build /app/node_modules/@node-rs ./node_modules/@node-rs
RUN node -e 'require("@node-rs/argon2").hashSync("does it load")'
# uWebSockets.js comes with a binary for every platform and Node version, 260 MB in all. Keep the one this image loads,
# and check that it does load.
RUN binary="$(node -p '`uws_${process.platform}_${process.arch}_${process.versions.modules}.node`')" \
 && find node_modules/uWebSockets.js -mindepth 1 -type f \
      ! -name "$binary" ! -name 'uws.js' ! -name 'ESM_wrapper.mjs' ! -name 'package.json' ! -name 'LICENSE' -delete \
 && find node_modules/uWebSockets.js -mindepth 1 -type d -empty -delete \
 && node -e 'require("uWebSockets.js")'
# OpenTelemetry comes three times, twice of which for bundlers, each with source maps: 20 of 32 MB.
RUN find node_modules/@opentelemetry node_modules/protobufjs -name '*.map' -delete \
 && rm -rf node_modules/@opentelemetry/*/build/esm node_modules/@opentelemetry/*/build/esnext \
 && node -e 'require("@opentelemetry/exporter-trace-otlp-http")'

FROM node:24-trixie-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY package.json LICENSE ./
COPY sql ./sql
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
EXPOSE 8080
# Says whether the process is alive; whether it can store is /readyz, for the load balancer to ask. With TLS the probe does
# not check the certificate, whose name is not 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "--no-warnings", "-e", "const tls = process.env.TLS_CERT_FILE; if (tls) process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; fetch(`${tls ? 'https' : 'http'}://127.0.0.1:${process.env.PORT || 8080}/healthz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM drains for up to SHUTDOWN_TIMEOUT_MS (25 s): give `docker stop --time 30` or the orchestrator as much.
STOPSIGNAL SIGTERM
# No shell and no npm in between, so that the signal reaches the service.
# As in `npm start`; src/DECISIONS.md says why.
CMD ["node", "--max-semi-space-size=32", "dist/main.js"]
