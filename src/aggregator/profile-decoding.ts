import type { DeviceProfile } from '../core/device-profile.ts';
import { type DeviceProfileRecord, profileOfRecord, profileProblem } from '../core/device-profile-record.ts';
import { DEVICE_ID_PATTERN } from '../core/reading.ts';
import type { RecordReader } from '../core/record-batch.ts';
import * as events from '../ops/aggregator-events.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';

// Records of the devices topic into profiles. Anybody may write there: what makes no sense is told and left out, and changes nothing.

/** What a record of the devices topic says. */
export type SaidOfDevice =
  | { readonly kind: 'change'; readonly deviceId: string; readonly profile: DeviceProfile | null }
  | { readonly kind: 'unknown_schema'; readonly schemaId: number }
  | { readonly kind: 'nonsense' };

const NONSENSE: SaidOfDevice = { kind: 'nonsense' };

/** Reads the record that the reader stands on. */
export function saidOfDevice(reader: RecordReader, decoder: ValueDecoder<DeviceProfileRecord>, partition: number): SaidOfDevice {
  const deviceId = reader.keyStart < 0 ? '' : reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd);
  const refuse = (why: string): SaidOfDevice => {
    events.profileRefused({ partition, offset: reader.offset, why });
    return NONSENSE;
  };
  if (!DEVICE_ID_PATTERN.test(deviceId)) return refuse('its key is no device id');
  if (reader.valueStart < 0) return { kind: 'change', deviceId, profile: null };
  const decoded = decoder.decode(reader.buffer, reader.valueStart, reader.valueEnd);
  if (decoded.kind === 'unknown_schema') return decoded;
  if (decoded.kind === 'undecodable') return refuse(`it cannot be decoded: ${decoded.detail}`);
  if (decoded.value.deviceId !== deviceId) return refuse('its key is another device');
  const problem = profileProblem(decoded.value);
  return problem === null ? { kind: 'change', deviceId, profile: profileOfRecord(decoded.value) } : refuse(problem);
}
