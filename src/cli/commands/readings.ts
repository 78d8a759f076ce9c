import { COMMON_METRICS, type Reading, unitOf } from '../../core/reading.ts';
import { READING_SCHEMA } from '../../registry/our-schemas.ts';
import { defineCommand, QUIET_LOG } from '../command.ts';
import { shownNumber, shownTime, TAIL_SETTINGS, tailFlags, tailTopic } from '../tail/tail-command.ts';

export const readingsTail = defineCommand({
  description: 'Subscribes to the topic of readings: one row per message that the bridge accepted. Redelivered messages are still in it.',
  flags: tailFlags('now'),
  examples: [
    { line: 'ingot readings tail', shows: 'what comes in now' },
    { line: 'ingot readings tail --device d1 --since 10m --limit 20', shows: 'some of one device' },
    { line: "ingot readings tail -o jsonl | jq 'select(.temperature > 90)'", shows: 'a filter of your own' },
  ],
  settings: TAIL_SETTINGS,
  configDefaults: QUIET_LOG,
  run: (context) =>
    tailTopic(context, {
      topic: 'readings',
      schema: READING_SCHEMA,
      isWanted: () => true,
      columns: [
        { title: 'time', cell: ({ value }) => shownTime(value.eventTime), width: 24 },
        { title: 'clock', cell: ({ value }) => value.eventTimeSource.toLowerCase(), width: 6 },
        { title: 'device', cell: ({ value }) => value.deviceId, width: 20 },
        { title: 'seq', cell: ({ value }) => value.sequence, alignRight: true, width: 6 },
        { title: 'metrics', cell: ({ value }) => metricsText(value) },
      ],
    }),
});

/** `temperature=21.5 Cel humidity=40 %RH vibration=0.2` */
function metricsText(reading: Reading): string {
  const common = COMMON_METRICS.flatMap(({ name }) =>
    reading[name] === null ? [] : [`${name}=${shownNumber(reading[name], unitOf(name))}`],
  );
  const others = Object.entries(reading.metrics).map(([name, value]) => `${name}=${shownNumber(value)}`);
  return [...common, ...others, ...(reading.status === null ? [] : [`status=${reading.status}`])].join('  ');
}
