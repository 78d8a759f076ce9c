import type { DeviceProfile } from '../../core/device-profile.ts';
import { canonicalText } from '../../core/fold-settings.ts';
import { DEVICE_ID_PATTERN } from '../../core/reading.ts';
import { IngotError } from '../../errors.ts';
import { type CommandContext, defineCommand, QUIET_LOG } from '../command.ts';
import { editedProfile, NO_PROFILE, type ProfileEdits, profileNotes, thresholdText } from '../devices/profile-edits.ts';
import { ProfileTopic, type StoredProfile } from '../devices/profile-topic.ts';
import { OUTPUT_FLAG, printRows } from '../output.ts';
import { foldSettings } from '../roles/aggregator-role.ts';
import { shownTime } from '../tail/tail-command.ts';
import { escapeControls } from '../terminal-text.ts';

// `ingot devices`: labels and thresholds of single devices. The running aggregator applies a change at once, without a restart.

const SETTINGS = ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'SCHEMA_REGISTRY_URL'];
const DEVICE_ARGUMENT = { name: 'DEVICE', help: 'The id of the device, as in the topic devices/<id>/telemetry.' } as const;

const COLUMNS = [
  { title: 'device', cell: (row: StoredProfile) => row.deviceId },
  { title: 'labels', cell: ({ profile }: StoredProfile) => labelTexts(profile).join(' ') },
  { title: 'thresholds', cell: ({ profile }: StoredProfile) => thresholdTexts(profile).join(' ') },
  { title: 'disabled', cell: ({ profile }: StoredProfile) => profile.disabledRules.join(' ') },
  { title: 'updated', cell: ({ updatedAtMs }: StoredProfile) => (updatedAtMs > 0 ? shownTime(updatedAtMs) : null) },
];

const labelTexts = ({ labels }: DeviceProfile) => Object.entries(labels).map(([name, value]) => `${name}=${value}`);
const thresholdTexts = ({ thresholds }: DeviceProfile) => Object.entries(thresholds).map(([id, threshold]) => thresholdText(id, threshold));

function asJson({ deviceId, profile, updatedAtMs }: StoredProfile) {
  return { deviceId, ...profile, updatedAt: updatedAtMs > 0 ? new Date(updatedAtMs).toISOString() : null };
}

/** IngotError `USAGE` when it is no device id. */
function deviceOf(context: Pick<CommandContext, 'args'>): string {
  const deviceId = context.args[0] ?? '';
  if (DEVICE_ID_PATTERN.test(deviceId)) return deviceId;
  throw new IngotError('USAGE', `${JSON.stringify(deviceId)} is no device id: 1 to 128 of A-Z a-z 0-9 . _ : -`);
}

async function withTopic<T>(context: CommandContext, use: (topic: ProfileTopic) => Promise<T>): Promise<T> {
  const topic = await ProfileTopic.open(context.config(), context.signal);
  try {
    const result = await use(topic);
    for (const problem of topic.problems) context.stderr.write(`${escapeControls(problem)}\n`);
    return result;
  } finally {
    await topic.close();
  }
}

export const devicesList = defineCommand({
  description:
    'Devices that have labels or thresholds of their own. A device without a profile has nothing to list; it is judged by the rules as they are.',
  flags: {
    ...OUTPUT_FLAG,
    label: { kind: 'string', many: true, placeholder: 'NAME=VALUE', help: 'Only devices with this label; may be repeated.' },
  },
  examples: [
    { line: 'ingot devices list', shows: 'one line per profile' },
    { line: 'ingot devices list --label site=hall-3 -o jsonl', shows: 'the profiles of one hall' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const stored = await withTopic(context, (topic) => topic.readAll());
    const isWanted = ({ profile }: StoredProfile) => context.flags.label.every((label) => labelTexts(profile).includes(label));
    await printRows(context, [...stored.values()].filter(isWanted), { columns: COLUMNS, toJson: asJson, whenEmpty: 'No profiles.' });
    return 0;
  },
});

export const devicesShow = defineCommand({
  description: 'Shows the profile of one device. Exit code 4 when it has none.',
  flags: { ...OUTPUT_FLAG },
  args: [DEVICE_ARGUMENT],
  examples: [{ line: 'ingot devices show boiler-7', shows: 'labels, thresholds and disabled rules' }],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const deviceId = deviceOf(context);
    const stored = (await withTopic(context, (topic) => topic.readAll())).get(deviceId);
    if (stored === undefined) {
      context.stderr.write(`${deviceId} has no profile: it is judged by the rules as they are.\n`);
      return 4;
    }
    await printRows(context, [stored], { columns: COLUMNS, toJson: asJson });
    return 0;
  },
});

export const devicesSet = defineCommand({
  description:
    'Changes the profile of one device; what is not named stays. The running aggregator applies it between two readings, without a restart: labels are on aggregates and alerts from then on, thresholds judge the next reading. Where a rule has levels and a threshold is given without any, the levels move along.',
  flags: {
    label: { kind: 'string', many: true, placeholder: 'NAME=VALUE', help: 'A label; may be repeated.' },
    threshold: {
      kind: 'string',
      many: true,
      placeholder: 'RULE=N[,deadband=N][,SEVERITY=N]',
      help: "The device's own threshold for a rule, and its deadband and levels if they differ too; may be repeated.",
    },
    disable: {
      kind: 'string',
      many: true,
      placeholder: 'RULE',
      help: 'The rule does not judge this device; a raised alert ends as EXPIRED.',
    },
    enable: { kind: 'string', many: true, placeholder: 'RULE', help: 'It does again.' },
    unset: { kind: 'string', many: true, placeholder: 'NAME', help: 'Takes a label, or what is said of a rule, out of the profile.' },
  },
  args: [DEVICE_ARGUMENT],
  examples: [
    { line: 'ingot devices set boiler-7 --label site=hall-3 --threshold high-temperature=90', shows: 'a label, and an alert above 90' },
    {
      line: 'ingot devices set boiler-7 --threshold hot-and-hotter=75,deadband=3,WARNING=85,CRITICAL=105',
      shows: 'of a rule with levels: its own deadband and levels',
    },
    { line: 'ingot devices set boiler-7 --unset high-temperature --unset site', shows: 'back to the rule' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const deviceId = deviceOf(context);
    const edits: ProfileEdits = context.flags;
    if (Object.values(edits).every((list) => (list as readonly string[]).length === 0))
      throw new IngotError(
        'USAGE',
        "There is nothing to set: give --label, --threshold, --disable, --enable or --unset. See 'ingot devices set --help'.",
      );
    await withTopic(context, async (topic) => {
      const before = (await topic.readAll()).get(deviceId)?.profile ?? NO_PROFILE;
      const after = editedProfile(deviceId, before, edits);
      const { rules } = foldSettings(context.config());
      for (const note of profileNotes(rules, after, edits)) context.stderr.write(`Note: ${escapeControls(note)}\n`);
      if (canonicalText(after) === canonicalText(before)) {
        context.stderr.write(`The profile of ${deviceId} says that already; nothing was written.\n`);
        return;
      }
      const isEmpty = canonicalText(after) === canonicalText(NO_PROFILE);
      await topic.write(deviceId, isEmpty ? null : after);
      context.stderr.write(isEmpty ? `${deviceId} has no profile any more.\n` : `The profile of ${deviceId} is written.\n`);
    });
    return 0;
  },
});

export const devicesForget = defineCommand({
  description:
    'Takes the whole profile of a device away: it has no labels from then on, and is judged by the rules as they are. Its readings and alerts stay.',
  flags: {},
  args: [DEVICE_ARGUMENT],
  examples: [{ line: 'ingot devices forget boiler-7', shows: 'whether there was a profile' }],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const deviceId = deviceOf(context);
    return await withTopic(context, async (topic) => {
      if (!(await topic.readAll()).has(deviceId)) {
        context.stderr.write(`${deviceId} has no profile; nothing was written.\n`);
        return 4;
      }
      await topic.write(deviceId, null);
      context.stderr.write(`${deviceId} has no profile any more.\n`);
      return 0;
    });
  },
});
