import type { Config } from '../../config/settings-table.ts';
import type { Alert } from '../../core/alert-record.ts';
import { topicNames } from '../../kafka/topics.ts';
import { ALERT_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { connectLog } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import { readTopics } from '../tail/read-topics.ts';
import { decodeRecord } from '../tail/tail-command.ts';
import { escapeControls, styled, type TextStyle } from '../terminal-text.ts';

export interface FollowAlertsOptions {
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
  readonly useColor: boolean;
}

/** Prints every transition that is committed to the alerts topic from now on, until the signal. Reads it as any consumer would. */
export async function followAlerts(config: Config, options: FollowAlertsOptions): Promise<void> {
  const { topicPrefix, clientId } = config.kafka;
  const codecs = await openSchemaCodecs({ registry: { ...registryAddress(config), autoRegister: false }, topicPrefix });
  const decoder = codecs.openDecoder(ALERT_SCHEMA);
  const log = connectLog(config, `${clientId}-up-alerts`);
  try {
    const topics = [topicNames(topicPrefix).alerts];
    for await (const record of readTopics(log, { topics, since: { kind: 'now' }, follow: true, signal: options.signal })) {
      const decoded = await decodeRecord(decoder, record);
      if (decoded.kind === 'value') options.print(alertLine(decoded.value, options.useColor));
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
export function alertLine(alert: Alert, useColor: boolean): string {
  const clock = new Date(alert.transitionAt).toISOString().slice(11, 19);
  const transition = alert.transition.padEnd(8);
  const style = TRANSITION_STYLES[alert.transition];
  const rest = escapeControls(`${alert.severity.padEnd(8)} ${alert.deviceId}  ${alert.ruleId}: ${alert.summary}`);
  return `${clock}  ${style === undefined ? transition : styled(transition, style, useColor)} ${rest}`;
}
