// A fold that is dropped and restored from its state at any moment goes on as if nothing had happened, and its state has one encoding.

import { readFileSync } from 'node:fs';
import avro from 'avsc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeDeviceState, encodeDeviceState } from '../../src/aggregator/state-codec.ts';
import { randomLog } from '../support/oracle/random-log.ts';
import { CoreDriver } from '../support/scenario-text/core-driver.ts';
import { playStep } from '../support/scenario-text/fold-driver.ts';

const stateType = avro.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../schemas/internal/device-state.avsc', import.meta.url), 'utf8')) as avro.Schema,
);
const numRuns = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 500);
/** More runs get more time. */
const TIMEOUT_MS = 60_000 * Math.max(1, numRuns / 500);

test('restarts between any two steps change no output and no byte of the state', { timeout: TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(randomLog(), fc.array(fc.boolean(), { maxLength: 200 }), ({ setup, steps }, restarts) => {
      const straight = new CoreDriver(setup);
      const restarted = new CoreDriver(setup);
      steps.forEach((step, index) => {
        if (restarts[index] === true) restarted.restart();
        expect(playStep(restarted, step)).toEqual(playStep(straight, step));
      });
      expect(restarted.stateBytes()).toEqual(straight.stateBytes());
    }),
    { numRuns },
  );
});

test('decoding and encoding a state gives the same bytes', { timeout: TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(randomLog(), ({ setup, steps }) => {
      const driver = new CoreDriver(setup);
      for (const step of steps) playStep(driver, step);
      for (const bytes of driver.stateBytes()) {
        expect(encodeDeviceState(decodeDeviceState(bytes))).toEqual(bytes);
        // And they are the bytes that the library writes.
        expect(stateType.toBuffer(stateType.fromBuffer(bytes.subarray(1)))).toEqual(bytes.subarray(1));
      }
    }),
    { numRuns },
  );
});

test('bytes that are no state are refused by name', () => {
  expect(() => decodeDeviceState(Buffer.from([9, 1, 2]))).toThrow(/format 9, expected 2/);
  expect(() => decodeDeviceState(Buffer.from([2, 250, 250]))).toThrow(/not a device state/);
});
