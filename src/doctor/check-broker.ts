import type { BrokerFacts } from './doctor-ports.ts';
import { type Finding, ok, spanText } from './finding.ts';
import { guarded } from './guarded.ts';
import { type BrokerNeeds, brokerName, judgeBroker } from './judge-broker.ts';

export interface BrokerCheck extends BrokerNeeds {
  /** For messages: the URL without secrets, and where it came from. */
  readonly address: string;
  inspect(): Promise<BrokerFacts>;
  readonly deadlineMs: number;
}

export async function checkBroker(check: BrokerCheck): Promise<readonly Finding[]> {
  const findings = await guarded('MQTT', check.deadlineMs, async () => {
    const facts = await check.inspect();
    const { latencyMs, connectMs, protocolVersion, system } = facts;
    const speaks = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
    const name = brokerName(system);
    const what = `${check.address} accepts a connection in ${spanText(connectMs)} and answers in ${spanText(latencyMs)}; ${name === null ? speaks : `${name}, ${speaks}`}`;
    return [ok('MQTT', what, latencyMs), ...judgeBroker(facts, check)];
  });
  return findings.map((finding) =>
    finding.state === 'fail' && finding.check === 'MQTT' ? { ...finding, what: `${check.address}: ${finding.what}` } : finding,
  );
}
