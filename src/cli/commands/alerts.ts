import { ALERT_SCHEMA } from '../../registry/our-schemas.ts';
import { defineCommand, QUIET_LOG } from '../command.ts';
import { shownNumber, shownTime, TAIL_SETTINGS, tailFlags, tailTopic } from '../tail/tail-command.ts';
import type { TextStyle } from '../terminal-text.ts';

const TRANSITION_STYLES: Readonly<Record<string, TextStyle>> = {
  RAISED: 'red',
  ESCALATED: 'red',
  DEESCALATED: 'yellow',
  RESOLVED: 'green',
  EXPIRED: 'yellow',
};

export const alertsTail = defineCommand({
  description:
    'Subscribes to the alert topic: one row per transition (raised, escalated, deescalated, resolved, expired), exactly once. Shows the last hour first, then goes on until Ctrl-C.',
  flags: {
    ...tailFlags('1h'),
    severity: { kind: 'choice', choices: ['INFO', 'WARNING', 'CRITICAL'], help: 'Only this severity.' },
    state: { kind: 'choice', choices: ['FIRING', 'STALE', 'RESOLVED'], help: 'Only transitions into this state.' },
    rule: { kind: 'string', placeholder: 'ID', help: 'Only this rule; the silence that it watches is RULE:stale.' },
  },
  examples: [
    { line: 'ingot alerts tail', shows: 'the last hour, then what comes' },
    { line: 'ingot alerts tail --since now --severity CRITICAL', shows: 'only new critical ones' },
    { line: 'ingot alerts tail --since beginning --no-follow -o csv', shows: 'all that are kept, for a spreadsheet' },
  ],
  settings: TAIL_SETTINGS,
  configDefaults: QUIET_LOG,
  run: (context) => {
    const { severity, state, rule } = context.flags;
    return tailTopic(context, {
      topic: 'alerts',
      schema: ALERT_SCHEMA,
      isWanted: (alert) =>
        (severity === undefined || alert.severity === severity) &&
        (state === undefined || alert.state === state) &&
        (rule === undefined || alert.ruleId === rule),
      columns: [
        { title: 'time', cell: ({ value }) => shownTime(value.transitionAt), width: 24 },
        {
          title: 'transition',
          cell: ({ value }) => value.transition,
          width: 10,
          style: ({ value }) => TRANSITION_STYLES[value.transition] ?? null,
        },
        { title: 'severity', cell: ({ value }) => value.severity, width: 8 },
        { title: 'device', cell: ({ value }) => value.deviceId, width: 20 },
        { title: 'rule', cell: ({ value }) => value.ruleId, width: 18 },
        { title: 'value', cell: ({ value }) => shownNumber(value.value, value.unit), width: 12, alignRight: true },
        { title: 'peak', cell: ({ value }) => shownNumber(value.peakValue, value.unit), width: 12, alignRight: true },
        { title: 'threshold', cell: ({ value }) => shownNumber(value.threshold), alignRight: true },
        { title: 'raised', cell: ({ value }) => shownTime(value.raisedAt) },
      ],
    });
  },
});
