import type { Config } from '../../config/settings-table.ts';
import type { Alert } from '../../core/alert-record.ts';
import { topicNames } from '../../kafka/topics.ts';
import { ALERT_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { connectLog } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import { readTopics } from '../tail/read-topics.ts';
import { decodeRecord, shownTime } from '../tail/tail-command.ts';
import { escapeControls, styled, type TextStyle } from '../terminal-text.ts';

export interface FollowAlertsOptions {
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
  readonly useColor: boolean;
}

/** Prints every transition that is committed to the alerts topic from now on, until the signal. Reads it like every consumer. */
export async function followAlerts(config: Config, options: FollowAlertsOptions): Promise<void> {
  const { topicPrefix, clientId } = config.kafka;
  const codecs = await openSchemaCodecs({ registry: { ...registryAddress(config), autoRegister: false }, topicPrefix });
  const decoder = codecs.openDecoder(ALERT_SCHEMA);
  const log = connectLog(config, `${clientId}-up-alerts`);
  try {
    const topics = [topicNames(topicPrefix).alerts];
    for await (const record of readTopics(log, { topics, since: { kind: 'now' }, follow: true, signal: options.signal })) {
      const decoded = await decodeRecord(decoder, record);
      if (decoded.kind === 'value') options.print(alertLine(decoded.value, { useColor: options.useColor, nowMs: Date.now() }));
    }
  } finally {
    await log.close();
  }
}

const TRANSITION_STYLES: Partial<Record<string, TextStyle>> = {
  RAISED: 'red',
  ESCALATED: 'red',
  DEESCALATED: 'yellow',
  RESOLVED: 'green',
  EXPIRED: 'yellow',
};

/** One line. A device may choose its name: what could move the cursor is escaped. */
export function alertLine(alert: Alert, { useColor, nowMs }: { readonly useColor: boolean; readonly nowMs: number }): string {
  const clock = clockText(alert.transitionAt, nowMs);
  const transition = alert.transition.padEnd(8);
  const style = TRANSITION_STYLES[alert.transition];
  const rest = escapeControls(`${alert.severity.padEnd(8)} ${alert.deviceId}  ${alert.ruleId}: ${alert.summary}`);
  return `${clock}  ${style === undefined ? transition : styled(transition, style, useColor)} ${rest}`;
}

/** Both are epoch ms, the text is UTC: `12:30:05`. A device that sends its backlog is told of late: of another day the date is said too. */
function clockText(timeMs: number, nowMs: number): string {
  const [day = '', time = ''] = shownTime(timeMs).split(' ');
  const clock = time.slice(0, 8);
  return shownTime(nowMs).startsWith(`${day} `) ? clock : `${day} ${clock}`;
}
