import { Registry } from 'prom-client';

// Every metric of the process is made in an events file of this folder and registered here. A device id is never a label.

export const metricsRegistry = new Registry();

/** Names of Ingot's metrics all begin with this. */
export const METRIC_PREFIX = 'ingot_';
