import type { BrokerFacts, QueueFacts } from './doctor-ports.ts';
import { type Finding, ok, spanText } from './finding.ts';
import { guarded } from './guarded.ts';
import { type BrokerNeeds, brokerName, judgeBroker, judgeQueue } from './judge-broker.ts';

export interface BrokerCheck extends BrokerNeeds {
  /** For messages: the URL without secrets, and where it came from. */
  readonly address: string;
  inspect(): Promise<BrokerFacts>;
  /** Publishes to a topic of its own; null when that is not wanted. */
  readonly tryQueue: ((protocolVersion: 4 | 5) => Promise<QueueFacts>) | null;
  readonly deadlineMs: number;
}

export async function checkBroker(check: BrokerCheck): Promise<readonly Finding[]> {
  const { address, deadlineMs, tryQueue } = check;
  let protocolVersion: 4 | 5 | null = null;
  const findings = await guarded('MQTT', deadlineMs, async () => {
    const facts = await check.inspect();
    protocolVersion = facts.protocolVersion;
    return [answered(address, facts), ...judgeBroker(facts, check)];
  });
  if (protocolVersion === null) return findings.map((finding) => ({ ...finding, what: `${address}: ${finding.what}` }));
  if (tryQueue === null) return findings;
  const version: 4 | 5 = protocolVersion;
  return [...findings, ...(await guarded('MQTT broker', deadlineMs, async () => [judgeQueue(await tryQueue(version))]))];
}

function answered(address: string, { latencyMs, connectMs, protocolVersion, system }: BrokerFacts): Finding {
  const speaks = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
  const name = brokerName(system);
  const what = `${address} accepts a connection in ${spanText(connectMs)} and answers in ${spanText(latencyMs)}; ${name === null ? speaks : `${name}, ${speaks}`}`;
  return ok('MQTT', what, latencyMs);
}
