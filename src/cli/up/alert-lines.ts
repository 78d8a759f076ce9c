import type { Config } from '../../config/settings-table.ts';
import type { Alert } from '../../core/alert-lifecycle.ts';
import { topicNames } from '../../kafka/topics.ts';
import { ALERT_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { connectLog } from '../roles/connect-log.ts';
import { readTopics } from '../tail/read-topics.ts';
import { decodeRecord } from '../tail/tail-command.ts';
import { escapeControls } from '../terminal-text.ts';

/** Prints every transition that is committed to the alerts topic from now on, until the signal. Reads it as any consumer would. */
export async function followAlerts(config: Config, options: { signal: AbortSignal; print: (line: string) => void }): Promise<void> {
  const { topicPrefix, clientId } = config.kafka;
  const { url, auth } = config.registry;
  const codecs = await openSchemaCodecs({ registry: { url, auth: auth ?? undefined, autoRegister: false }, topicPrefix });
  const decoder = codecs.openDecoder(ALERT_SCHEMA);
  const log = connectLog(config, `${clientId}-up-alerts`);
  try {
    const topics = [topicNames(topicPrefix).alerts];
    for await (const record of readTopics(log, { topics, since: { kind: 'now' }, follow: true, signal: options.signal })) {
      const decoded = await decodeRecord(decoder, record);
      if (decoded.kind === 'value') options.print(alertLine(decoded.value));
    }
  } finally {
    await log.close();
  }
}

export function alertLine(alert: Alert): string {
  const clock = new Date(alert.transitionAt).toISOString().slice(11, 19);
  return escapeControls(
    `${clock}  ${alert.transition.padEnd(8)} ${alert.severity.padEnd(8)} ${alert.deviceId}  ${alert.ruleId}: ${alert.summary}`,
  );
}
