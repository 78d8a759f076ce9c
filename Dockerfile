# One image for every role: `docker run ingot bridge`, `docker run ingot aggregate`, ...
FROM node:24-slim

WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force
COPY ingot ./
COPY schemas ./schemas
COPY simulators ./simulators
COPY src ./src

# Instance ids, copies of schemas and the list of subscriptions must survive a restart.
RUN mkdir /data && chown node:node /data
ENV NODE_ENV=production DATA_FOLDER=/data LOG_FORMAT=json
VOLUME /data
USER node

# `ingot` replaces itself with Node, so signals reach it: `docker stop` drains.
ENTRYPOINT ["/app/ingot"]
CMD ["--help"]
