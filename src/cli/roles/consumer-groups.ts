import type { Config } from '../../config/settings-table.ts';

// The names of the consumer groups, one per role unless KAFKA_GROUP_ID says another.

export function aggregatorGroupId({ kafka }: Pick<Config, 'kafka'>): string {
  return kafka.groupId ?? `${kafka.topicPrefix}aggregator`;
}

/** One per topic. */
export function sinkGroupIds({ kafka }: Pick<Config, 'kafka'>): { readonly aggregates: string; readonly alerts: string } {
  const groupId = kafka.groupId ?? `${kafka.topicPrefix}sink`;
  return { aggregates: groupId, alerts: `${groupId}.alerts` };
}
