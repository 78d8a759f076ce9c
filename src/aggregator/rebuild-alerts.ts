import { isRaised } from '../core/alert-lifecycle.ts';
import type { Alert } from '../core/alert-record.ts';
import { type AlertRule, levelOf } from '../core/alert-rule.ts';
import { AlertState } from '../core/alert-state.ts';
import { DeviceState } from '../core/device-state.ts';
import type { PartitionFold } from '../core/partition-fold.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { readRange } from './read-range.ts';
import type { RebuildContext } from './rebuild-partition.ts';

// What a rebuild that could not begin at the beginning does about alerts: the alerts topic knows which were raised and not ended. Those are
// open in the state too, under the same id, and no others: so that to whoever follows alerts each that was raised ends once.

/** An alert that the topic has as open. */
interface OpenAlert {
  readonly raised: Alert;
  readonly last: Alert;
}

export interface TakenAlerts {
  /** Open in the topic, and taken over from there. */
  readonly taken: number;
  /** Raised by the repeated fold alone; they are as if they had not been. */
  readonly dropped: number;
  /** Open in the topic, but their rule is gone, or they tell of silence: nothing will end them. */
  readonly orphaned: number;
}

export async function takeOpenAlerts(context: RebuildContext, partition: number, fold: PartitionFold): Promise<TakenAlerts> {
  const open = await openAlerts(context, partition);
  const rules = new Map(fold.settings.rules.map((rule) => [rule.id, rule]));
  const devices = new Map([...fold.allDevices()].map((device) => [device.deviceId, device]));
  let taken = 0;
  let dropped = 0;
  let orphaned = 0;
  for (const device of devices.values()) {
    for (const state of device.alerts) {
      if (!isRaised(state) || open.has(keyOf({ ruleId: state.ruleId, deviceId: device.deviceId }))) continue;
      state.phase = 'NORMAL';
      dropped += 1;
    }
  }
  for (const alert of open.values()) {
    const rule = rules.get(alert.raised.ruleId);
    if (rule === undefined) {
      orphaned += 1;
      continue;
    }
    const { deviceId } = alert.raised;
    const device = devices.get(deviceId) ?? newDevice(deviceId, fold.clockMs);
    if (!devices.has(deviceId)) {
      devices.set(deviceId, device);
      fold.restoreDevice(device);
    }
    const known = device.alertOf(rule.id);
    const state = known ?? new AlertState(rule.id);
    if (known === null) device.addAlert(state);
    takeOver(state, rule, { alert, clockMs: fold.clockMs });
    taken += 1;
  }
  return { taken, dropped, orphaned };
}

const keyOf = ({ ruleId, deviceId }: { ruleId: string; deviceId: string }): string => `${ruleId}\n${deviceId}`;

function newDevice(deviceId: string, clockMs: number): DeviceState {
  const device = new DeviceState(deviceId);
  // Remembered for as long as one that was heard just now.
  device.lastHeard = clockMs;
  return device;
}

/** The alert is that of the topic: what identifies it, and where it stands. */
function takeOver(state: AlertState, rule: AlertRule, { alert, clockMs }: { alert: OpenAlert; clockMs: number }): void {
  const { raised, last } = alert;
  if (!isRaised(state)) {
    state.phase = 'FIRING';
    if (state.lastJudged < last.transitionAt) {
      state.lastJudged = last.transitionAt;
      state.judgedHeard = clockMs;
      state.lastValue = last.value ?? 0;
    }
    state.peak = last.peakValue ?? last.value ?? rule.threshold;
    state.sampleCount = last.sampleCount;
  }
  state.raisedAt = raised.raisedAt;
  // The first reading that a RAISED names is the one with which the episode began (core/alert-record.ts).
  state.firstBreachOffset = raised.evidence[0]?.offset ?? 0;
  state.transitions = last.transitionNumber;
  state.level = levelNamed(rule, last);
}

function levelNamed(rule: AlertRule, { threshold }: Alert): number {
  const levels = Array.from({ length: rule.levels.length + 1 }, (_, index) => index + 1);
  return levels.find((level) => levelOf(rule, level).threshold === threshold) ?? 1;
}

async function openAlerts(context: RebuildContext, partition: number): Promise<Map<string, OpenAlert>> {
  const open = new Map<string, OpenAlert>();
  const at = { topic: context.topics.alerts, partition };
  const { logStartOffset, highWatermark } = (await context.admin.watermarks(at.topic))[partition]!;
  const decode = (reader: RecordReader) => context.alertDecoder.decode(reader.buffer, reader.valueStart, reader.valueEnd);
  const note = (alert: Alert): void => {
    const key = keyOf(alert);
    const known = open.get(key);
    if (alert.transition === 'RAISED') open.set(key, { raised: alert, last: alert });
    else if (alert.transition === 'RESOLVED' || alert.transition === 'EXPIRED') open.delete(key);
    else if (known !== undefined) open.set(key, { ...known, last: alert });
  };
  const onRecord = (reader: RecordReader): Promise<null> | null => {
    if (reader.valueStart < 0) return null;
    const decoded = decode(reader);
    if (decoded.kind === 'unknown_schema') return withSchema(reader, decoded.schemaId);
    if (decoded.kind === 'value') note(decoded.value);
    return null;
  };
  const withSchema = async (reader: RecordReader, schemaId: number): Promise<null> => {
    await context.alertDecoder.load(schemaId);
    const decoded = decode(reader);
    if (decoded.kind === 'value') note(decoded.value);
    return null;
  };
  await readRange(context.restore, at, { from: logStartOffset, to: highWatermark, onRecord });
  return open;
}
