import type { Health } from './health.ts';
import { type HttpRoute, sendJson, sendText } from './http-server.ts';
import { metricsRegistry } from './metrics.ts';

// /healthz: the event loop answers. /readyz: every dependency, by name; 503 while one is down or the process drains. /metrics.

/** The routes that every role has. They tell nothing about devices and are open. */
export function operationsRoutes(health: Health): readonly HttpRoute[] {
  return [
    { method: 'GET', path: '/healthz', isOpen: true, handle: (_request, response) => sendText(response, 200, 'alive') },
    {
      method: 'GET',
      path: '/readyz',
      isOpen: true,
      handle: (_request, response) => {
        const state = health.isDraining ? 'draining' : health.isReady ? 'ready' : 'not ready';
        sendJson(response, health.isReady ? 200 : 503, { state, dependencies: health.dependencies });
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      isOpen: true,
      handle: async (_request, response) => {
        const text = await metricsRegistry.metrics();
        response.writeHead(200, { 'content-type': metricsRegistry.contentType }).end(text);
      },
    },
  ];
}
