import { AGGREGATE_SCHEMA } from '../../registry/our-schemas.ts';
import { defineCommand, QUIET_LOG } from '../command.ts';
import { shownNumber, shownTime, TAIL_SETTINGS, tailFlags, tailTopic } from '../tail/tail-command.ts';

export const aggregatesTail = defineCommand({
  description:
    'Subscribes to the topic of closed windows: one row per part of a window of one metric of one device. A window is normally one part; late readings and full batches make further ones, and the total is their merge.',
  flags: {
    ...tailFlags('10m'),
    metric: { kind: 'string', placeholder: 'NAME', help: 'Only this metric.' },
  },
  examples: [
    { line: 'ingot aggregates tail', shows: 'the last ten minutes, then what comes' },
    { line: 'ingot aggregates tail --device d1 --metric temperature', shows: 'one series' },
  ],
  settings: TAIL_SETTINGS,
  configDefaults: QUIET_LOG,
  run: (context) => {
    const { metric } = context.flags;
    return tailTopic(context, {
      topic: 'aggregates',
      schema: AGGREGATE_SCHEMA,
      isWanted: (window) => metric === undefined || window.metric === metric,
      columns: [
        { title: 'window', cell: ({ value }) => shownTime(value.windowStart), width: 24 },
        { title: 'seconds', cell: ({ value }) => (value.windowEnd - value.windowStart) / 1000, alignRight: true },
        { title: 'device', cell: ({ value }) => value.deviceId, width: 20 },
        { title: 'metric', cell: ({ value }) => value.metric, width: 12 },
        { title: 'count', cell: ({ value }) => value.count, alignRight: true, width: 6 },
        { title: 'min', cell: ({ value }) => shownNumber(value.min), alignRight: true, width: 10 },
        { title: 'mean', cell: ({ value }) => shownNumber(value.mean), alignRight: true, width: 10 },
        { title: 'max', cell: ({ value }) => shownNumber(value.max), alignRight: true, width: 10 },
        { title: 'unit', cell: ({ value }) => value.unit, width: 4 },
        { title: 'closed by', cell: ({ value }) => value.closedBy, style: ({ value }) => (value.closedBy === 'LATE' ? 'yellow' : null) },
      ],
    });
  },
});
