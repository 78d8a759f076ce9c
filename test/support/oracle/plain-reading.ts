// Readings for tests: everything that is not said has a plain default.

import type { Reading } from '../../../src/core/reading.ts';

/** A reading with the given fields; the others are null, empty, or 0. */
export function plainReading(given: Pick<Reading, 'deviceId' | 'eventTime'> & Partial<Reading>): Reading {
  return {
    receivedAt: given.eventTime,
    eventTimeSource: 'DEVICE',
    sequence: null,
    messageId: null,
    identity: 0,
    aggregatable: true,
    status: null,
    temperature: null,
    humidity: null,
    pressure: null,
    battery: null,
    voltage: null,
    current: null,
    power: null,
    co2: null,
    illuminance: null,
    metrics: {},
    attributes: {},
    ...given,
  };
}
