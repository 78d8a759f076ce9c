import { type Difference, timeText, type Verdict } from './difference.ts';
import { expectedAlerts } from './truth.ts';
import type { ExpectedEpisode, TruthRule } from './truth-alerts.ts';
import type { TruthReading } from './truth-file.ts';

// Makes episodes of the transitions that came out, and compares them with those that the truth demands.

/** A record of the alerts topic, read_committed, in the order of its partition. */
export interface ActualAlert {
  readonly alertId: string;
  readonly ruleId: string;
  readonly deviceId: string;
  readonly transition: string;
  readonly transitionNumber: number;
  readonly raisedAt: number;
  readonly resolvedAt: number | null;
  readonly peakValue: number | null;
}

interface Episode {
  readonly raisedAt: number;
  readonly alertId: string;
  resolvedAt: number | null;
  expired: boolean;
  peak: number | null;
}

export function compareAlerts(readings: readonly TruthReading[], rules: readonly TruthRule[], rows: readonly ActualAlert[]): Verdict {
  const differences: Difference[] = [];
  const { episodes, undecided } = expectedAlerts(readings, rules);
  const undecidedBySubject = Map.groupBy(undecided, ({ device, ruleId }) => subjectKey(device, ruleId));
  const found = groupBySubject(rows);
  let equal = 0;
  for (const episode of episodes) {
    const candidates = found.get(subjectKey(episode.device, episode.ruleId)) ?? [];
    const at = candidates.findIndex((candidate) => candidate.raisedAt === episode.raisedAt);
    const [match] = at < 0 ? [] : candidates.splice(at, 1);
    const difference = alertDifference(episode, match);
    if (difference === null) equal += 1;
    else differences.push(difference);
  }
  let alertsUndecided = 0;
  for (const [key, rest] of found) {
    const [device = '', ruleId = ''] = key.split('\n');
    const ranges = undecidedBySubject.get(key) ?? [];
    for (const { raisedAt } of rest) {
      if (ranges.some(({ fromMs, toMs }) => raisedAt >= fromMs && raisedAt <= toMs)) alertsUndecided += 1;
      else differences.push({ kind: 'alert_unexpected', device, text: `${nameOfAlert({ device, ruleId, raisedAt })} was not expected` });
    }
  }
  differences.push(...sequenceDifferences(rows));
  return { expected: episodes.length, equal, undecided: alertsUndecided, differences };
}

/** Alerts by device and rule, in the order in which they were raised. */
function groupBySubject(rows: readonly ActualAlert[]): Map<string, Episode[]> {
  const byAlert = new Map<string, Episode>();
  const bySubject = new Map<string, Episode[]>();
  for (const row of rows) {
    let episode = byAlert.get(row.alertId);
    if (episode === undefined) {
      episode = { raisedAt: row.raisedAt, alertId: row.alertId, resolvedAt: null, expired: false, peak: row.peakValue };
      byAlert.set(row.alertId, episode);
      const key = subjectKey(row.deviceId, row.ruleId);
      bySubject.set(key, [...(bySubject.get(key) ?? []), episode]);
    }
    if (row.transition === 'RAISED') continue;
    episode.peak = row.peakValue;
    if (row.transition === 'RESOLVED') episode.resolvedAt = row.resolvedAt;
    if (row.transition === 'EXPIRED') episode.expired = true;
  }
  return bySubject;
}

function alertDifference(episode: ExpectedEpisode, found: Episode | undefined): Difference | null {
  const { device } = episode;
  if (found === undefined) return { kind: 'alert_missing', device, text: `${nameOfAlert(episode)} is missing` };
  const wrong: string[] = [];
  if (found.resolvedAt !== episode.resolvedAt) {
    wrong.push(`resolved ${timeText(found.resolvedAt)}${found.expired ? ' (expired)' : ''}, expected ${timeText(episode.resolvedAt)}`);
  }
  // The peak of an alert that is still raised is only written when it ends.
  if (episode.resolvedAt !== null && found.peak !== episode.peak) wrong.push(`peak ${found.peak}, expected ${episode.peak}`);
  return wrong.length === 0 ? null : { kind: 'alert_differs', device, text: `${nameOfAlert(episode)}: ${wrong.join('; ')}` };
}

/** Each alert is raised once and ends at most once, and of one device and rule one ends before the next is raised. */
function sequenceDifferences(rows: readonly ActualAlert[]): Difference[] {
  const differences: Difference[] = [];
  const seen = new Set<string>();
  const raised = new Map<string, string>();
  for (const row of rows) {
    const { deviceId: device, ruleId, alertId, transition } = row;
    const name = nameOfAlert({ device, ruleId, raisedAt: row.raisedAt });
    if (seen.has(`${alertId}\n${row.transitionNumber}`)) {
      differences.push({ kind: 'alert_repeated', device, text: `${name} has transition ${row.transitionNumber} (${transition}) twice` });
      continue;
    }
    seen.add(`${alertId}\n${row.transitionNumber}`);
    const subject = subjectKey(device, ruleId);
    const open = raised.get(subject);
    if (transition === 'RAISED') {
      if (open !== undefined) differences.push({ kind: 'alert_order', device, text: `${name} was raised while another one was` });
      raised.set(subject, alertId);
    } else if (transition === 'RESOLVED' || transition === 'EXPIRED') {
      if (open !== alertId)
        differences.push({ kind: 'alert_order', device, text: `${name} was ${transition.toLowerCase()} but not raised` });
      raised.delete(subject);
    }
  }
  return differences;
}

function subjectKey(device: string, ruleId: string): string {
  return `${device}\n${ruleId}`;
}

function nameOfAlert({ device, ruleId, raisedAt }: { device: string; ruleId: string; raisedAt: number }): string {
  return `alert ${device} ${ruleId} raised ${timeText(raisedAt)}`;
}
